// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "user/slots.h"

#define NONE UINT32_MAX

/* What the index knows of a slot that is in use. */
struct note {
	uint64_t id;       /* of the flow */
	uint32_t sequence; /* at the index */
	uint32_t latest;   /* when slots_add() looked last; other generations of the flow have their own view of it */
	uint32_t next;     /* in the same bucket; NONE: the last one */
};

struct slots {
	const struct flow_slot *map;
	uint32_t n;
	struct note *notes; /* one a slot */
	uint32_t *buckets;  /* the first note of each; n of them */
};

/* A copy of a slot at one moment, for its CPU writes on. False: it is being folded. */
static bool slot_read(const struct flow_slot *slot, struct flow_slot *ret_copy)
{
	uint32_t before = __atomic_load_n(&slot->sequence, __ATOMIC_ACQUIRE);
	if (before & 1)
		return false;
	*ret_copy = *slot;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	ret_copy->sequence = __atomic_load_n(&slot->sequence, __ATOMIC_RELAXED);
	return ret_copy->sequence == before;
}

/* Folding takes its CPU some ten nanoseconds. */
static void slot_await(const struct flow_slot *slot, struct flow_slot *ret_copy)
{
	while (!slot_read(slot, ret_copy))
		;
}

static uint32_t bucket_of(const struct slots *slots, uint64_t id)
{
	return (uint32_t)((id * 0x9e3779b97f4a7c15) >> 32) % slots->n;
}

void slots_index(struct slots *slots)
{
	struct flow_slot copy;

	memset(slots->buckets, 0xff, slots->n * sizeof(*slots->buckets));
	for (uint32_t i = 0; i < slots->n; i++) {
		if (!__atomic_load_n(&slots->map[i].id, __ATOMIC_RELAXED))
			continue;
		slot_await(&slots->map[i], &copy);
		uint32_t *bucket = &slots->buckets[bucket_of(slots, copy.id)];
		slots->notes[i] = (struct note) { .id = copy.id, .sequence = copy.sequence, .next = *bucket };
		*bucket = i;
	}
}

static void add(struct flow *flow, const struct flow_slot *slot)
{
	for (int end = 0; end < 2; end++) {
		flow->end[end].packets += slot->packets[end];
		flow->end[end].bytes += slot->bytes[end];
		if (flow->end[end].last_ns < slot->last_ns[end])
			flow->end[end].last_ns = slot->last_ns[end];
	}
}

bool slots_add(struct slots *slots, struct flow *flow, bool again)
{
	bool unchanged = true;
	struct flow_slot copy;

	for (uint32_t i = slots->buckets[bucket_of(slots, flow->id)]; i != NONE; i = slots->notes[i].next) {
		struct note *note = &slots->notes[i];
		if (note->id != flow->id)
			continue;
		slot_await(&slots->map[i], &copy);
		if (copy.sequence != (again ? note->latest : note->sequence))
			unchanged = false;
		else if (copy.id == flow->id && copy.generation == flow->generation)
			add(flow, &copy);
		note->latest = copy.sequence;
	}
	return unchanged;
}

int slots_open(const struct sensor_maps *maps, struct slots **ret_slots)
{
	_cleanup_(slots_freep) struct slots *slots = calloc(1, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	slots->n = maps->slots_max;
	slots->notes = calloc(slots->n, sizeof(*slots->notes));
	slots->buckets = calloc(slots->n, sizeof(*slots->buckets));
	if (!slots->notes || !slots->buckets)
		return -ENOMEM;
	void *map = mmap(NULL, slots->n * sizeof(*slots->map), PROT_READ, MAP_SHARED, maps->slots, 0);
	if (map == MAP_FAILED)
		return -errno;
	slots->map = map;
	*ret_slots = TAKE_PTR(slots);
	return 0;
}

void slots_free(struct slots *slots)
{
	if (!slots)
		return;
	if (slots->map)
		munmap((void *)slots->map, slots->n * sizeof(*slots->map));
	free(slots->notes);
	free(slots->buckets);
	free(slots);
}
