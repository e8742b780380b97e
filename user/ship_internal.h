/* SPDX-License-Identifier: Apache-2.0 */
/* What the two halves of the shipping thread share: ship.c (life, waiting, closing batches) and deliver.c. */
#pragma once

#include <pthread.h>
#include "user/clock.h"
#include "user/gzip.h"
#include "user/session.h"

/* The one that is encoded, compressed and not yet settled. */
struct batch {
	uint64_t records[RECORD_KIND_MAX];
	const struct buf *body; /* NULL: there was no backend to encode it for */
	bool gzip;
};

struct ship {
	struct queue *queue;
	pthread_t thread;
	int control_fd; /* eventfd: readable when next or stopping have changed */

	pthread_mutex_t lock; /* of next to status */
	struct session *next; /* what a reload asked for; NULL: none */
	bool stopping;
	uint64_t stop_ns; /* CLOCK_MONOTONIC: how long a stopping thread goes on */
	struct ship_status status;

	/* The thread's own. */
	struct session *session;
	struct gzip *gzip;
	struct buf encoded, compressed;
	struct batch batch;
	uint64_t close_ns;        /* when what waits is closed, however little it is */
	uint64_t certificates_ns; /* when their expiry is read again */
	unsigned failures;        /* in a row */
	char logged[256];         /* the latest failure, logged when it was new; "": none since the backend was up */
	char remark[256];         /* the latest remark on an answer with 2xx, likewise */
};

static inline uint64_t min_ns(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Looks what others asked for; *ret_stop_ns is UINT64_MAX where the thread is not to end. */
void ship_look(struct ship *ship, bool *ret_stopping, uint64_t *ret_stop_ns);

/* Between two POSTs: takes over what a reload brought; true: it did bring something. */
bool ship_take_over(struct ship *ship);

/* Notes when the certificates expire, once in a while. */
void ship_read_certificates(struct ship *ship);

/* Sleeps until UNTIL_NS, the next look at the certificates, a request of others, or WAKE_FD (-1: none) is readable. */
void ship_sleep(struct ship *ship, uint64_t until_ns, int wake_fd);

/* Sends the batch until it is settled. False: the time to stop came first. */
bool ship_deliver(struct ship *ship);
