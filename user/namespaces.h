/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of `namespaces`, applied: whether the traffic of a cgroup is to be observed, by the namespace of the pod that it
 * belongs to; written into the kernel's map `policy_cgroups` for bpf/policy.bpf.h to act on as soon as the identity index knows.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include "bpf/flow.h"
#include "user/config.h"
#include "user/identity.h"

#define NAMESPACES_TICK_NS (500ULL * 1000000)

struct namespaces_options {
	struct identity *identity; /* outlives it */
	int map; /* policy_cgroups; what a former loader left in it of cgroups that are gone is removed */
	const struct config_rules *rules; /* as for namespaces_apply */
};

struct namespaces;

/* 0 or -errno. All cgroups there are have been decided then. */
int namespaces_open(const struct namespaces_options *options, struct namespaces **ret_namespaces);
/* The map stays as it is. */
void namespaces_free(struct namespaces *namespaces);
DEFINE_CLEANUP(struct namespaces *, namespaces_free)

/* The verdict of RULES (actions: enum namespace_action) on a namespace: the first match counts; none: allowed. */
enum flow_policy namespace_policy(const struct config_rules *rules, const char *name);

/* RULES hold from now on, for all cgroups; their texts stay valid until others are applied. */
void namespaces_apply(struct namespaces *namespaces, const struct config_rules *rules);

/*
 * To be called every NAMESPACES_TICK_NS: a pod whose namespace is not known for ten seconds is allowed until it is; what had no
 * place in the map is tried again.
 */
void namespaces_tick(struct namespaces *namespaces);

/* Cgroups that have no place in the map: their flows are pending. */
size_t namespaces_left_out(const struct namespaces *namespaces);
/* Cgroups of pods that are allowed for want of a namespace. */
size_t namespaces_unknown(const struct namespaces *namespaces);
