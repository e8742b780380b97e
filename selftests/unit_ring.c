// SPDX-License-Identifier: Apache-2.0
/*
 * The ring's reader: on a BPF ring buffer that the sensor's own program fills, and on memory laid out like one, where
 * records can be unfinished or discarded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <cmocka.h>
#include <linux/bpf.h>
#include "selftests/harness.h"

#define RING_BYTES 4096
#define RECORD     (BPF_RINGBUF_HDR_SZ + sizeof(struct packet_event) + 96)
#define ROOM       (RING_BYTES / RECORD)

struct reading {
	size_t n;
	uint32_t lengths[64];
};

static void visit_packet(const void *record, size_t size, void *data)
{
	const struct packet_event *event = record;
	struct reading *reading = data;
	assert_int_equal(size, sizeof(*event) + 96);
	assert_int_equal(event->header.version, EVENT_VERSION);
	reading->lengths[reading->n++] = event->original_length;
}

/* Samples of frames of 60, 61, 62, ... bytes. */
static void send_frames(const struct harness *harness, uint16_t first, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		const struct layer packet[LAYERS_MAX] = PKT(ETH, IP4(), UDP(), BYTES((uint16_t)(first + i - 42)));
		struct frame frame;
		packet_build(packet, &frame);
		assert_int_equal(program_run(harness->entry[POD_IN], &frame, &(struct delivery) { 0 }), -1);
	}
}

static struct harness *open_harness(void)
{
	const struct harness_options options = {
		.ring_bytes = RING_BYTES,
		.config = { .samples = 1, .head_bytes = 1000000, .snaplen = 96 },
	};
	return harness_open(&options);
}

static void test_read(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = open_harness();
	const struct ring *ring = harness->ring;
	struct ring_backlog backlog;
	struct reading reading = { 0 };
	uint64_t position = ring_position(ring);

	assert_int_equal(position, 0);
	assert_int_equal(ring_read(ring, &position, 64, visit_packet, &reading), 0);
	ring_backlog(ring, position, &backlog);
	assert_int_equal(backlog.bytes + backlog.records, 0);

	send_frames(harness, 60, 5);
	ring_backlog(ring, position, &backlog);
	assert_int_equal(backlog.records, 5);
	assert_int_equal(backlog.bytes, 5 * RECORD);

	/* No more than asked for, and the rest later, in order. */
	assert_int_equal(ring_read(ring, &position, 2, visit_packet, &reading), 2);
	assert_int_equal(position, 2 * RECORD);
	ring_backlog(ring, position, &backlog);
	assert_int_equal(backlog.records, 3);
	assert_int_equal(ring_read(ring, &position, 64, visit_packet, &reading), 3);
	for (uint32_t i = 0; i < 5; i++)
		assert_int_equal(reading.lengths[i], 60 + i);
	assert_int_equal(ring_read(ring, &position, 64, visit_packet, &reading), 0);
	assert_int_equal(position, 5 * RECORD);

	/* Reading gave nothing back: another reader would get them all. */
	assert_int_equal(ring_position(ring), 0);
	uint64_t again = ring_position(ring);
	reading.n = 0;
	assert_int_equal(ring_read(ring, &again, 64, visit_packet, &reading), 5);
}

/* Space comes back with ring_release, not before; records that wrap around the end are whole. */
static void test_release(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = open_harness();
	uint64_t position = 0;

	for (uint16_t round = 0; round < 10; round++) {
		struct reading reading = { 0 };
		uint64_t lost = harness_record_stats(harness, RECORD_PACKET).lost_ring;
		send_frames(harness, 60, ROOM + 1);
		assert_int_equal(harness_record_stats(harness, RECORD_PACKET).lost_ring, lost + 1);
		assert_int_equal(ring_read(harness->ring, &position, 64, visit_packet, &reading), ROOM);
		for (uint32_t i = 0; i < ROOM; i++)
			assert_int_equal(reading.lengths[i], 60 + i);
		send_frames(harness, 60, 1);
		assert_int_equal(harness_record_stats(harness, RECORD_PACKET).lost_ring, lost + 2);
		ring_release(harness->ring, position);
		assert_int_equal(ring_position(harness->ring), position);
	}
	assert_true(position > 5 * RING_BYTES);
}

/* A descriptor whose pages are those of a ring: consumer, producer, data twice. */
struct imitation {
	int fd;
	uint8_t *pages;
	size_t page;
	struct ring *ring;
};

static int imitation_setup(void **state)
{
	struct imitation *ring = calloc(1, sizeof(*ring));
	if (!ring)
		return -1;
	ring->page = (size_t)sysconf(_SC_PAGESIZE);
	size_t size = 2 * ring->page + 2 * RING_BYTES;
	ring->fd = memfd_create("ring", MFD_CLOEXEC);
	if (ring->fd < 0 || ftruncate(ring->fd, (off_t)size) < 0)
		return -1;
	ring->pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, 0);
	*state = ring;
	return ring->pages == MAP_FAILED ? -1 : ring_open(ring->fd, RING_BYTES, &ring->ring);
}

static int imitation_teardown(void **state)
{
	struct imitation *ring = *state;
	ring_free(ring->ring);
	munmap(ring->pages, 2 * ring->page + 2 * RING_BYTES);
	close(ring->fd);
	free(ring);
	return 0;
}

/* Writes a record's header at POSITION, flags included, and moves the producer behind it. */
static uint64_t produce(struct imitation *ring, uint64_t position, uint32_t size, uint32_t flags)
{
	uint32_t header[2] = { size | flags, 0 };
	memcpy(ring->pages + 2 * ring->page + position % RING_BYTES, header, sizeof(header));
	position += (size + BPF_RINGBUF_HDR_SZ + 7) / 8 * 8;
	memcpy(ring->pages + ring->page, &position, sizeof(position));
	return position;
}

static void visit_size(const void *record, size_t size, void *data)
{
	struct reading *reading = data;
	reading->lengths[reading->n++] = (uint32_t)size;
}

static void test_unfinished(void **state)
{
	struct imitation *ring = *state;
	struct reading reading = { 0 };
	struct ring_backlog backlog;
	uint64_t position = 0;

	uint64_t second = produce(ring, 0, 20, 0);
	uint64_t third = produce(ring, second, 33, BPF_RINGBUF_BUSY_BIT);
	uint64_t end = produce(ring, third, 8, 0);

	/* What is behind it has to wait, too: records are read in order. */
	assert_int_equal(ring_read(ring->ring, &position, 64, visit_size, &reading), 1);
	assert_int_equal(position, second);
	ring_backlog(ring->ring, 0, &backlog);
	assert_int_equal(backlog.records, 1);
	assert_int_equal(backlog.bytes, end);

	produce(ring, second, 33, 0);
	produce(ring, third, 8, 0);
	assert_int_equal(ring_read(ring->ring, &position, 64, visit_size, &reading), 2);
	assert_int_equal(position, end);
	assert_int_equal(reading.lengths[0], 20);
	assert_int_equal(reading.lengths[1], 33);
	assert_int_equal(reading.lengths[2], 8);
}

static void test_discarded(void **state)
{
	struct imitation *ring = *state;
	struct reading reading = { 0 };
	struct ring_backlog backlog;
	uint64_t position = 0;

	uint64_t end = produce(ring, 0, 20, BPF_RINGBUF_DISCARD_BIT);
	end = produce(ring, end, 40, 0);
	end = produce(ring, end, 60, BPF_RINGBUF_DISCARD_BIT);
	ring_backlog(ring->ring, 0, &backlog);
	assert_int_equal(backlog.records, 1);
	assert_int_equal(ring_read(ring->ring, &position, 64, visit_size, &reading), 1);
	assert_int_equal(reading.lengths[0], 40);
	assert_int_equal(position, end);
}

static void test_not_a_ring(void **state)
{
	struct ring *ring = NULL;
	_cleanup_(closep) int fd = eventfd(0, EFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ring_open(fd, RING_BYTES, &ring), -ENODEV);
	assert_null(ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_release),
		cmocka_unit_test_setup_teardown(test_unfinished, imitation_setup, imitation_teardown),
		cmocka_unit_test_setup_teardown(test_discarded, imitation_setup, imitation_teardown),
		cmocka_unit_test(test_not_a_ring),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
