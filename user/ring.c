// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <sys/mman.h>
#include "user/ring.h"

struct ring {
	size_t page, bytes;
	uint64_t *consumer;       /* writable page */
	const uint64_t *producer; /* read-only, the data behind it */
	const uint8_t *data;
};

int ring_open(int map_fd, uint32_t bytes, struct ring **ret_ring)
{
	_cleanup_(ring_freep) struct ring *ring = calloc(1, sizeof(*ring));
	if (!ring)
		return -ENOMEM;
	ring->page = (size_t)sysconf(_SC_PAGESIZE);
	ring->bytes = bytes;

	void *map = mmap(NULL, ring->page, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	ring->consumer = map;
	map = mmap(NULL, ring->page + 2 * ring->bytes, PROT_READ, MAP_SHARED, map_fd, (off_t)ring->page);
	if (map == MAP_FAILED)
		return -errno;
	ring->producer = map;
	ring->data = (const uint8_t *)map + ring->page;
	*ret_ring = TAKE_PTR(ring);
	return 0;
}

void ring_free(struct ring *ring)
{
	if (!ring)
		return;
	if (ring->consumer)
		munmap(ring->consumer, ring->page);
	if (ring->producer)
		munmap((void *)ring->producer, ring->page + 2 * ring->bytes);
	free(ring);
}

/*
 * The record at *POSITION: false where there is none that is finished. *ret_record is NULL for one that its program
 * discarded. Moves *POSITION behind it.
 */
static bool ring_next(const struct ring *ring, uint64_t *position, uint64_t end, const void **ret_record,
                      size_t *ret_size)
{
	if (*position >= end)
		return false;
	const uint8_t *header = ring->data + (*position & (ring->bytes - 1));
	uint32_t length = __atomic_load_n((const uint32_t *)header, __ATOMIC_ACQUIRE);
	if (length & BPF_RINGBUF_BUSY_BIT)
		return false;

	*ret_record = length & BPF_RINGBUF_DISCARD_BIT ? NULL : header + BPF_RINGBUF_HDR_SZ;
	length &= ~(uint32_t)BPF_RINGBUF_DISCARD_BIT;
	*ret_size = length;
	*position += (length + BPF_RINGBUF_HDR_SZ + 7) / 8 * 8;
	return true;
}

size_t ring_read(const struct ring *ring, uint64_t *position, size_t max,
                 void (*visit)(const void *record, size_t size, void *data), void *data)
{
	uint64_t end = __atomic_load_n(ring->producer, __ATOMIC_ACQUIRE);
	size_t records = 0;
	const void *record;
	size_t size;

	while (records < max && ring_next(ring, position, end, &record, &size)) {
		if (!record)
			continue;
		visit(record, size, data);
		records++;
	}
	return records;
}

void ring_release(struct ring *ring, uint64_t position)
{
	__atomic_store_n(ring->consumer, position, __ATOMIC_RELEASE);
}

uint64_t ring_position(const struct ring *ring)
{
	return __atomic_load_n(ring->consumer, __ATOMIC_ACQUIRE);
}

void ring_backlog(const struct ring *ring, uint64_t position, struct ring_backlog *ret_backlog)
{
	uint64_t end = __atomic_load_n(ring->producer, __ATOMIC_ACQUIRE);
	const void *record;
	size_t size;

	*ret_backlog = (struct ring_backlog) { .bytes = end > position ? end - position : 0 };
	while (ring_next(ring, &position, end, &record, &size))
		ret_backlog->records += record != NULL;
}
