/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of `namespaces`, applied: which cgroup belongs to a pod of which namespace, and so whether its traffic is to be
 * observed; written into the kernel's map `policy_cgroups` for bpf/policy.bpf.h to act on.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include "bpf/flow.h"
#include "user/config.h"

#define NAMESPACES_SCAN_NS (500ULL * 1000000) /* a new pod is decided within this */

struct namespaces_options {
	const char *cgroup_root, *pods_dir; /* as struct identity_options */
	int map; /* policy_cgroups; what a former loader left in it counts until the first scan */
};

struct namespaces;

/* 0 or -errno: -ENOTSUP without a cgroup v2 tree, where nobody can tell whose a packet is. The texts are copied. */
int namespaces_open(const struct namespaces_options *options, struct namespaces **ret_namespaces);
/* The map stays as it is. */
void namespaces_free(struct namespaces *namespaces);
DEFINE_CLEANUP(struct namespaces *, namespaces_free)

/* The verdict of RULES (actions: enum namespace_action) on a namespace: the first match counts; none: allowed. */
enum flow_policy namespace_policy(const struct config_rules *rules, const char *name);

/*
 * Reads the tree and says what RULES make of each cgroup in it; looks again for the namespaces that were not known; forgets
 * the cgroups that are gone. A pod whose namespace cannot be found for ten seconds is allowed until it can. True: all have
 * a place in the map; false: there are more cgroups than it holds, the rest is pending.
 */
bool namespaces_scan(struct namespaces *namespaces, const struct config_rules *rules);

/* Pods without a known namespace at the last scan, that are allowed for want of one, in cgroups. */
size_t namespaces_unknown(const struct namespaces *namespaces);
