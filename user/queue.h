/* SPDX-License-Identifier: Apache-2.0 */
/* The bounded queue between the thread that drains the ring and the one that ships: it never makes the former wait. */
#pragma once

#include "user/books.h"
#include "user/record.h"

struct queue;

/*
 * Bounds in records and in bytes of memory (record_size), those in flight and set aside included; BOOKS outlives the
 * queue. 0 or -errno.
 */
int queue_new(struct books *books, size_t max_records, size_t max_bytes, struct queue **ret_queue);
/* Records still in it are counted as dropped{REASON}, in-flight ones too. */
void queue_free(struct queue *queue, enum drop_reason reason);

/*
 * Hands over all of LIST (left empty). STATE is what books_begin returned: the caller holds the books and commits them,
 * with received (and produced, where the loader is the producer) already counted. Records that wait for names
 * (record->unnamed) are set aside: queued, but not to be taken yet. Where a bound is passed, the oldest records go, those
 * set aside last, and are counted as dropped{queue_full}.
 */
void queue_push(struct queue *queue, struct books_state *state, struct record_list *list);

/*
 * Moves the records that are set aside to the end of LIST, and back: those that wait no longer can be taken from then on,
 * behind all others. In between they stay queued in the account. For the thread that pushes, which does not push meanwhile.
 * Both take the lock of the books.
 */
void queue_take_unnamed(struct queue *queue, struct record_list *list);
void queue_return(struct queue *queue, struct record_list *list);

/* How many of MAX_BYTES a record takes: the taker's own measure, called with the books locked. */
typedef size_t record_measure(const struct record *record);

/*
 * Moves up to MAX_RECORDS records of together up to MAX_BYTES, by MEASURE (at least one record, if there is one), into
 * LIST, which becomes the one batch in flight: the records' account stays "queued" until queue_settle. Returns how many.
 */
size_t queue_take(struct queue *queue, size_t max_records, size_t max_bytes, record_measure *measure,
                  struct record_list *list);

/* What became of the batch in flight, per kind: acked, or dropped for REASON. All of it must be settled. */
struct queue_outcome {
	uint64_t acked[RECORD_KIND_MAX];
	uint64_t dropped[RECORD_KIND_MAX][DROP_REASON_MAX];
};
void queue_settle(struct queue *queue, const struct queue_outcome *outcome);

/*
 * What is queued, records in flight and set aside included; call it between books_begin and books_commit only: their lock
 * guards it.
 */
struct queue_level {
	size_t records[RECORD_KIND_MAX];
	size_t waiting, waiting_bytes; /* to be taken: neither in flight nor set aside */
};
void queue_level(const struct queue *queue, struct queue_level *ret_level);

/* Records that can be taken; takes the lock of the books. */
size_t queue_waiting(const struct queue *queue);

/*
 * A descriptor (eventfd) that becomes readable when WAKE_RECORDS or more can be taken; the reader clears it. One wake-up
 * per crossing, not per record. Stays the queue's.
 */
int queue_wake_fd(const struct queue *queue);
void queue_set_wake(struct queue *queue, size_t wake_records);
