// SPDX-License-Identifier: Apache-2.0
/*
 * Reading the flow table under fire: two CPUs count into the same flows as fast as they can, while flows fall silent, are
 * reported and removed, and begin anew. Not one packet may be missing from the records, or be there twice.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <cmocka.h>
#include <bpf/bpf.h>
#include "selftests/harness.h"
#include "user/books.h"
#include "user/clock.h"
#include "user/queue.h"
#include "user/readout.h"

#define THREADS 2
#define FLOWS   24
#define REPEATS 1000
#define TURN_MS 70  /* so long a flow is busy; the whole circle is longer than timeout and grace */
#define IDLE_MS 300 /* flows.idle_timeout */
#define CIRCLES 3   /* FIRE_CIRCLES overrides */

struct gunner {
	pthread_t thread;
	const struct harness *harness;
	unsigned number, circles;
	uint64_t sent;
	atomic_bool *over;
};

/* Both CPUs go round the flows at about the same time, so that they meet in most of them. */
static void *fire(void *data)
{
	struct gunner *gunner = data;
	cpu_set_t cpu;

	CPU_ZERO(&cpu);
	CPU_SET(gunner->number, &cpu);
	sched_setaffinity(0, sizeof(cpu), &cpu);
	for (unsigned turn = 0; turn < gunner->circles * FLOWS; turn++) {
		const struct layer packet[LAYERS_MAX] =
			PKT(ETH, IP4(), UDP(.from_port = (uint16_t)(2000 + turn % FLOWS)), BYTES(72));
		uint64_t until = clock_monotonic_ns() + TURN_MS * NS_PER_MS;
		struct frame frame;

		packet_build(packet, &frame);
		LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame.data, .data_size_in = (uint32_t)frame.size,
		            .repeat = REPEATS);
		while (clock_monotonic_ns() < until) {
			if (bpf_prog_test_run_opts(gunner->harness->entry[POD_IN], &run) < 0)
				return NULL;
			gunner->sent += REPEATS;
		}
	}
	return NULL;
}

/* What all records in the queue say was sent, taken out and acknowledged. */
static void collect(struct queue *queue, uint64_t *packets, uint64_t *bytes, uint64_t *ended)
{
	struct record_list list = { 0 };

	while (queue_take(queue, 1000, 1 << 24, record_size, &list)) {
		struct queue_outcome outcome = { 0 };
		for (const struct record *record = list.first; record; record = record->next) {
			for (int end = 0; end < 2; end++) {
				*packets += record->flow.delta[end].packets;
				*bytes += record->flow.delta[end].bytes;
			}
			*ended += record->flow.reason == FLOW_IDLE;
			outcome.acked[RECORD_FLOW]++;
		}
		record_list_clear(&list);
		queue_settle(queue, &outcome);
	}
}

static uint64_t observed(const struct harness *harness)
{
	return harness_hook_stats(harness, HOOK_STATS(POD_IN)).verdicts[VERDICT_OBSERVED];
}

/* A whole pass; what it found, written or not, is no less than what was counted before it and no more than after. */
static void pass(const struct harness *harness, struct readout *readout, struct books *books, bool flush)
{
	uint64_t before = observed(harness);
	struct readout_result result;
	struct books_state state;
	int r, attempts = 1000;

	readout_begin(readout, flush);
	while ((r = readout_step(readout)) > 0)
		;
	assert_int_equal(r, 0);
	readout_result(readout, &result);
	books_read(books, &state);
	uint64_t found = state.flow_packets + result.unreported.packets;
	assert_true(found >= before);
	/* A packet counts in its flow before it does at its hook: one a CPU may be in between. */
	while (found > observed(harness) && attempts--)
		sched_yield();
	assert_true(found <= observed(harness));
}

static unsigned circles(void)
{
	const char *text = getenv("FIRE_CIRCLES");
	return text ? (unsigned)strtoul(text, NULL, 10) : CIRCLES;
}

static void test_fire(void **state)
{
	const struct harness_options options = {
		.flows_max = 1024, .config = { .coarse_clock = 1, .idle_timeout_ns = IDLE_MS * NS_PER_MS }
	};
	_cleanup_(harness_freep) struct harness *harness = harness_open(&options);
	_cleanup_(books_freep) struct books *books = NULL;
	_cleanup_(readout_freep) struct readout *readout = NULL;
	struct gunner gunners[THREADS];
	struct queue *queue;
	uint64_t packets = 0, bytes = 0, ended = 0, sent = 0;
	struct sensor_maps maps = SENSOR_MAPS_CLOSED;

	maps.flows = harness_map(harness, "flows");
	maps.reported = harness_map(harness, "reported");
	maps.slots = harness_map(harness, "slots");
	maps.slots_max = (uint32_t)harness->n_slots;
	assert_int_equal(books_open(-1, &books), 0);
	assert_int_equal(queue_new(books, 100000, 1 << 28, &queue), 0);
	const struct readout_options reading = {
		.maps = &maps,
		.books = books,
		.queue = queue,
		.queue_books = books,
		.active_timeout_ns = 1, /* each pass writes what it finds */
		.idle_timeout_ns = options.config.idle_timeout_ns,
	};
	assert_int_equal(readout_open(&reading, &readout), 0);

	for (unsigned i = 0; i < THREADS; i++) {
		gunners[i] = (struct gunner) { .harness = harness, .number = i, .circles = circles() };
		assert_int_equal(pthread_create(&gunners[i].thread, NULL, fire, &gunners[i]), 0);
	}
	for (unsigned running = THREADS; running;) {
		pass(harness, readout, books, false);
		collect(queue, &packets, &bytes, &ended);
		if (pthread_tryjoin_np(gunners[THREADS - running].thread, NULL) == 0)
			running--;
	}
	pass(harness, readout, books, true);
	collect(queue, &packets, &bytes, &ended);
	for (unsigned i = 0; i < THREADS; i++)
		sent += gunners[i].sent;

	print_message("%lu packets sent, %lu in records, %lu flows ended meanwhile\n", (unsigned long)sent,
	              (unsigned long)packets, (unsigned long)ended);
	assert_true(sent > 0);
	assert_int_equal(packets, sent);
	assert_int_equal(bytes, sent * 100);
	/* All but those of the last second, in each circle but the last. */
	assert_true(ended >= (uint64_t)(circles() - 1) * FLOWS);
	queue_free(queue, DROP_SHUTDOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_fire) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
