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

/* A table and its reader. */
struct reading {
	struct harness *harness;
	struct sensor_maps maps;
	struct books *books;
	struct queue *queue;
	struct readout *readout;
};

static void reading_open(struct reading *reading)
{
	const struct harness_options options = {
		.flows_max = 1024, .config = { .coarse_clock = 1, .idle_timeout_ns = IDLE_MS * NS_PER_MS }
	};

	*reading = (struct reading) { .harness = harness_open(&options), .maps = SENSOR_MAPS_CLOSED };
	reading->maps.flows = harness_map(reading->harness, "flows");
	reading->maps.reported = harness_map(reading->harness, "reported");
	reading->maps.slots = harness_map(reading->harness, "slots");
	reading->maps.slots_max = (uint32_t)reading->harness->n_slots;
	assert_int_equal(books_open(-1, &reading->books), 0);
	assert_int_equal(queue_new(reading->books, 100000, 1 << 28, &reading->queue), 0);
	const struct readout_options readout = {
		.maps = &reading->maps,
		.books = reading->books,
		.queue = reading->queue,
		.queue_books = reading->books,
		.active_timeout_ns = 1, /* each pass writes what it finds */
		.idle_timeout_ns = options.config.idle_timeout_ns,
	};
	assert_int_equal(readout_open(&readout, &reading->readout), 0);
}

static void reading_close(struct reading *reading)
{
	readout_free(reading->readout);
	queue_free(reading->queue, DROP_SHUTDOWN);
	books_free(reading->books);
	harness_free(reading->harness);
}

static unsigned entries(const struct harness *harness)
{
	struct flow_key key;
	unsigned n = 0;
	for (void *from = NULL; bpf_map_get_next_key(harness_map(harness, "flows"), from, &key) == 0; from = &key)
		n++;
	return n;
}

/* A whole pass; what it found, written or not, is no less than what was counted before it and no more than after. */
static void pass(struct reading *reading, bool flush)
{
	uint64_t before = observed(reading->harness);
	struct readout_result result;
	struct books_state state;
	int r, attempts = 1000;

	readout_begin(reading->readout, flush);
	while ((r = readout_step(reading->readout)) > 0)
		;
	assert_int_equal(r, 0);
	readout_result(reading->readout, &result);
	books_read(reading->books, &state);
	uint64_t found = state.flow_packets + result.unreported.packets;
	assert_true(found >= before);
	/* A packet counts in its flow before it does at its hook: one a CPU may be in between. */
	while (found > observed(reading->harness) && attempts--)
		sched_yield();
	assert_true(found <= observed(reading->harness));
}

/*
 * One a CPU. Two on the same one would be an impossible fire: before 6.11 a test run can be preempted in the middle of a program
 * by another one, which no packet's program can.
 */
static unsigned threads(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	return cpus < THREADS ? 1 : THREADS;
}

static unsigned circles(void)
{
	const char *text = getenv("FIRE_CIRCLES");
	return text ? (unsigned)strtoul(text, NULL, 10) : CIRCLES;
}

static void test_fire(void **state)
{
	struct gunner gunners[THREADS];
	struct reading reading;
	uint64_t packets = 0, bytes = 0, ended = 0, sent = 0;
	const unsigned n = threads();

	reading_open(&reading);
	for (unsigned i = 0; i < n; i++) {
		gunners[i] = (struct gunner) { .harness = reading.harness, .number = i, .circles = circles() };
		assert_int_equal(pthread_create(&gunners[i].thread, NULL, fire, &gunners[i]), 0);
	}
	for (unsigned running = n; running;) {
		pass(&reading, false);
		collect(reading.queue, &packets, &bytes, &ended);
		if (pthread_tryjoin_np(gunners[n - running].thread, NULL) == 0)
			running--;
	}
	pass(&reading, true);
	collect(reading.queue, &packets, &bytes, &ended);
	for (unsigned i = 0; i < n; i++)
		sent += gunners[i].sent;

	print_message("%lu packets sent, %lu in records, %lu flows ended meanwhile\n", (unsigned long)sent,
	              (unsigned long)packets, (unsigned long)ended);
	assert_true(sent > 0);
	assert_int_equal(packets, sent);
	assert_int_equal(bytes, sent * 100);
	/* All but those of the last second, in each circle but the last. */
	assert_true(ended >= (uint64_t)(circles() - 1) * FLOWS);
	reading_close(&reading);
}

/* Two generations of a tuple that are over: the first one goes first, even where the second one is met before it. */
static void test_order(void **state)
{
	static const struct layer packet[LAYERS_MAX] = PKT(ETH, IP4(), UDP(), BYTES(72));
	struct reading reading;
	uint64_t packets = 0, bytes = 0, ended = 0;
	struct frame frame;

	reading_open(&reading);
	packet_build(packet, &frame);
	for (int generation = 0; generation < 2; generation++) {
		assert_int_equal(program_run(reading.harness->entry[POD_IN], &frame, &(struct delivery) { 0 }), -1);
		/* Beyond timeout and grace; a virtual machine may not have been up for much longer. */
		harness_pass_ms(reading.harness, IDLE_MS + 1500);
	}
	for (unsigned left = 2; left; left--) {
		assert_int_equal(entries(reading.harness), left);
		pass(&reading, false);
	}
	assert_int_equal(entries(reading.harness), 0);
	collect(reading.queue, &packets, &bytes, &ended);
	assert_int_equal(packets, 2);
	assert_int_equal(ended, 2);
	reading_close(&reading);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_fire), cmocka_unit_test(test_order) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
