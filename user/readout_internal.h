/* SPDX-License-Identifier: Apache-2.0 */
/* A pass over the flow table (readout.c), and what is remembered of each flow from pass to pass (readout_state.c). */
#pragma once

#include <uthash.h>
#include "user/readout.h"
#include "user/slots.h"

/* Entries of a step: a quarter of a millisecond of lookups, and larger than any hash bucket. */
#define STEP 2048
/* What user space remembers of a flow. */
struct flow_state {
	struct flow_key key;
	uint64_t id;
	uint32_t generation;
	bool ended; /* its last record had a final reason */
	struct totals reported[2];
	uint64_t last_record_ns; /* CLOCK_MONOTONIC; of the flow's start before the first record */
	UT_hash_handle hh;
};

struct readout {
	struct readout_options options;
	struct slots *slots;
	struct flow_state *states;
	bool flush;
	bool begun;
	bool has_details; /* there is something in map `details`: worth a look for each record */
	uint64_t started_ns;
	char batch[sizeof(struct flow_key)]; /* the kernel's cursor: opaque, at most a key */
	struct readout_result current, last;
	/* Of one step. */
	struct flow_key keys[STEP], due_keys[STEP], over_keys[STEP];
	struct flow values[STEP];
	struct flow_reported due[STEP];
	struct flow_state *due_states[STEP];
	size_t n_due, n_over;
	struct record_list records;
};

/* What is remembered under KEY; NULL: nothing. */
struct flow_state *state_find(const struct readout *readout, const struct flow_key *key);
/* The state of a flow as it is in the table; one of a former flow with the same key starts from zero. NULL: no memory. */
struct flow_state *state_of(struct readout *readout, const struct flow_key *key, const struct flow *flow);
void state_remove(struct readout *readout, struct flow_state *state);

/* Takes over the watermarks that the former loader left in map `reported`. 0 or -errno. */
int states_restore(struct readout *readout);
