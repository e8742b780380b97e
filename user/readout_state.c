// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <string.h>
#include <bpf/bpf.h>
#include "user/readout_internal.h"

struct flow_state *state_find(const struct readout *readout, const struct flow_key *key)
{
	struct flow_state *state;
	HASH_FIND(hh, readout->states, key, sizeof(*key), state);
	return state;
}

static struct flow_state *state_add(struct readout *readout, const struct flow_key *key)
{
	struct flow_state *state = calloc(1, sizeof(*state));
	if (!state)
		return NULL;
	state->key = *key;
	HASH_ADD(hh, readout->states, key, sizeof(state->key), state);
	return state;
}

void state_remove(struct readout *readout, struct flow_state *state)
{
	HASH_DEL(readout->states, state);
	free(state);
}

struct flow_state *state_of(struct readout *readout, const struct flow_key *key, const struct flow *flow)
{
	struct flow_state *state = state_find(readout, key);
	if (!state)
		state = state_add(readout, key);
	if (!state)
		return NULL;
	if (state->id != flow->id || state->generation != flow->generation) {
		state->id = flow->id;
		state->generation = flow->generation;
		state->ended = false;
		memset(state->reported, 0, sizeof(state->reported));
		state->last_record_ns = flow->start_ns;
	}
	return state;
}

/* The state as the former loader's watermark tells it; one without its flow is removed. */
static int restore(struct readout *readout, const struct flow_key *key, const struct flow_reported *reported,
                   uint64_t epoch)
{
	struct flow flow;
	if (bpf_map_lookup_elem(readout->options.maps->flows, key, &flow) < 0 || flow.id != reported->id ||
	    flow.generation != reported->generation) {
		bpf_map_delete_elem(readout->options.maps->reported, key);
		return 0;
	}
	struct flow_state *state = state_add(readout, key);
	if (!state)
		return -ENOMEM;
	bool committed = reported->epoch <= epoch;
	state->id = flow.id;
	state->generation = flow.generation;
	state->last_record_ns = flow.start_ns;
	for (int end = 0; end < 2; end++) {
		state->reported[end].packets = committed ? reported->packets[end] : reported->prev_packets[end];
		state->reported[end].bytes = committed ? reported->bytes[end] : reported->prev_bytes[end];
	}
	return 0;
}

int states_restore(struct readout *readout)
{
	_cleanup_(freep) struct flow_reported *reported = calloc(STEP, sizeof(*reported));
	struct books_state state;
	if (!reported)
		return -ENOMEM;

	books_read(readout->options.books, &state);
	for (bool last = false, begun = false; !last; begun = true) {
		uint32_t n = STEP;
		int r = bpf_map_lookup_batch(readout->options.maps->reported, begun ? readout->batch : NULL,
		                             readout->batch, readout->keys, reported, &n, NULL);
		last = r < 0 && errno == ENOENT;
		if (r < 0 && !last)
			return -errno;
		r = 0;
		for (uint32_t i = 0; i < n && r == 0; i++)
			r = restore(readout, &readout->keys[i], &reported[i], state.epoch);
		if (r < 0)
			return r;
	}
	return 0;
}
