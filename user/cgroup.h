/* SPDX-License-Identifier: Apache-2.0 */
/* What a cgroup path tells: container id, pod uid, runtime. Pure text; knows every layout that kubelets and runtimes use. */
#pragma once

#include <stdbool.h>

enum cgroup_qos { QOS_NONE, QOS_GUARANTEED, QOS_BURSTABLE, QOS_BESTEFFORT };

struct cgroup_path {
	char container_id[65]; /* 64 hexadecimal digits; "": none in the path */
	char pod_uid[37];      /* with dashes, as the API shows it; static pods: 32 hexadecimal digits; "": none */
	enum cgroup_qos qos;
};

/* PATH: from the root of its hierarchy, as in /proc/PID/cgroup ("/../.." prefixes included). True: a pod or container. */
bool cgroup_path_parse(const char *path, struct cgroup_path *ret_parsed);
