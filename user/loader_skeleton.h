/* SPDX-License-Identifier: Apache-2.0 */
/* The sensor's programs and maps: opened, sized by the options, loaded, pinned. */
#pragma once

#include "bpf/config.h"
#include "sensor.skel.h"
#include "user/loader.h"

/* Which programs. All maps come with any of them. */
enum skeleton_parts {
	SKELETON_PACKETS = 1 << 0, /* those that see packets */
	SKELETON_SOCKETS = 1 << 1, /* bpf/hook_sock.bpf.h */
};

/*
 * Loads PARTS of it; maps that are pinned in the layout's directory are taken over, the others are pinned there. Without
 * options->bpffs, all are private. *LAYOUT is filled in. 0 or -errno; the skeleton is the caller's to destroy.
 */
int skeleton_load(const struct loader_options *options, unsigned int parts, struct sensor_bpf **ret_skeleton,
                  char layout[static 17]);
