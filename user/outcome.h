/* SPDX-License-Identifier: Apache-2.0 */
/* What an answer of the backend means for the batch: the rules of OTLP over HTTP. */
#pragma once

#include "user/otlp.h"
#include "user/queue.h"

enum answer {
	ANSWER_TAKEN,   /* 2xx, though single records may have been rejected */
	ANSWER_RETRY,   /* 429, 502, 503, 504, or none at all: the same batch again */
	ANSWER_REFUSED, /* any other: it will never be taken */
};

/* STATUS: of HTTP, 0: none came. */
enum answer answer_of_status(int status);

/* All RECORDS (per kind) are dropped for REASON. */
struct queue_outcome outcome_dropped(const uint64_t records[static RECORD_KIND_MAX], enum drop_reason reason);

/*
 * All RECORDS (per kind) are acked but REJECTED of them, at most all. OTLP does not say which: each kind is taken to
 * have lost the same share.
 */
struct queue_outcome outcome_acked(const uint64_t records[static RECORD_KIND_MAX], uint64_t rejected);

/*
 * How long to wait before the next attempt after FAILURES of them (from 1), ns: exponential from 1 s to 60 s with full
 * jitter (anything from nothing to that), so that many sensors do not come back at the same moment.
 */
uint64_t backoff_ns(unsigned failures);
