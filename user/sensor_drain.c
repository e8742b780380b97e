// SPDX-License-Identifier: Apache-2.0
#include "user/sensor_internal.h"

/* What one call of ring_read collects. */
struct haul {
	struct decoder decoder;
	struct record_list records;
	uint64_t received[RECORD_KIND_MAX], invalid, no_memory[RECORD_KIND_MAX];
};

static void take(const void *data, size_t size, void *haul_data)
{
	struct haul *haul = haul_data;
	struct record *record;
	int r = decode_event(&haul->decoder, data, size, &record);

	if (r == 0) {
		haul->received[record->kind]++;
		record_list_append(&haul->records, record);
	} else if (r == -EBADMSG) {
		haul->invalid++;
	} else {
		const struct event_header *header = data;
		haul->received[header->kind]++;
		haul->no_memory[header->kind]++;
	}
}

/*
 * The books are committed with the ring position they stand for, and only then is the space given back: whatever moment
 * the process dies at, the next one starts from the committed position, and each record is received once.
 */
size_t sensor_drain_ring(struct sensor *sensor, struct ring *ring, uint64_t *position, size_t max)
{
	struct haul haul = { .decoder = sensor_decoder(sensor) };
	uint64_t former = *position;
	size_t records = ring_read(ring, position, max, take, &haul);
	if (*position == former)
		return 0;

	struct books_state *state = books_begin(sensor->books);
	for (int kind = 0; kind < RECORD_KIND_MAX; kind++) {
		state->kinds[kind].received += haul.received[kind];
		state->kinds[kind].dropped[DROP_ERROR] += haul.no_memory[kind];
	}
	/* Nobody can say of which kind they were; a packet is by far the likeliest. */
	state->kinds[RECORD_PACKET].lost[LOST_INVALID] += haul.invalid;
	if (ring == sensor->ring)
		state->ring_position = *position;
	queue_push(sensor->queue, state, &haul.records);
	books_commit(sensor->books);
	ring_release(ring, *position);
	return records;
}

size_t sensor_drain(struct sensor *sensor, size_t max)
{
	return sensor_drain_ring(sensor, sensor->ring, &sensor->ring_position, max);
}
