/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Sonde keeps in bpffs: <bpffs>/<layout>/ with a pin a map, program and link, <layout> being a hash of all map
 * definitions, and the symbolic link <bpffs>/current to the one in use.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include "user/cleanup.h"

/* Mounts bpffs on /sys/fs/bpf where nothing is mounted and makes DIR on it. 0 or -errno; -ENOTTY: DIR is not on a bpffs. */
int pins_prepare(const char *dir);

/*
 * Takes the lock that two sensors on the same bpffs directory contend for: held as long as *ret_fd is open. 0;
 * -EWOULDBLOCK: another process has it; -ENOENT: no such directory; -errno.
 */
int pins_lock(const char *dir, int *ret_fd);

/* Calls VISIT with each layout directory's name; stops at its first negative return, which it returns. 0 or -errno. */
int pins_layouts(const char *dir, int (*visit)(const char *layout, void *data), void *data);

/* Removes all pins of a layout and its directory, and `current` if it points there. 0 or -errno. */
int pins_remove(const char *dir, const char *layout);

/* Points `current` to LAYOUT. 0 or -errno. */
int pins_set_current(const char *dir, const char *layout);

/* The pin of one hook's tcx link. */
void pins_link_path(char path[static PATH_MAX], const char *dir, const char *layout, uint32_t iface_id, bool egress);
