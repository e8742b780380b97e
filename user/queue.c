// SPDX-License-Identifier: Apache-2.0
#include <assert.h>
#include <errno.h>
#include <sys/eventfd.h>
#include "user/queue.h"

/* All of it is guarded by the lock of the books, so that an account and the list it speaks of change together. */
struct queue {
	struct books *books;
	size_t max_records, max_bytes, wake_records;
	int wake_fd;
	struct record_list waiting, unnamed;
	size_t waiting_kinds[RECORD_KIND_MAX]; /* of both lists, and of what queue_take_unnamed gave out */
	struct {
		size_t kinds[RECORD_KIND_MAX];
		size_t records, bytes;
	} in_flight;
};

int queue_new(struct books *books, size_t max_records, size_t max_bytes, struct queue **ret_queue)
{
	_cleanup_(freep) struct queue *queue = calloc(1, sizeof(*queue));
	if (!queue)
		return -ENOMEM;
	queue->books = books;
	queue->max_records = max_records;
	queue->max_bytes = max_bytes;
	queue->wake_records = max_records;
	queue->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (queue->wake_fd < 0)
		return -errno;
	*ret_queue = TAKE_PTR(queue);
	return 0;
}

static void queue_drop_oldest(struct queue *queue, struct books_state *state, enum drop_reason reason)
{
	struct record *record = record_list_pop(queue->waiting.first ? &queue->waiting : &queue->unnamed);
	queue->waiting_kinds[record->kind]--;
	state->kinds[record->kind].dropped[reason]++;
	record_free(record);
}

void queue_free(struct queue *queue, enum drop_reason reason)
{
	if (!queue)
		return;
	struct books_state *state = books_begin(queue->books);
	while (queue->waiting.first || queue->unnamed.first)
		queue_drop_oldest(queue, state, reason);
	for (int kind = 0; kind < RECORD_KIND_MAX; kind++)
		state->kinds[kind].dropped[reason] += queue->in_flight.kinds[kind];
	books_commit(queue->books);
	close(queue->wake_fd);
	free(queue);
}

static bool queue_is_too_full(const struct queue *queue)
{
	return queue->waiting.records + queue->unnamed.records + queue->in_flight.records > queue->max_records ||
	       queue->waiting.bytes + queue->unnamed.bytes + queue->in_flight.bytes > queue->max_bytes;
}

/* Where the records of LIST (left empty) belong, whose kinds are counted; wakes who takes them. */
static void queue_sort(struct queue *queue, struct record_list *list)
{
	size_t before = queue->waiting.records;
	for (struct record *record; (record = record_list_pop(list));)
		record_list_append(record->unnamed ? &queue->unnamed : &queue->waiting, record);
	/* Adding to an eventfd fails only when its counter is full: then it is readable anyway. */
	if (before < queue->wake_records && queue->waiting.records >= queue->wake_records)
		(void)eventfd_write(queue->wake_fd, 1);
}

void queue_push(struct queue *queue, struct books_state *state, struct record_list *list)
{
	for (const struct record *record = list->first; record; record = record->next)
		queue->waiting_kinds[record->kind]++;
	queue_sort(queue, list);
	while ((queue->waiting.first || queue->unnamed.first) && queue_is_too_full(queue))
		queue_drop_oldest(queue, state, DROP_QUEUE_FULL);
}

void queue_take_unnamed(struct queue *queue, struct record_list *list)
{
	books_begin(queue->books);
	record_list_splice(list, &queue->unnamed);
	books_commit(queue->books);
}

void queue_return(struct queue *queue, struct record_list *list)
{
	books_begin(queue->books);
	queue_sort(queue, list);
	books_commit(queue->books);
}

size_t queue_take(struct queue *queue, size_t max_records, size_t max_bytes, record_measure *measure,
                  struct record_list *list)
{
	size_t taken = 0, bytes = 0;
	books_begin(queue->books);
	assert(!queue->in_flight.records);
	for (struct record *record; taken < max_records && (record = queue->waiting.first); taken++) {
		size_t size = measure(record);
		if (taken && (size > max_bytes || bytes > max_bytes - size))
			break;
		bytes += size;
		queue->waiting_kinds[record->kind]--;
		queue->in_flight.kinds[record->kind]++;
		queue->in_flight.records++;
		queue->in_flight.bytes += record_size(record);
		record_list_append(list, record_list_pop(&queue->waiting));
	}
	books_commit(queue->books);
	return taken;
}

void queue_settle(struct queue *queue, const struct queue_outcome *outcome)
{
	struct books_state *state = books_begin(queue->books);
	for (int kind = 0; kind < RECORD_KIND_MAX; kind++) {
		uint64_t settled = outcome->acked[kind];
		state->kinds[kind].acked += outcome->acked[kind];
		for (int reason = 0; reason < DROP_REASON_MAX; reason++) {
			settled += outcome->dropped[kind][reason];
			state->kinds[kind].dropped[reason] += outcome->dropped[kind][reason];
		}
		assert(settled == queue->in_flight.kinds[kind]);
		queue->in_flight.kinds[kind] = 0;
	}
	queue->in_flight.records = 0;
	queue->in_flight.bytes = 0;
	books_commit(queue->books);
}

void queue_level(const struct queue *queue, struct queue_level *ret_level)
{
	*ret_level = (struct queue_level) {
		.waiting = queue->waiting.records,
		.waiting_bytes = queue->waiting.bytes,
	};
	for (int kind = 0; kind < RECORD_KIND_MAX; kind++)
		ret_level->records[kind] = queue->waiting_kinds[kind] + queue->in_flight.kinds[kind];
}

size_t queue_waiting(const struct queue *queue)
{
	books_begin(queue->books);
	size_t waiting = queue->waiting.records;
	books_commit(queue->books);
	return waiting;
}

int queue_wake_fd(const struct queue *queue)
{
	return queue->wake_fd;
}

void queue_set_wake(struct queue *queue, size_t wake_records)
{
	books_begin(queue->books);
	queue->wake_records = wake_records;
	books_commit(queue->books);
}
