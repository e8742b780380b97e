/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which batches are stored already. Per stream: all up to a mark, and the ones beyond it one by one. Both the number of
 * streams and what is known of each are bounded; where a bound is reached, the stream that was quiet for longest is
 * forgotten (a repeat of its batches would be stored again), or a gap in a stream's numbers is given up (a batch out of
 * the gap would count as a repeat: the sensor sends in order, and what it evicts from its spool never comes).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "user/cleanup.h"

/* So far behind a stream's latest number the mark stays: parts of a batch that was split may still come. */
#define DEDUPE_REACH 64

struct batch_key {
	uint8_t stream[16]; /* a hash of the sender's certificate subject and its stream id */
	uint64_t sequence;  /* from 1 */
	uint32_t part;      /* 0: not split */
};

struct dedupe;

/* At most MAX_STREAMS streams, and MAX_AHEAD (more than DEDUPE_REACH) batches beyond the mark of each. 0 or -ENOMEM. */
int dedupe_new(size_t max_streams, size_t max_ahead, struct dedupe **ret_dedupe);
void dedupe_free(struct dedupe *dedupe);
DEFINE_CLEANUP(struct dedupe *, dedupe_free)

bool dedupe_has(const struct dedupe *dedupe, const struct batch_key *key);

/* Remembers a batch; its stream is now the latest one used. 0 or -ENOMEM. */
int dedupe_add(struct dedupe *dedupe, const struct batch_key *key);

/* Sets a stream's mark: everything up to SEQUENCE is stored. 0 or -ENOMEM. */
int dedupe_set_mark(struct dedupe *dedupe, const uint8_t stream[static 16], uint64_t sequence);

size_t dedupe_streams(const struct dedupe *dedupe);

/*
 * Calls ON_MARK and then ON_BATCH for all that is known, the stream that was quiet for longest first: given to
 * dedupe_set_mark and dedupe_add in this order, it makes the same set. Stops at the first result that is not 0 and
 * returns it.
 */
int dedupe_each(const struct dedupe *dedupe, int (*on_mark)(const struct batch_key *mark, void *data),
                int (*on_batch)(const struct batch_key *key, void *data), void *data);
