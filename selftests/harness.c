// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "bpf/config.h"
#include "sensor.skel.h"
#include "selftests/harness.h"

#define FLOWS_MAX    64
#define RING_BYTES   65536
#define IDLE_TIMEOUT (15ULL * 1000000000)

static struct sensor_bpf *skeleton_load(const struct harness_options *options)
{
	struct sensor_bpf *skeleton = sensor_bpf__open();
	struct bpf_map *map;
	assert_non_null(skeleton);

	skeleton->rodata->sensor = options->config;
	if (!options->config.idle_timeout_ns)
		skeleton->rodata->sensor.idle_timeout_ns = IDLE_TIMEOUT;
	uint32_t flows_max = options->flows_max ? options->flows_max : FLOWS_MAX;
	bpf_map__set_max_entries(skeleton->maps.flows, flows_max);
	bpf_map__set_max_entries(skeleton->maps.reported, flows_max);
	bpf_map__set_max_entries(skeleton->maps.slots, SLOTS_PER_CPU * (uint32_t)libbpf_num_possible_cpus());
	bpf_map__set_max_entries(skeleton->maps.connections, flows_max);
	bpf_map__set_max_entries(skeleton->maps.ring, options->ring_bytes ? options->ring_bytes : RING_BYTES);
	bpf_object__for_each_map(map, skeleton->obj) assert_int_equal(bpf_map__set_pin_path(map, NULL), 0);
	if (sensor_bpf__load(skeleton) != 0)
		fail_msg("the programs do not load: %s", strerror(errno));
	return skeleton;
}

struct harness *harness_open(const struct harness_options *options)
{
	struct harness *harness = calloc(1, sizeof(*harness));
	assert_non_null(harness);
	harness->skeleton = skeleton_load(options);
	harness->loader.skeleton = harness->skeleton;
	harness->main = bpf_program__fd(harness->skeleton->progs.sonde_main);
	harness_filters(harness, harness->main);
	for (unsigned hook = 0; hook < HOOKS; hook++) {
		const struct entry entry = {
			.hook = HOOK_NUMBER(hook),
			.stats_index = HOOK_STATS(hook),
			.link_type = HOOK_LINK_TYPE(hook),
		};
		assert_int_equal(entry_load(&harness->loader, &entry, &harness->entry[hook]), 0);
	}
	harness->n_slots = bpf_map__max_entries(harness->skeleton->maps.slots);
	harness->slots = mmap(NULL, harness->n_slots * sizeof(*harness->slots), PROT_READ | PROT_WRITE, MAP_SHARED,
	                      harness_map(harness, "slots"), 0);
	assert_ptr_not_equal(harness->slots, MAP_FAILED);
	assert_int_equal(ring_open(harness_map(harness, "ring"), bpf_map__max_entries(harness->skeleton->maps.ring),
	                           &harness->ring),
	                 0);
	return harness;
}

static void forget_records(struct harness *harness)
{
	while (harness->n_records)
		free(harness->records[--harness->n_records]);
}

void harness_free(struct harness *harness)
{
	forget_records(harness);
	ring_free(harness->ring);
	munmap(harness->slots, harness->n_slots * sizeof(*harness->slots));
	for (unsigned hook = 0; hook < HOOKS; hook++)
		close(harness->entry[hook]);
	sensor_bpf__destroy(harness->skeleton);
	free(harness);
}

int harness_map(const struct harness *harness, const char *name)
{
	int map = bpf_object__find_map_fd_by_name(harness->skeleton->obj, name);
	assert_true(map >= 0);
	return map;
}

void harness_filters(const struct harness *harness, int program)
{
	int map = harness_map(harness, "filters");
	for (uint32_t link_type = 0; link_type < LINK_TYPE_MAX; link_type++) {
		if (program < 0)
			assert_int_equal(bpf_map_delete_elem(map, &link_type), 0);
		else
			assert_int_equal(bpf_map_update_elem(map, &link_type, &program, BPF_ANY), 0);
	}
}

int program_run(int program, const struct frame *frame, const struct delivery *delivery)
{
	struct __sk_buff context = { .gso_size = delivery->gso_size,
		                     .gso_segs = delivery->gso_segs,
		                     .tstamp = delivery->tstamp };
	memcpy(context.cb, delivery->cb, sizeof(delivery->cb));
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame->data, .data_size_in = (uint32_t)frame->size,
	            .ctx_in = &context, .ctx_size_in = sizeof(context), .repeat = 1);
	if (bpf_prog_test_run_opts(program, &run) < 0)
		fail_msg("the kernel does not run a frame of %zu bytes: %s", frame->size, strerror(errno));
	return (int)run.retval;
}

/* The sum over CPUs of a value that is nothing but 64-bit counters. */
static void counters_sum(int map, uint32_t index, void *ret_value, size_t size)
{
	int cpus = libbpf_num_possible_cpus();
	assert_true(cpus > 0);
	_cleanup_(freep) uint64_t *values = calloc((size_t)cpus, size);
	uint64_t *sums = ret_value;
	assert_non_null(values);
	assert_int_equal(bpf_map_lookup_elem(map, &index, values), 0);

	memset(ret_value, 0, size);
	for (size_t i = 0; i < (size_t)cpus * size / sizeof(*values); i++)
		sums[i % (size / sizeof(*values))] += values[i];
}

struct hook_stats harness_hook_stats(const struct harness *harness, uint32_t index)
{
	struct hook_stats stats;
	counters_sum(harness_map(harness, "iface_stats"), index, &stats, sizeof(stats));
	return stats;
}

struct record_stats harness_record_stats(const struct harness *harness, enum record_kind kind)
{
	struct record_stats stats;
	counters_sum(harness_map(harness, "record_stats"), kind, &stats, sizeof(stats));
	return stats;
}

static void keep_record(const void *record, size_t size, void *data)
{
	struct harness *harness = data;
	void *copy = malloc(size);
	assert_non_null(copy);
	memcpy(copy, record, size);
	harness->records[harness->n_records++] = copy;
}

void harness_drain(struct harness *harness)
{
	forget_records(harness);
	ring_read(harness->ring, &harness->ring_position, HARNESS_RECORDS_MAX, keep_record, harness);
	ring_release(harness->ring, harness->ring_position);
}

const void *harness_record(const struct harness *harness, enum record_kind kind, size_t index)
{
	for (size_t i = 0; i < harness->n_records; i++) {
		const struct event_header *header = harness->records[i];
		if (header->kind == kind && index-- == 0)
			return header;
	}
	return NULL;
}

static void flow_shift(int map, const struct flow_key *key, uint64_t ns)
{
	struct flow flow;
	assert_int_equal(bpf_map_lookup_elem(map, key, &flow), 0);
	__u64 *const times[] = { &flow.start_ns,       &flow.closed_ns,       &flow.end[0].last_ns,
		                 &flow.end[1].last_ns, &flow.end[0].taken_ns, &flow.end[1].taken_ns };
	for (size_t i = 0; i < ARRAY_SIZE(times); i++)
		if (*times[i])
			*times[i] -= ns;
	assert_int_equal(bpf_map_update_elem(map, key, &flow, BPF_EXIST), 0);
}

void harness_add_slots(const struct harness *harness, struct flow *flow)
{
	for (size_t i = 0; i < harness->n_slots; i++) {
		const struct flow_slot *slot = &harness->slots[i];
		if (slot->id != flow->id || slot->generation != flow->generation)
			continue;
		for (int end = 0; end < 2; end++) {
			flow->end[end].packets += slot->packets[end];
			flow->end[end].bytes += slot->bytes[end];
		}
	}
}

static void slot_shift(struct flow_slot *slot, uint64_t ns)
{
	if (!slot->id)
		return;
	for (int end = 0; end < 2; end++)
		slot->last_ns[end] -= slot->last_ns[end] ? ns : 0;
	slot->lease_ns -= slot->lease_ns ? ns : 0;
}

void harness_pass_ms(const struct harness *harness, uint64_t ms)
{
	int map = harness_map(harness, "flows");
	struct flow_key keys[FLOWS_MAX];
	size_t n = 0;

	/* Keys first: an update moves the entry within its bucket, and the walk would meet it twice. */
	for (void *from = NULL; n < FLOWS_MAX && bpf_map_get_next_key(map, from, &keys[n]) == 0; n++)
		from = &keys[n];
	for (size_t i = 0; i < n; i++)
		flow_shift(map, &keys[i], ms * 1000000);
	for (size_t i = 0; i < harness->n_slots; i++)
		slot_shift(&harness->slots[i], ms * 1000000);
}

static void map_empty(int map)
{
	uint8_t key[sizeof(struct flow_key)];
	while (bpf_map_get_next_key(map, NULL, key) == 0)
		assert_int_equal(bpf_map_delete_elem(map, key), 0);
}

static void counters_zero(int map, uint32_t n, size_t size)
{
	_cleanup_(freep) void *zero = calloc((size_t)libbpf_num_possible_cpus(), size);
	assert_non_null(zero);
	for (uint32_t index = 0; index < n; index++)
		assert_int_equal(bpf_map_update_elem(map, &index, zero, BPF_ANY), 0);
}

void harness_clear(struct harness *harness)
{
	map_empty(harness_map(harness, "flows"));
	memset(harness->slots, 0, harness->n_slots * sizeof(*harness->slots));
	map_empty(harness_map(harness, "self_flows"));
	map_empty(harness_map(harness, "self_sockets"));
	map_empty(harness_map(harness, "fragments"));
	counters_zero(harness_map(harness, "iface_stats"), HOOK_STATS(HOOKS), sizeof(struct hook_stats));
	counters_zero(harness_map(harness, "record_stats"), RECORD_KIND_MAX, sizeof(struct record_stats));
	do
		harness_drain(harness);
	while (harness->n_records);
}
