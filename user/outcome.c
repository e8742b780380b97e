// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <sys/random.h>
#include "user/outcome.h"

#define BACKOFF_MIN_NS 1000000000ULL
#define BACKOFF_MAX_NS 60000000000ULL

enum answer answer_of_status(int status)
{
	switch (status) {
	case 200 ... 299:
		return ANSWER_TAKEN;
	case 0:
	case 429:
	case 502:
	case 503:
	case 504:
		return ANSWER_RETRY;
	default:
		return ANSWER_REFUSED;
	}
}

struct queue_outcome outcome_dropped(const uint64_t records[static RECORD_KIND_MAX], enum drop_reason reason)
{
	struct queue_outcome outcome = { 0 };
	for (int kind = 0; kind < RECORD_KIND_MAX; kind++)
		outcome.dropped[kind][reason] = records[kind];
	return outcome;
}

struct queue_outcome outcome_acked(const uint64_t records[static RECORD_KIND_MAX], uint64_t rejected)
{
	struct queue_outcome outcome = { 0 };
	uint64_t left = 0; /* records of this kind and of those after it */
	for (int kind = 0; kind < RECORD_KIND_MAX; kind++)
		left += records[kind];
	if (rejected > left)
		rejected = left;
	/* Each kind takes its share of what is still to be shared out: no remainder is left at the end. */
	for (int kind = 0; kind < RECORD_KIND_MAX; kind++) {
		uint64_t share = left ? rejected * records[kind] / left : 0;
		outcome.dropped[kind][DROP_REJECTED] = share;
		outcome.acked[kind] = records[kind] - share;
		rejected -= share;
		left -= records[kind];
	}
	return outcome;
}

uint64_t backoff_ns(unsigned failures)
{
	uint64_t limit = BACKOFF_MIN_NS, random = 0;
	while (--failures && limit < BACKOFF_MAX_NS)
		limit *= 2;
	if (limit > BACKOFF_MAX_NS)
		limit = BACKOFF_MAX_NS;
	/* Without randomness the longest wait is a right one, too. */
	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return limit;
	return random % (limit + 1);
}
