/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the cgroup id that a hook saw to names: cgroup id -> path (index of the cgroup v2 tree) -> container id and pod uid
 * (cgroup.h) -> namespace, pod and container name (pods.h, the kubelet's directories).
 */
#pragma once

#include <stdint.h>
#include "user/owner.h"

struct identity;

struct identity_options {
	const char *cgroup_root; /* the v2 tree, or a directory that has it in "unified" (hybrid) */
	const char *pods_dir;    /* /var/log/pods; "<dir>/../containers" is used where it exists */
	size_t max_cgroups;      /* bound of the index; the least recently used go first */
};

enum identity_miss { MISS_CGROUP, MISS_POD, MISS_CONTAINER, IDENTITY_MISS_MAX };
#define IDENTITY_MISS_NAMES                  \
	{                                    \
		"cgroup", "pod", "container" \
	}

/* 0 or -errno: -ENOTSUP where there is no cgroup v2 tree (the caller goes on without names). Free with identity_free. */
int identity_open(const struct identity_options *options, struct identity **ret_identity);
void identity_free(struct identity *identity);
DEFINE_CLEANUP(struct identity *, identity_free)

/*
 * The owner of a cgroup, a new reference; NULL: not known, or neither pod nor container (a host process). The container's
 * name is given for processes in that container only. An unknown id makes the tree be read again, at most every 250 ms.
 * What is missing is looked for again at a later call: after 250 ms, then ever later, up to 4 s for names and 64 s for a
 * cgroup. What was once resolved stays resolved after the cgroup is gone. For one thread at a time.
 */
struct owner *identity_lookup(struct identity *identity, uint64_t cgroup_id);

/* How often a lookup left a name open: cumulative, per field. A host process is no miss. From any thread. */
void identity_misses(const struct identity *identity, uint64_t ret_misses[static IDENTITY_MISS_MAX]);
