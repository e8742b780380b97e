// SPDX-License-Identifier: Apache-2.0
/* The bounded queue: order, bounds, the books it keeps, wake-ups, and two threads at it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include "user/queue.h"

struct fixture {
	struct books *books;
	struct queue *queue;
};

static struct fixture make(size_t max_records, size_t max_bytes)
{
	struct fixture fixture;
	assert_int_equal(books_open(-1, &fixture.books), 0);
	assert_int_equal(queue_new(fixture.books, max_records, max_bytes, &fixture.queue), 0);
	return fixture;
}

/* received = acked + queued + dropped, per kind; QUEUED tells what is queued by our own account. */
static void assert_balanced(const struct books_state *state, const uint64_t queued[RECORD_KIND_MAX])
{
	for (int kind = 0; kind < RECORD_KIND_MAX; kind++) {
		uint64_t fates = state->kinds[kind].acked + queued[kind];
		for (int reason = 0; reason < DROP_REASON_MAX; reason++)
			fates += state->kinds[kind].dropped[reason];
		assert_int_equal(state->kinds[kind].received, fates);
	}
}

static void assert_level(struct fixture *fixture, size_t flows, size_t packets)
{
	struct queue_level level;
	struct books_state *state = books_begin(fixture->books);
	queue_level(fixture->queue, &level);
	assert_int_equal(level.records[RECORD_FLOW], flows);
	assert_int_equal(level.records[RECORD_PACKET], packets);
	assert_balanced(state, level.records);
	books_commit(fixture->books);
}

/* Frees the queue; the books must balance with nothing queued. */
static void end(struct fixture *fixture, enum drop_reason reason)
{
	struct books_state state;
	queue_free(fixture->queue, reason);
	books_read(fixture->books, &state);
	assert_balanced(&state, (uint64_t[RECORD_KIND_MAX]) { 0 });
	books_free(fixture->books);
}

/* A record that is told apart by its time. */
static void append(struct record_list *list, enum record_kind kind, uint64_t time_ns, size_t data_size)
{
	uint8_t *data;
	struct record *record = record_new(kind, data_size, &data);
	assert_non_null(record);
	record->time_ns = time_ns;
	if (kind == RECORD_PACKET) {
		record->packet.captured_length = (uint32_t)data_size;
		record->packet.data = data;
	}
	record_list_append(list, record);
}

/* Leaves LIST empty, like queue_push. */
static void push(struct fixture *fixture, struct record_list *list)
{
	struct books_state *state = books_begin(fixture->books);
	for (struct record *record = list->first; record; record = record->next)
		state->kinds[record->kind].received++;
	queue_push(fixture->queue, state, list);
	books_commit(fixture->books);
	assert_null(list->first);
	assert_int_equal(list->records, 0);
}

static void push_flows(struct fixture *fixture, uint64_t first, size_t n)
{
	struct record_list list = { 0 };
	for (size_t i = 0; i < n; i++)
		append(&list, RECORD_FLOW, first + i, 0);
	push(fixture, &list);
}

static void settle_acked(struct fixture *fixture, const struct record_list *list)
{
	struct queue_outcome outcome = { 0 };
	for (struct record *record = list->first; record; record = record->next)
		outcome.acked[record->kind]++;
	queue_settle(fixture->queue, &outcome);
}

static void test_order_and_account(void **state)
{
	struct fixture fixture = make(100, 1 << 20);
	struct record_list list = { 0 }, batch = { 0 };
	append(&list, RECORD_FLOW, 1, 0);
	append(&list, RECORD_PACKET, 2, 64);
	append(&list, RECORD_FLOW, 3, 0);
	push(&fixture, &list);
	assert_level(&fixture, 2, 1);
	assert_int_equal(queue_waiting(fixture.queue), 3);

	assert_int_equal(queue_take(fixture.queue, 2, SIZE_MAX, record_size, &batch), 2);
	assert_int_equal(batch.first->time_ns, 1);
	assert_int_equal(batch.last->time_ns, 2);
	assert_level(&fixture, 2, 1); /* in flight is still queued */
	assert_int_equal(queue_waiting(fixture.queue), 1);

	queue_settle(fixture.queue, &(struct queue_outcome) { .acked = { [RECORD_FLOW] = 1 },
	                                                      .dropped[RECORD_PACKET][DROP_REJECTED] = 1 });
	assert_level(&fixture, 1, 0);
	struct books_state books;
	books_read(fixture.books, &books);
	assert_int_equal(books.kinds[RECORD_FLOW].acked, 1);
	assert_int_equal(books.kinds[RECORD_PACKET].dropped[DROP_REJECTED], 1);
	record_list_clear(&batch);

	assert_int_equal(queue_take(fixture.queue, 100, SIZE_MAX, record_size, &batch), 1);
	settle_acked(&fixture, &batch);
	record_list_clear(&batch);
	assert_int_equal(queue_take(fixture.queue, 100, SIZE_MAX, record_size, &batch), 0);
	end(&fixture, DROP_SHUTDOWN);
}

static size_t measure_ten(const struct record *record)
{
	return 10;
}

static void test_take_by_bytes(void **state)
{
	struct fixture fixture = make(100, 1 << 20);
	struct record_list batch = { 0 };
	push_flows(&fixture, 1, 10);
	assert_int_equal(queue_take(fixture.queue, 100, 39, measure_ten, &batch), 3);
	settle_acked(&fixture, &batch);
	record_list_clear(&batch);
	/* Exactly full, and a record that alone is more than the bound. */
	assert_int_equal(queue_take(fixture.queue, 100, 40, measure_ten, &batch), 4);
	settle_acked(&fixture, &batch);
	record_list_clear(&batch);
	assert_int_equal(queue_take(fixture.queue, 100, 9, measure_ten, &batch), 1);
	settle_acked(&fixture, &batch);
	record_list_clear(&batch);
	assert_level(&fixture, 2, 0);
	end(&fixture, DROP_SHUTDOWN);
}

static void test_oldest_go_first(void **state)
{
	struct fixture fixture = make(4, 1 << 20);
	struct record_list batch = { 0 };
	struct books_state books;
	push_flows(&fixture, 1, 3);
	push_flows(&fixture, 4, 3);
	assert_level(&fixture, 4, 0);
	books_read(fixture.books, &books);
	assert_int_equal(books.kinds[RECORD_FLOW].dropped[DROP_QUEUE_FULL], 2);

	/* What is in flight counts in the bound, but cannot go. */
	assert_int_equal(queue_take(fixture.queue, 2, SIZE_MAX, record_size, &batch), 2);
	assert_int_equal(batch.first->time_ns, 3);
	push_flows(&fixture, 7, 5);
	assert_level(&fixture, 4, 0);
	settle_acked(&fixture, &batch);
	record_list_clear(&batch);
	assert_int_equal(queue_take(fixture.queue, 10, SIZE_MAX, record_size, &batch), 2);
	assert_int_equal(batch.first->time_ns, 10);
	assert_int_equal(batch.last->time_ns, 11);
	record_list_clear(&batch);
	/* The batch in flight is given up with the queue. */
	end(&fixture, DROP_SHUTDOWN);
}

static void test_bound_in_bytes(void **state)
{
	struct record_list list = { 0 };
	append(&list, RECORD_PACKET, 0, 1000);
	size_t one = record_size(list.first);
	struct fixture fixture = make(1000, 3 * one);
	for (uint64_t i = 1; i < 10; i++)
		append(&list, RECORD_PACKET, i, 1000);
	push(&fixture, &list);
	assert_level(&fixture, 0, 3);
	/* One that alone exceeds the bound is dropped, and takes all others with it. */
	append(&list, RECORD_PACKET, 10, 3 * one);
	push(&fixture, &list);
	assert_level(&fixture, 0, 0);
	end(&fixture, DROP_SHUTDOWN);
}

static int is_readable(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	return poll(&pollfd, 1, 0) == 1;
}

static void test_wakes_once_a_crossing(void **state)
{
	struct fixture fixture = make(100, 1 << 20);
	struct record_list batch = { 0 };
	int fd = queue_wake_fd(fixture.queue);
	eventfd_t value;
	queue_set_wake(fixture.queue, 3);
	push_flows(&fixture, 1, 2);
	assert_false(is_readable(fd));
	push_flows(&fixture, 3, 1);
	assert_true(is_readable(fd));
	assert_int_equal(eventfd_read(fd, &value), 0);
	push_flows(&fixture, 4, 10); /* above it already */
	assert_false(is_readable(fd));

	assert_int_equal(queue_take(fixture.queue, 12, SIZE_MAX, record_size, &batch), 12);
	push_flows(&fixture, 14, 5);
	assert_true(is_readable(fd));
	record_list_clear(&batch);
	end(&fixture, DROP_SHUTDOWN);
}

#define STRESS_RECORDS 20000

static void *produce(void *data)
{
	struct fixture *fixture = data;
	for (uint64_t i = 0; i < STRESS_RECORDS;) {
		size_t n = 1 + i % 7;
		push_flows(fixture, i, n);
		i += n;
	}
	return NULL;
}

/* One thread pushes, one takes and settles in all ways, a reader finds balanced books at any time. */
static void test_threads(void **state)
{
	const char *given = getenv("SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
	print_message("SEED=%u\n", seed);
	struct fixture fixture = make(500, 1 << 20);
	pthread_t producer;
	uint64_t taken = 0, latest = 0;
	bool done = false;
	assert_int_equal(pthread_create(&producer, NULL, produce, &fixture), 0);
	while (!done || queue_waiting(fixture.queue)) {
		struct record_list batch = { 0 };
		taken += queue_take(fixture.queue, 1 + (size_t)rand_r(&seed) % 64, SIZE_MAX, record_size, &batch);
		for (struct record *record = batch.first; record; record = record->next) {
			assert_true(record->time_ns >= latest);
			latest = record->time_ns;
		}
		uint64_t dropped = batch.records ? (uint64_t)rand_r(&seed) % (batch.records + 1) : 0;
		queue_settle(fixture.queue,
		             &(struct queue_outcome) { .acked = { [RECORD_FLOW] = batch.records - dropped },
		                                       .dropped[RECORD_FLOW][DROP_REFUSED] = dropped });
		record_list_clear(&batch);

		struct queue_level level;
		struct books_state *books = books_begin(fixture.books);
		queue_level(fixture.queue, &level);
		assert_balanced(books, level.records);
		done = books->kinds[RECORD_FLOW].received >= STRESS_RECORDS;
		books_commit(fixture.books);
	}
	pthread_join(producer, NULL);
	struct books_state books;
	books_read(fixture.books, &books);
	assert_int_equal(books.kinds[RECORD_FLOW].received, taken + books.kinds[RECORD_FLOW].dropped[DROP_QUEUE_FULL]);
	end(&fixture, DROP_SHUTDOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_and_account),     cmocka_unit_test(test_take_by_bytes),
		cmocka_unit_test(test_oldest_go_first),       cmocka_unit_test(test_bound_in_bytes),
		cmocka_unit_test(test_wakes_once_a_crossing), cmocka_unit_test(test_threads),
	};
	return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
