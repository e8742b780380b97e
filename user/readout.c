// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <string.h>
#include <bpf/bpf.h>
#include "user/clock.h"
#include "user/readout_internal.h"

/* An ended connection is reported when it has been quiet for so long: the last ACK belongs to it. */
#define END_QUIET_NS NS_PER_SEC

/*
 * FLOW's totals with its slots' share. A busy flow may be folded between any two readings: after some attempts the latest
 * table value stands for this pass, and what it lacks is in the next one.
 */
static void add_slots(struct readout *readout, const struct flow_key *key, struct flow *flow)
{
	for (int attempt = 0; attempt < 16; attempt++) {
		struct flow sum = *flow;
		if (slots_add(readout->slots, &sum, attempt > 0)) {
			*flow = sum;
			return;
		}
		if (bpf_map_lookup_elem(readout->options.maps->flows, key, &sum) == 0 && sum.id == flow->id &&
		    sum.generation == flow->generation)
			*flow = sum;
	}
}

/* Never less than what is written already: a pass may see a moment before that of the last one. */
static void keep_reported(struct flow *flow, const struct flow_state *state)
{
	for (int end = 0; end < 2; end++) {
		if (flow->end[end].packets < state->reported[end].packets)
			flow->end[end].packets = state->reported[end].packets;
		if (flow->end[end].bytes < state->reported[end].bytes)
			flow->end[end].bytes = state->reported[end].bytes;
	}
}

static void unreported(const struct flow *flow, const struct flow_state *state, struct totals delta[static 2])
{
	for (int end = 0; end < 2; end++) {
		delta[end].packets = flow->end[end].packets - state->reported[end].packets;
		delta[end].bytes = flow->end[end].bytes - state->reported[end].bytes;
	}
}

/* Why the flow is due now; FLOW_REASON_MAX: it is not. */
static enum flow_reason due_reason(const struct readout *readout, const struct flow *flow,
                                   const struct flow_state *state, bool changed, bool over)
{
	uint64_t now = readout->started_ns;
	bool ended = flow_has_ended(flow) || flow->closed_ns;

	/* Of a namespace that is not observed: the entry only holds the verdict. */
	if (!flow->end[0].packets && !flow->end[1].packets)
		return FLOW_REASON_MAX;
	if (over)
		return changed || !state->ended ? (ended ? FLOW_END : FLOW_IDLE) : FLOW_REASON_MAX;
	if (!changed)
		return FLOW_REASON_MAX;
	if (ended && now >= flow_last_ns(flow) + END_QUIET_NS)
		return FLOW_END;
	if (readout->flush)
		return FLOW_SHUTDOWN;
	return now >= state->last_record_ns + readout->options.active_timeout_ns ? FLOW_ACTIVE : FLOW_REASON_MAX;
}

static int add_due(struct readout *readout, const struct flow_key *key, const struct flow *flow,
                   struct flow_state *state, const struct totals delta[static 2], enum flow_reason reason)
{
	struct flow_details details;
	bool known =
		readout->has_details && bpf_map_lookup_elem(readout->options.maps->details, &flow->id, &details) == 0;
	const struct flow_part part = {
		.key = key,
		.flow = flow,
		.details = known ? &details : NULL,
		.delta = delta,
		.from_ns = state->last_record_ns,
		.reason = reason,
	};
	struct record *record = decode_flow(&readout->options.decoder, &part);
	if (!record)
		return -ENOMEM;
	record_list_append(&readout->records, record);

	struct flow_reported *reported = &readout->due[readout->n_due];
	*reported = (struct flow_reported) { .id = flow->id, .generation = flow->generation };
	for (int end = 0; end < 2; end++) {
		reported->packets[end] = flow->end[end].packets;
		reported->bytes[end] = flow->end[end].bytes;
		reported->prev_packets[end] = state->reported[end].packets;
		reported->prev_bytes[end] = state->reported[end].bytes;
	}
	readout->due_keys[readout->n_due] = *key;
	readout->due_states[readout->n_due++] = state;
	state->ended = reason == FLOW_END || reason == FLOW_IDLE;
	return 0;
}

/*
 * True: the generation before FLOW is in the table, too. It goes first: a packet that came in between would open a
 * generation with the number that FLOW has, and whatever still holds that, a slot above all, would be taken for the new one's.
 */
static bool has_former(const struct readout *readout, const struct flow_key *key, const struct flow *flow)
{
	struct flow_key twin = *key;
	struct flow former;

	twin.twin = !key->twin;
	return flow->generation > 1 && bpf_map_lookup_elem(readout->options.maps->flows, &twin, &former) == 0 &&
	       former.id == flow->id && former.generation < flow->generation;
}

static int visit(struct readout *readout, const struct flow_key *key, struct flow *flow)
{
	struct flow_state *state = state_of(readout, key, flow);
	if (!state)
		return -ENOMEM;

	struct totals delta[2];
	/* By the table alone, as the kernel decides it. */
	bool over = readout->started_ns >= flow_over_ns(flow, readout->options.idle_timeout_ns) + FLOW_GRACE_NS;
	add_slots(readout, key, flow);
	keep_reported(flow, state);
	unreported(flow, state, delta);
	bool changed = delta[0].packets || delta[1].packets;
	enum flow_reason reason = due_reason(readout, flow, state, changed, over);

	if (!over)
		readout->current.flows++;
	else if (!has_former(readout, key, flow))
		readout->over_keys[readout->n_over++] = *key;
	if (reason != FLOW_REASON_MAX)
		return add_due(readout, key, flow, state, delta, reason);
	for (int end = 0; end < 2; end++) {
		readout->current.unreported.packets += delta[end].packets;
		readout->current.unreported.bytes += delta[end].bytes;
	}
	return 0;
}

/* bpf_map_update_batch stops at the first element that fails; 5.6 has it for hashes. */
static int write_watermarks(struct readout *readout, uint64_t epoch)
{
	uint32_t n = (uint32_t)readout->n_due;
	for (size_t i = 0; i < readout->n_due; i++)
		readout->due[i].epoch = epoch;
	return bpf_map_update_batch(readout->options.maps->reported, readout->due_keys, readout->due, &n, NULL) < 0
	               ? -errno
	               : 0;
}

static void commit_states(struct readout *readout)
{
	for (size_t i = 0; i < readout->n_due; i++) {
		struct flow_state *state = readout->due_states[i];
		for (int end = 0; end < 2; end++) {
			state->reported[end].packets = readout->due[i].packets[end];
			state->reported[end].bytes = readout->due[i].bytes[end];
		}
		state->last_record_ns = readout->started_ns;
	}
}

/*
 * Makes a step's records count: watermarks first, under an epoch that is not committed; then the books, which commit the
 * epoch, and the queue. A loader killed before the commit has written nothing (the next one rolls the watermarks back),
 * one killed after it leaves records that the books show as dropped{crash}.
 */
static int commit(struct readout *readout)
{
	const struct readout_options *options = &readout->options;
	if (!readout->n_due)
		return 0;

	struct books_state *state = books_begin(options->books);
	uint64_t epoch = state->epoch + 1;
	books_commit(options->books);
	int r = write_watermarks(readout, epoch);
	if (r < 0)
		return r;

	bool shared = options->queue_books == options->books;
	state = books_begin(options->books);
	struct books_state *queue_state = shared ? state : books_begin(options->queue_books);
	state->epoch = epoch;
	for (size_t i = 0; i < readout->n_due; i++) {
		for (int end = 0; end < 2; end++) {
			state->flow_packets += readout->due[i].packets[end] - readout->due[i].prev_packets[end];
			state->flow_bytes += readout->due[i].bytes[end] - readout->due[i].prev_bytes[end];
		}
	}
	queue_state->kinds[RECORD_FLOW].produced += readout->n_due;
	queue_state->kinds[RECORD_FLOW].received += readout->n_due;
	queue_push(options->queue, queue_state, &readout->records);
	books_commit(options->books);
	if (!shared)
		books_commit(options->queue_books);
	commit_states(readout);
	return 0;
}

/* Unless the tuple's next generation is there already: it has the same id. */
static void remove_details(const struct readout *readout, const struct flow_state *over)
{
	struct flow_key twin = over->key;
	twin.twin = !twin.twin;
	const struct flow_state *state = state_find(readout, &twin);
	if (!state || state->id != over->id)
		bpf_map_delete_elem(readout->options.maps->details, &over->id);
}

/* What is over has been written, and no packet can count into it any more. */
static void remove_over(struct readout *readout)
{
	for (size_t i = 0; i < readout->n_over; i++) {
		const struct flow_key *key = &readout->over_keys[i];
		struct flow_state *state = state_find(readout, key);
		bpf_map_delete_elem(readout->options.maps->flows, key);
		bpf_map_delete_elem(readout->options.maps->reported, key);
		if (state && readout->has_details)
			remove_details(readout, state);
		if (state)
			state_remove(readout, state);
	}
}

static uint64_t clock_now(const struct readout *readout)
{
	return readout->options.clock_ns ? *readout->options.clock_ns : clock_monotonic_ns();
}

void readout_begin(struct readout *readout, bool flush)
{
	readout->flush = flush;
	readout->begun = false;
	readout->started_ns = clock_now(readout);
	readout->current = (struct readout_result) { 0 };
	slots_index(readout->slots);

	uint64_t id;
	readout->has_details = bpf_map_get_next_key(readout->options.maps->details, NULL, &id) == 0;
}

int readout_step(struct readout *readout)
{
	uint32_t n = STEP;
	int r = bpf_map_lookup_batch(readout->options.maps->flows, readout->begun ? readout->batch : NULL,
	                             readout->batch, readout->keys, readout->values, &n, NULL);
	bool last = r < 0 && errno == ENOENT;
	if (r < 0 && !last)
		return -errno;
	readout->begun = true;

	readout->n_due = readout->n_over = 0;
	r = 0;
	for (uint32_t i = 0; i < n && r == 0; i++)
		r = visit(readout, &readout->keys[i], &readout->values[i]);
	if (r == 0)
		r = commit(readout);
	record_list_clear(&readout->records);
	if (r < 0)
		return r;
	remove_over(readout);
	if (!last)
		return 1;

	readout->current.duration_ns = clock_now(readout) - readout->started_ns;
	readout->last = readout->current;
	return 0;
}

void readout_result(const struct readout *readout, struct readout_result *ret_result)
{
	*ret_result = readout->last;
}

int readout_open(const struct readout_options *options, struct readout **ret_readout)
{
	_cleanup_(readout_freep) struct readout *readout = calloc(1, sizeof(*readout));
	if (!readout)
		return -ENOMEM;
	readout->options = *options;
	int r = slots_open(options->maps, &readout->slots);
	if (r == 0)
		r = states_restore(readout);
	if (r < 0)
		return r;
	*ret_readout = TAKE_PTR(readout);
	return 0;
}

void readout_free(struct readout *readout)
{
	struct flow_state *state, *next;
	if (!readout)
		return;
	HASH_ITER (hh, readout->states, state, next)
		state_remove(readout, state);
	record_list_clear(&readout->records);
	slots_free(readout->slots);
	free(readout);
}
