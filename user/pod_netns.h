/* SPDX-License-Identifier: Apache-2.0 */
/* Which network namespace a pod's sockets are in, as its sockets told: where its ports are looked for. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include "user/cleanup.h"

struct pod_netns;

/* MAX: how many pods are remembered; those learnt of first go first. NULL: out of memory. */
struct pod_netns *pod_netns_new(size_t max);
void pod_netns_free(struct pod_netns *pods);
DEFINE_CLEANUP(struct pod_netns *, pod_netns_free)

/* The pod with this UID has sockets in the namespace with COOKIE; it gets another one with each new sandbox. */
void pod_netns_learn(struct pod_netns *pods, const char *uid, uint64_t cookie);

/* The cookie; 0: not known. UID may be NULL. */
uint64_t pod_netns_find(const struct pod_netns *pods, const char *uid);
