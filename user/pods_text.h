/* SPDX-License-Identifier: Apache-2.0 */
/* What the names of the kubelet's directories and links tell. Pure text. */
#pragma once

#include <stdbool.h>
#include "user/pods.h"

struct pods_link {
	struct pod_names pod;
	char container_name[64];
	char container_id[65]; /* all 64 digits, or as many as the kubelet left: 12 at least */
};

/* ENTRY: <namespace>_<pod>_<uid>. False: it is none, or a name breaks the API's rules; nothing is returned then. */
bool pods_dir_parse(const char *entry, char ret_uid_key[static PODS_KEY_SIZE], struct pod_names *ret_names);

/* ENTRY: <pod>_<namespace>_<container>-<container id>.log, cut by the kubelet to 255 bytes. False: as above. */
bool pods_link_parse(const char *entry, struct pods_link *ret_link);
