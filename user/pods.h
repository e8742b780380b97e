/* SPDX-License-Identifier: Apache-2.0 */
/* Pod uid to names, from the kubelet's /var/log/pods/<namespace>_<pod>_<uid>/<container>/ and /var/log/containers. */
#pragma once

struct pod_names {
	char namespace_name[64], pod_name[254], container_name[64]; /* DNS label or subdomain lengths; "": not known */
};

/*
 * Looks in PODS_DIR for POD_UID (dashes or not), and for the container: by CONTAINER_ID ("" : unknown) through the links
 * <pod>_<namespace>_<container>-<container id>.log in <PODS_DIR>/../containers, else, where the pod has exactly one
 * container directory, that one. 0; -ENOENT: no such pod there (yet); -errno. Names that break the API's rules are not
 * taken.
 */
int pods_lookup(const char *pods_dir, const char *pod_uid, const char *container_id, struct pod_names *ret_names);
