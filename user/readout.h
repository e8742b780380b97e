/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the flow table: passes over all entries that write the due ones as records, advance their watermarks, and
 * remove the entries that are over. A pass goes in steps, so that the ring is drained in between.
 */
#pragma once

#include <stdbool.h>
#include "user/decode.h"
#include "user/loader.h"
#include "user/queue.h"

struct readout_options {
	const struct sensor_maps *maps; /* outlives it */
	struct books *books;            /* of the same maps */
	struct queue *queue;            /* where records go */
	struct books *queue_books;      /* the queue's own books: differs from books while another layout is drained */
	struct decoder decoder;
	uint64_t active_timeout_ns, idle_timeout_ns;
	const uint64_t *clock_ns; /* the clock that the programs run by; NULL: CLOCK_MONOTONIC */
};

struct readout;

/* Takes over the watermarks in map `reported`; those that were not committed are rolled back. 0 or -errno. */
int readout_open(const struct readout_options *options, struct readout **ret_readout);
void readout_free(struct readout *readout);
DEFINE_CLEANUP(struct readout *, readout_free)

/* Begins a pass; one that is under way begins anew. FLUSH: every flow with something unreported is due (shutdown). */
void readout_begin(struct readout *readout, bool flush);

/* The next part of the pass: 1: there is more; 0: the pass is complete; -errno: it is given up, nothing is lost. */
int readout_step(struct readout *readout);

/* What the last complete pass saw. */
struct readout_result {
	uint64_t flows;           /* entries in the table that are not over */
	struct totals unreported; /* in entries that were not due */
	uint64_t duration_ns;     /* of the pass, pauses between steps included */
};
void readout_result(const struct readout *readout, struct readout_result *ret_result);
