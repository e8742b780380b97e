// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include "selftests/pki.h"
#include "selftests/ship_fixture.h"
#include "user/log.h"

int64_t fixture_not_after;

static char pki[] = "/tmp/unit_ship.XXXXXX";

const char *fixture_file(const char *name)
{
	static char paths[16][64];
	static unsigned next;
	char *path = paths[next++ % ARRAY_SIZE(paths)];
	snprintf(path, 64, "%s/%s", pki, name);
	return path;
}

static void count_socket(int fd, bool open, void *data)
{
	struct fixture *fixture = data;
	if (open)
		fixture->sockets_opened++;
	fixture->sockets_open += open ? 1 : -1;
}

void fixture_prepare(struct fixture *fixture, int port)
{
	*fixture = (struct fixture) { 0 };
	assert_int_equal(books_open(-1, &fixture->books), 0);
	assert_int_equal(queue_new(fixture->books, 10000, 16 << 20, &fixture->queue), 0);
	if (port)
		snprintf(fixture->url, sizeof(fixture->url), "https://127.0.0.1:%d", port);
	fixture->options = (struct ship_options) {
		.url = fixture->url,
		.ca = fixture_file("ca.crt"),
		.cert = fixture_file("client.crt"),
		.key = fixture_file("client.key"),
		.gzip = true,
		.timeout_ns = 5 * NS_PER_SEC,
		.batch_records = 10,
		.batch_bytes = 1 << 20,
		.batch_age_ns = NS_PER_SEC / 20,
		.resource = { .service_version = "0", .host_name = "h", .stream_id = "s" },
		.on_socket = count_socket,
		.on_socket_data = fixture,
	};
}

void fixture_start(struct fixture *fixture)
{
	assert_int_equal(ship_start(&fixture->options, fixture->queue, &fixture->ship), 0);
}

void fixture_push(struct fixture *fixture, enum record_kind kind, size_t n, size_t data_size)
{
	struct record_list list = { 0 };
	for (size_t i = 0; i < n; i++) {
		uint8_t *data;
		struct record *record = record_new(kind, data_size, &data);
		assert_non_null(record);
		record->ip_version = 4;
		record->protocol = IPPROTO_UDP;
		record->source.port = (uint16_t)(i + 1);
		if (kind == RECORD_PACKET) {
			record->packet.data = data;
			record->packet.captured_length = (uint32_t)data_size;
			record->packet.one_in = 1;
		}
		record_list_append(&list, record);
	}
	struct books_state *state = books_begin(fixture->books);
	state->kinds[kind].received += n;
	queue_push(fixture->queue, state, &list);
	books_commit(fixture->books);
}

struct record_account fixture_account(struct fixture *fixture, enum record_kind kind)
{
	struct books_state state;
	books_read(fixture->books, &state);
	return state.kinds[kind];
}

bool eventually(struct fixture *fixture, bool (*check)(struct fixture *fixture, const void *what), const void *what)
{
	for (int i = 0; i < 1000; i++) {
		if (check(fixture, what))
			return true;
		poll(NULL, 0, 10);
	}
	return false;
}

bool all_settled(struct fixture *fixture, const void *what)
{
	struct queue_level level;
	books_begin(fixture->books);
	queue_level(fixture->queue, &level);
	books_commit(fixture->books);
	return !level.records[RECORD_FLOW] && !level.records[RECORD_PACKET];
}

bool is_up(struct fixture *fixture, const void *what)
{
	struct ship_status status;
	ship_status(fixture->ship, &status);
	return status.up && all_settled(fixture, NULL);
}

static bool says(struct fixture *fixture, const void *what)
{
	struct ship_status status;
	ship_status(fixture->ship, &status);
	return strstr(status.last_error, what) != NULL;
}

void assert_says(struct fixture *fixture, const char *words)
{
	if (eventually(fixture, says, words))
		return;
	struct ship_status status;
	ship_status(fixture->ship, &status);
	fail_msg("\"%s\" instead of \"%s\"", status.last_error, words);
}

static bool says_something(struct fixture *fixture, const void *what)
{
	struct ship_status status;
	ship_status(fixture->ship, &status);
	return *status.last_error;
}

void assert_says_at_once(struct fixture *fixture, const char *words)
{
	struct ship_status status;
	assert_true(eventually(fixture, says_something, NULL));
	ship_status(fixture->ship, &status);
	if (!strstr(status.last_error, words))
		fail_msg("\"%s\" instead of \"%s\"", status.last_error, words);
}

void fixture_finish(struct fixture *fixture, uint64_t stop_ns)
{
	ship_stop(fixture->ship, stop_ns);
	assert_int_equal(fixture->sockets_open, 0);
	queue_free(fixture->queue, DROP_SHUTDOWN);
	for (int kind = 0; kind < RECORD_KIND_MAX; kind++) {
		struct record_account books = fixture_account(fixture, (enum record_kind)kind);
		uint64_t fates = books.acked;
		for (int reason = 0; reason < DROP_REASON_MAX; reason++)
			fates += books.dropped[reason];
		assert_int_equal(books.received, fates);
	}
	books_free(fixture->books);
}

int fixture_setup(void **state)
{
	/* A proxy in the environment must not be used. */
	setenv("https_proxy", "http://127.0.0.1:1", 1);
	setenv("all_proxy", "http://127.0.0.1:1", 1);
	log_setup(LOG_ERROR, LOG_LOGFMT);
	return mkdtemp(pki) ? pki_make(pki, &fixture_not_after) : -1;
}

int fixture_teardown(void **state)
{
	pki_remove(pki);
	return 0;
}
