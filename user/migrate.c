// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <string.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "user/pins.h"
#include "user/sensor_internal.h"

/* The layout's name is its hash in hexadecimal. */
static uint64_t layout_number(const char *layout)
{
	return strtoull(layout, NULL, 16);
}

static int adopt_layout(const char *layout, void *data)
{
	struct sensor *sensor = data;
	_cleanup_(maps_close) struct sensor_maps maps = SENSOR_MAPS_CLOSED;
	uint32_t id, *previous = NULL;

	if (strcmp(layout, sensor->loader->layout) == 0)
		return 0;
	int r = maps_open(sensor->loader->bpffs, layout, &maps);
	if (r < 0) {
		log_warn("pins of another version cannot be read, removing them with what they counted", "layout",
		         layout, "error", LOG_ERRNO(r));
		return pins_remove(sensor->loader->bpffs, layout);
	}
	for (; bpf_map_get_next_key(maps.ifaces, previous, &id) == 0; previous = &id) {
		struct iface_info info;
		if (bpf_map_lookup_elem(maps.ifaces, &id, &info) < 0)
			continue;
		r = ifaces_adopt(sensor->ifaces, layout, id, &info);
		if (r < 0)
			log_warn("an interface of the former layout cannot be taken over, attaching it anew",
			         "interface", info.name, "error", LOG_ERRNO(r));
	}
	return 0;
}

int sensor_migrate_begin(struct sensor *sensor)
{
	return pins_layouts(sensor->loader->bpffs, adopt_layout, sensor);
}

static int drain_flows(struct sensor *sensor, const struct sensor_maps *maps, struct books *books)
{
	_cleanup_(readout_freep) struct readout *readout = NULL;
	struct readout_options options = {
		.maps = maps,
		.books = books,
		.queue = sensor->queue,
		.queue_books = sensor->books,
		.decoder = { .enrich = sensor->enrich },
		.active_timeout_ns = sensor->settings.flows.active_timeout,
		.idle_timeout_ns = sensor->settings.flows.idle_timeout,
	};
	int r = readout_open(&options, &readout);
	if (r < 0)
		return r;
	readout_begin(readout, true);
	while ((r = readout_step(readout)) > 0)
		sensor_drain(sensor, SIZE_MAX);
	return r;
}

static int drain_ring(struct sensor *sensor, const struct sensor_maps *maps, const struct books_state *theirs)
{
	_cleanup_(ring_freep) struct ring *ring = NULL;
	int r = ring_open(maps->ring, maps->ring_bytes, &ring);
	if (r < 0)
		return r;
	uint64_t position = theirs->ring_position;
	while (sensor_drain_ring(sensor, ring, &position, SIZE_MAX))
		;
	return 0;
}

/* What the kernel counted of each kind goes with the loader's part of the account. */
static int add_records(struct books_state *state, const struct sensor_maps *maps, const struct books_state *theirs)
{
	int cpus = libbpf_num_possible_cpus();
	if (cpus < 0)
		return cpus;
	_cleanup_(freep) struct record_stats *stats = calloc((size_t)cpus, sizeof(*stats));
	if (!stats)
		return -ENOMEM;

	for (uint32_t kind = 0; kind < RECORD_KIND_MAX; kind++) {
		struct record_account *account = &state->kinds[kind];
		const struct record_account *other = &theirs->kinds[kind];
		if (bpf_map_lookup_elem(maps->record_stats, &kind, stats) < 0)
			return -errno;
		account->produced += other->produced;
		for (int cpu = 0; cpu < cpus; cpu++) {
			account->produced += stats[cpu].produced;
			account->lost[LOST_RING_FULL] += stats[cpu].lost_ring;
			account->lost[LOST_RATE_LIMIT] += stats[cpu].lost_rate;
		}
		account->received += other->received;
		account->acked += other->acked;
		for (int reason = 0; reason < LOST_REASON_MAX; reason++)
			account->lost[reason] += other->lost[reason];
		uint64_t settled = other->acked;
		for (int reason = 0; reason < DROP_REASON_MAX; reason++) {
			account->dropped[reason] += other->dropped[reason];
			settled += other->dropped[reason];
		}
		account->dropped[DROP_CRASH] += other->received - settled;
	}
	return 0;
}

static int add_books(struct sensor *sensor, const char *layout, const struct sensor_maps *maps,
                     const struct books_state *theirs)
{
	struct hook_stats sum[DIRECTION_MAX];
	int r = ifaces_sum(maps, theirs, sum);
	if (r < 0)
		return r;

	struct books_state *state = books_begin(sensor->books);
	if (state->departed_layout != layout_number(layout)) {
		r = add_records(state, maps, theirs);
		for (int direction = 0; direction < DIRECTION_MAX; direction++)
			hook_stats_add(&state->departed[direction], &sum[direction]);
		state->flow_packets += theirs->flow_packets;
		state->flow_bytes += theirs->flow_bytes;
		state->departed_layout = layout_number(layout);
	}
	books_commit(sensor->books);
	return r;
}

static int finish_layout(const char *layout, void *data)
{
	struct sensor *sensor = data;
	_cleanup_(maps_close) struct sensor_maps maps = SENSOR_MAPS_CLOSED;
	_cleanup_(books_freep) struct books *books = NULL;
	struct books_state theirs;

	if (strcmp(layout, sensor->loader->layout) == 0)
		return 0;
	int r = maps_open(sensor->loader->bpffs, layout, &maps);
	if (r == 0)
		r = books_open(maps.books, &books);
	if (r == 0) {
		books_read(books, &theirs);
		r = drain_ring(sensor, &maps, &theirs);
	}
	if (r == 0)
		r = drain_flows(sensor, &maps, books);
	if (r == 0) {
		books_read(books, &theirs);
		r = add_books(sensor, layout, &maps, &theirs);
	}
	if (r < 0) {
		log_error("the former layout could not be drained, leaving its pins for the next start", "layout",
		          layout, "error", LOG_ERRNO(r));
		return 0;
	}
	log_info("the former layout's flows and books were taken over", "layout", layout);
	return pins_remove(sensor->loader->bpffs, layout);
}

int sensor_migrate_finish(struct sensor *sensor)
{
	return pins_layouts(sensor->loader->bpffs, finish_layout, sensor);
}
