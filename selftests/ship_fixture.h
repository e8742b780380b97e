/* SPDX-License-Identifier: Apache-2.0 */
/* A shipping thread with its queue and books, for tests that watch what becomes of records. */
#pragma once

#include <stdatomic.h>
#include "user/clock.h"
#include "user/ship.h"

#define SECOND NS_PER_SEC

/* Of a group of tests: makes and removes the certificates, and sets proxies in the environment, which must not be used. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* Unix time until when the good certificates are valid. */
extern int64_t fixture_not_after;

/* Paths of certificates and keys, by name; the latest sixteen are valid. */
const char *fixture_file(const char *name);

struct fixture {
	struct books *books;
	struct queue *queue;
	struct ship *ship;
	struct ship_options options;
	char url[64];
	atomic_int sockets_opened, sockets_open;
};

/* A queue and options for a backend at PORT (0: none); a test may change the options before it starts the ship. */
void fixture_prepare(struct fixture *fixture, int port);
void fixture_start(struct fixture *fixture);

void fixture_push(struct fixture *fixture, enum record_kind kind, size_t n, size_t data_size);
struct record_account fixture_account(struct fixture *fixture, enum record_kind kind);

/* Polls, since nobody tells of a change of status: until CHECK says yes, for ten seconds at most. */
bool eventually(struct fixture *fixture, bool (*check)(struct fixture *fixture, const void *what), const void *what);

/* Checks: nothing is queued any more; and the latest attempt was a success, too. */
bool all_settled(struct fixture *fixture, const void *what);
bool is_up(struct fixture *fixture, const void *what);

/* Waits until the status has an error with WORDS in it; or, for the latter, any error, which then must have them. */
void assert_says(struct fixture *fixture, const char *words);
void assert_says_at_once(struct fixture *fixture, const char *words);

/* Stops the ship and holds the books: received = acked + dropped, once nothing is queued. */
void fixture_finish(struct fixture *fixture, uint64_t stop_ns);
