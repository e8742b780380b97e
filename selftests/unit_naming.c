// SPDX-License-Identifier: Apache-2.0
/* Records that wait for names: when they are asked for again, when they go, and that the books know them all the time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <poll.h>
#include <string.h>
#include "user/clock.h"
#include "user/naming.h"

/* Who is asked: an end on port N is known at the Nth time that it is asked for, NEVER not at all. */
#define NEVER 7
static struct {
	size_t asked, finals;
} asked[8];

/* One label, of the process number that the owner has. */
struct pod_facts *enrich_facts(const struct enrich *enrich, const struct owner *owner)
{
	char value[16];
	const struct pod_fact fact = { .key = "k8s.pod.label.pid", .value = value };
	snprintf(value, sizeof(value), "%u", owner_names(owner)->pid);
	return pod_facts_new(&fact, 1);
}

bool enrich_end(struct enrich *enrich, const struct enrich_end *end, bool final, struct owner **ret_owner)
{
	size_t times = ++asked[end->port].asked;
	asked[end->port].finals += final;
	*ret_owner = owner_new(&(struct owner_names) { .pid = (uint32_t)times });
	return !final && (end->port == NEVER || times < end->port);
}

static struct enrich *const nobody = (struct enrich *)&asked;

struct fixture {
	struct books *books;
	struct queue *queue;
};

static int setup(void **state)
{
	static struct fixture fixture;
	memset(asked, 0, sizeof(asked));
	assert_int_equal(books_open(-1, &fixture.books), 0);
	assert_int_equal(queue_new(fixture.books, 2 * NAMING_MAX, 1 << 30, &fixture.queue), 0);
	*state = &fixture;
	return 0;
}

/* received = acked + queued + dropped, with N of QUEUED's kind queued and nothing else. */
static void assert_queued(struct fixture *fixture, size_t n)
{
	struct queue_level level;
	const struct books_state *state = books_begin(fixture->books);
	queue_level(fixture->queue, &level);
	uint64_t settled = state->kinds[RECORD_FLOW].acked + level.records[RECORD_FLOW];
	for (int reason = 0; reason < DROP_REASON_MAX; reason++)
		settled += state->kinds[RECORD_FLOW].dropped[reason];
	assert_int_equal(state->kinds[RECORD_FLOW].received, settled);
	books_commit(fixture->books);
	assert_int_equal(level.records[RECORD_FLOW], n);
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	struct books_state books;
	queue_free(fixture->queue, DROP_SHUTDOWN);
	books_read(fixture->books, &books);
	assert_int_equal(books.kinds[RECORD_FLOW].received, books.kinds[RECORD_FLOW].acked +
	                                                            books.kinds[RECORD_FLOW].dropped[DROP_QUEUE_FULL] +
	                                                            books.kinds[RECORD_FLOW].dropped[DROP_SHUTDOWN]);
	books_free(fixture->books);
	return 0;
}

/* A record whose ends are known when they were asked for so many times. */
static struct record *make(uint16_t source, uint16_t destination)
{
	const struct enrich_end ends[2] = { { .port = source }, { .port = destination } };
	struct record *record = record_new(RECORD_FLOW, 0, NULL);
	assert_non_null(record);
	record_name(record, nobody, ends);
	return record;
}

static void push(struct fixture *fixture, struct record *record)
{
	struct record_list list = { 0 };
	record_list_append(&list, record);
	struct books_state *state = books_begin(fixture->books);
	state->kinds[RECORD_FLOW].received++;
	queue_push(fixture->queue, state, &list);
	books_commit(fixture->books);
}

/* So much time passes for all that wait. */
static void age(struct fixture *fixture, uint64_t ns)
{
	struct record_list list = { 0 };
	queue_take_unnamed(fixture->queue, &list);
	for (struct record *record = list.first; record; record = record->next) {
		record->unnamed->since_ns -= ns;
		record->unnamed->retry_ns -= ns;
	}
	queue_return(fixture->queue, &list);
}

/* The facts are those of the owner that was found last. */
static void assert_facts(const struct endpoint *endpoint, uint32_t pid)
{
	size_t n;
	const struct pod_fact *facts = pod_facts_all(endpoint->facts, &n);
	assert_int_equal(n, 1);
	assert_int_equal(strtoul(facts[0].value, NULL, 10), pid);
}

static void assert_taken(struct fixture *fixture, uint32_t source_pid, uint32_t destination_pid)
{
	_cleanup_(record_list_clear) struct record_list batch = { 0 };
	assert_int_equal(queue_take(fixture->queue, 1, SIZE_MAX, record_size, &batch), 1);
	assert_null(batch.first->unnamed);
	assert_int_equal(owner_names(batch.first->source.owner)->pid, source_pid);
	assert_int_equal(owner_names(batch.first->destination.owner)->pid, destination_pid);
	assert_facts(&batch.first->source, source_pid);
	assert_facts(&batch.first->destination, destination_pid);
	queue_settle(fixture->queue, &(struct queue_outcome) { .acked = { [RECORD_FLOW] = 1 } });
}

static void test_at_once(void **state)
{
	struct record *record = make(0, 1);
	assert_null(record->unnamed);
	push(*state, record);
	assert_taken(*state, 1, 1);
}

/* Only the end that is open is asked for again, and not before its time. */
static void test_a_moment_later(void **state)
{
	struct fixture *fixture = *state;
	push(fixture, make(1, 3));
	assert_int_equal(queue_waiting(fixture->queue), 0);
	naming_retry(fixture->queue, nobody, false);
	assert_int_equal(asked[3].asked, 1);

	age(fixture, 60 * NS_PER_MS);
	naming_retry(fixture->queue, nobody, false);
	assert_int_equal(asked[3].asked, 2);
	assert_int_equal(queue_waiting(fixture->queue), 0);
	assert_queued(fixture, 1);

	/* The next time is as far away as the time that it has waited. */
	age(fixture, 40 * NS_PER_MS);
	naming_retry(fixture->queue, nobody, false);
	assert_int_equal(asked[3].asked, 2);
	age(fixture, 30 * NS_PER_MS);
	naming_retry(fixture->queue, nobody, false);
	assert_int_equal(asked[3].asked, 3);
	assert_int_equal(asked[1].asked, 1);
	assert_int_equal(asked[1].finals + asked[3].finals, 0);
	assert_queued(fixture, 1);
	assert_taken(fixture, 1, 3);
	assert_queued(fixture, 0);
}

static void test_patience(void **state)
{
	struct fixture *fixture = *state;
	push(fixture, make(NEVER, 1));
	age(fixture, NAMING_PATIENCE_NS - 500 * NS_PER_MS);
	naming_retry(fixture->queue, nobody, false);
	assert_int_equal(asked[NEVER].finals, 0);
	age(fixture, 500 * NS_PER_MS);
	naming_retry(fixture->queue, nobody, false);
	assert_int_equal(asked[NEVER].finals, 1);
	assert_taken(fixture, 3, 1);
}

/* A stop, and a reader that sees a batch come. */
static void test_last(void **state)
{
	struct fixture *fixture = *state;
	struct pollfd wake = { .fd = queue_wake_fd(fixture->queue), .events = POLLIN };
	queue_set_wake(fixture->queue, 2);
	push(fixture, make(NEVER, 6));
	push(fixture, make(NEVER, 1));
	assert_int_equal(poll(&wake, 1, 0), 0);
	naming_retry(fixture->queue, NULL, true); /* without names nothing waits */
	assert_int_equal(queue_waiting(fixture->queue), 0);
	naming_retry(fixture->queue, nobody, true);
	assert_int_equal(asked[NEVER].finals, 2);
	assert_int_equal(asked[6].finals, 1);
	assert_int_equal(queue_waiting(fixture->queue), 2);
	assert_int_equal(poll(&wake, 1, 0), 1);
	assert_taken(fixture, 3, 2);
	assert_taken(fixture, 4, 1);
}

/* Beyond the bound, those that have waited for longest go. */
static void test_bound(void **state)
{
	struct fixture *fixture = *state;
	for (size_t i = 0; i < 3; i++)
		push(fixture, make(5, 0));
	for (size_t i = 0; i < NAMING_MAX; i++)
		push(fixture, make(NEVER, 0));
	assert_queued(fixture, NAMING_MAX + 3);
	naming_retry(fixture->queue, nobody, false);
	assert_int_equal(asked[5].finals, 3);
	assert_int_equal(asked[NEVER].finals, 0);
	assert_int_equal(queue_waiting(fixture->queue), 3);
	assert_queued(fixture, NAMING_MAX + 3);
}

/* The queue's own bound: what can be taken goes before what waits. */
static void test_queue_is_full(void **state)
{
	struct fixture *fixture = *state;
	for (size_t i = 0; i < NAMING_MAX; i++) {
		push(fixture, make(NEVER, 0));
		push(fixture, make(0, 0));
	}
	push(fixture, make(NEVER, 0));
	assert_queued(fixture, 2 * NAMING_MAX);
	assert_int_equal(queue_waiting(fixture->queue), NAMING_MAX - 1);
	for (size_t i = 0; i < NAMING_MAX; i++)
		push(fixture, make(NEVER, 0));
	assert_queued(fixture, 2 * NAMING_MAX);
	assert_int_equal(queue_waiting(fixture->queue), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_at_once), TEST(test_a_moment_later), TEST(test_patience),
		TEST(test_last),    TEST(test_bound),          TEST(test_queue_is_full),
	};
	return cmocka_run_group_tests_name("naming", tests, NULL, NULL);
}
