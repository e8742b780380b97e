/* SPDX-License-Identifier: Apache-2.0 */
/* One state of the pod list: the facts of each pod, by its uid. Immutable once made. */
#pragma once

#include <stdint.h>
#include "user/pod_facts.h"

#define POD_SNAPSHOT_MAX 16384 /* pods; a node has some hundred, those just gone included */

/* A pod's uid as 128 bits: however it is written (with dashes, without), it is the same. */
struct pod_key {
	uint8_t bytes[16];
};

struct pod_entry {
	struct pod_key key;
	uint64_t listed_ns;      /* CLOCK_MONOTONIC: of the latest list that it was in */
	struct pod_facts *facts; /* a reference, never NULL */
};

struct pod_snapshot {
	size_t pods;            /* in the list that it was made from */
	size_t labels_left_out; /* of them: beyond POD_LABELS_MAX, or against the API's rules */
	size_t n;
	struct pod_entry entries[]; /* in the order of their keys, each once */
};

/* Room for N pods, none in it yet, or NULL: out of memory. */
struct pod_snapshot *pod_snapshot_new(size_t n);
void pod_snapshot_free(struct pod_snapshot *snapshot);
DEFINE_CLEANUP(struct pod_snapshot *, pod_snapshot_free)

/* 32 hexadecimal digits, any dashes between them: a UUID, or the hash that is a static pod's. 0 or -EINVAL. */
int pod_key_parse(const char *uid, struct pod_key *ret_key);

/*
 * Reads a PodList (or a PartialObjectMetadataList, which leaves out what is not asked for) as JSON of SIZE bytes, got at
 * NOW_NS. What is not understood is left out: pods without a uid as above, labels against the API's rules, controllers of
 * other kinds; and of two pods with the same uid both. A mirror pod goes by the uid of its static pod, as on the node.
 * 0; -EBADMSG: no such list, or part of one; -EFBIG: too much of it; -ENOMEM. Then RET_ERROR says what to do.
 */
int pod_snapshot_parse(const char *json, size_t size, uint64_t now_ns, char ret_error[static 256],
                       struct pod_snapshot **ret_snapshot);

/*
 * NEWER, and behind it the pods of OLDER (may be NULL) that it lacks and that were listed at or after SINCE_NS, as far as there
 * is room: records of a pod are still written when it is gone. 0 or -ENOMEM.
 */
int pod_snapshot_merge(const struct pod_snapshot *newer, const struct pod_snapshot *older, uint64_t since_ns,
                       struct pod_snapshot **ret_snapshot);

/* The facts, no reference of the caller's; NULL: no such pod. */
struct pod_facts *pod_snapshot_find(const struct pod_snapshot *snapshot, const struct pod_key *key);
