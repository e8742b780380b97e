// SPDX-License-Identifier: Apache-2.0
/*
 * What a packet costs in the kernel, by BPF_PROG_TEST_RUN: rounds of all cases, interleaved, and each case's median. Prints;
 * asserts nothing about time.
 *
 * A test run repeats one frame, and so cannot open a flow more than once. Those cases run one frame after the other, and
 * the time is that of the kernel's statistics (run_time_ns): with the two clock readings in it, and caches as a system
 * call leaves them. They are held against an empty program that is run the same way.
 */
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/bpf.h>
#include <cmocka.h>
#include "selftests/harness.h"
#include "user/filter.h"

#define ROUNDS  9
#define REPEATS 1000000
#define ROOM    20000 /* samples that the ring takes */
#define SINGLES 2000  /* runs of a case whose frames differ */
#define TERMS   20    /* of the filter */

static const struct layer udp[LAYERS_MAX] = PKT(ETH, IP4(), UDP(), BYTES(32));
static const struct layer tcp6[LAYERS_MAX] = PKT(ETH, IP6(), TCP(.flags = TH_ACK), BYTES(32));
static const struct layer extended[LAYERS_MAX] = PKT(ETH, IP6(), EXT(0), EXT(60), UDP(), BYTES(32));
static const struct layer data[LAYERS_MAX] = PKT(ETH, IP4(), TCP(.flags = TH_ACK), BYTES(1000));
static const struct layer request[LAYERS_MAX] = PKT(ETH, IP4(), TCP(.flags = TH_ACK), TEXT("GET / HTTP/1.1\r\n"));
static const struct layer arp[LAYERS_MAX] = PKT(ETH_TYPE(0x0806), BYTES(46));
static const struct layer wanted[LAYERS_MAX] = PKT(ETH, IP4(), UDP(.to_port = 5000), BYTES(32));
static const struct layer tagged[LAYERS_MAX] = PKT(ETH, VLAN, IP4(), UDP(), BYTES(32));

/* How the sensor under it is configured. */
enum bench_setup {
	SETUP_QUIET,    /* no samples */
	SETUP_FILTERED, /* no samples, a filter */
	SETUP_REASONS,  /* samples for what packets hold, from a ring that is drained before */
	SETUP_HEAD,     /* everything is a sample, likewise */
	SETUP_FULL,     /* everything is a sample, and the ring has no room */
	SETUP_LIMITED,  /* the same at one a second */
	SETUPS
};

/* Where a packet comes in. */
enum bench_start {
	AT_EMPTY, /* a program that does nothing */
	AT_ENTRY, /* the hook's stub, and what it calls */
	AT_MAIN,
};

enum bench_frames {
	FRAMES_SAME,   /* one frame, repeated */
	FRAMES_SINGLE, /* one frame, a run each */
	FRAMES_NEW,    /* another flow each run */
};

static const struct bench_case {
	const char *name;
	const struct layer *packet;
	enum bench_start start;
	enum bench_setup setup;
	enum hook hook;
	enum bench_frames frames;
} cases[] = {
	{ "empty program", udp, AT_EMPTY },
	{ "no filter, not IP", arp, AT_ENTRY },
	{ "no filter, known flow", udp, AT_ENTRY },
	{ "20-term filter, rejected, IPv4 UDP", udp, AT_ENTRY, SETUP_FILTERED },
	{ "20-term filter, rejected, IPv6 TCP", tcp6, AT_ENTRY, SETUP_FILTERED },
	{ "20-term filter, rejected, VLAN tag", tagged, AT_ENTRY, SETUP_FILTERED },
	{ "20-term filter, rejected, not IP", arp, AT_ENTRY, SETUP_FILTERED },
	{ "20-term filter, matches, known flow", wanted, AT_ENTRY, SETUP_FILTERED },
	{ "known flow, IPv4 UDP", udp, AT_MAIN },
	{ "known flow, IPv6 TCP", tcp6, AT_MAIN },
	{ "known flow, two extension headers", extended, AT_MAIN },
	{ "known flow, VLAN tag", tagged, AT_MAIN },
	{ "duplicate at a second hook", udp, AT_MAIN, .hook = NIC_OUT },
	{ "known flow, TCP data", data, AT_MAIN },
	{ "known flow, TCP data, sampling on", data, AT_MAIN, SETUP_REASONS },
	{ "sampled, first bytes", udp, AT_MAIN, SETUP_HEAD },
	{ "sampled as HTTP", request, AT_MAIN, SETUP_REASONS },
	{ "sampled, ring full", udp, AT_MAIN, SETUP_FULL },
	{ "sampled, rate used up", udp, AT_MAIN, SETUP_LIMITED },
	{ "one by one: empty program", udp, AT_EMPTY, .frames = FRAMES_SINGLE },
	{ "one by one: known flow", udp, AT_ENTRY, .frames = FRAMES_SINGLE },
	{ "one by one: new flow", udp, AT_ENTRY, .frames = FRAMES_NEW },
	{ "one by one: sampled, first bytes", udp, AT_ENTRY, SETUP_HEAD, .frames = FRAMES_SINGLE },
};
#define CASES ARRAY_SIZE(cases)

/* What is run. */
struct bench {
	int empty, filter;
	struct harness *harness[SETUPS];
	uint32_t next_flow; /* makes each flow another one */
};

static int empty_program(void)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = -1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	return bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "empty", "GPL", insns, 2, NULL);
}

static void ignore_record(const void *record, size_t size, void *data_)
{
}

static void drain(struct harness *harness)
{
	ring_read(harness->ring, &harness->ring_position, SIZE_MAX, ignore_record, NULL);
	ring_release(harness->ring, harness->ring_position);
}

/* Ports that no frame here has but one. */
static int load_filter(const struct harness *harness)
{
	_cleanup_(filter_program_free) struct filter_program program = { 0 };
	_cleanup_(buf_free) struct buf text = BUF_INIT(4096), refused = BUF_INIT(4096);
	const struct filter_maps maps = { harness_map(harness, "filters"), harness_map(harness, "iface_stats") };
	const uint32_t main = PROGRAM_MAIN;

	for (unsigned i = 0; i < TERMS; i++)
		buf_appendf(&text, "%sport %u", i ? " or " : "", 5000 + i * 7);
	assert_int_equal(filter_build(buf_text(&text), LINK_ETHERNET, &maps, &program, &refused), 0);
	int fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "filter", "GPL", program.insns, program.n, NULL);
	assert_true(fd >= 0);
	assert_int_equal(bpf_map_update_elem(maps.filters, &main, &harness->main, BPF_ANY), 0);
	harness_filters(harness, fd);
	return fd;
}

static int program_of(const struct bench *bench, const struct bench_case *which)
{
	switch (which->start) {
	case AT_EMPTY:
		return bench->empty;
	case AT_ENTRY:
		return bench->harness[which->setup]->entry[which->hook];
	default:
		return bench->harness[which->setup]->main;
	}
}

static void make_new_flow(struct bench *bench, struct frame *frame)
{
	const size_t source = 14 + 12; /* of the IPv4 header */
	uint32_t number = htonl(0x0b000000 + bench->next_flow++);
	memcpy(frame->data + source, &number, sizeof(number));
}

/* Of all runs up to now. */
static void run_time(int program, uint64_t *ret_ns, uint64_t *ret_runs)
{
	struct bpf_prog_info info = { 0 };
	uint32_t size = sizeof(info);
	assert_int_equal(bpf_obj_get_info_by_fd(program, &info, &size), 0);
	*ret_ns = info.run_time_ns;
	*ret_runs = info.run_cnt;
}

static int measure_singles(struct bench *bench, const struct bench_case *which, struct frame *frame,
                           struct bpf_test_run_opts *options)
{
	_cleanup_(closep) int statistics = bpf_enable_stats(BPF_STATS_RUN_TIME);
	int program = program_of(bench, which);
	uint64_t ns_before, runs_before, ns, runs;

	assert_true(statistics >= 0);
	options->repeat = 1;
	run_time(program, &ns_before, &runs_before);
	for (int i = 0; i < SINGLES; i++) {
		if (which->frames == FRAMES_NEW)
			make_new_flow(bench, frame);
		assert_int_equal(bpf_prog_test_run_opts(program, options), 0);
	}
	run_time(program, &ns, &runs);
	return (int)((ns - ns_before) / (runs - runs_before));
}

/* The kernel's own average over many runs, ns. */
static int measure(struct bench *bench, const struct bench_case *which)
{
	struct __sk_buff context = { 0 };
	struct frame frame;

	packet_build(which->packet, &frame);
	context.cb[CB_HOOK] = HOOK_NUMBER(which->hook);
	context.cb[CB_STATS] = HOOK_STATS(which->hook);
	context.cb[CB_LINK] = LINK_WORD(HOOK_LINK_TYPE(which->hook), 0);
	context.cb[CB_PACKETS] = 1;
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.data, .data_size_in = (uint32_t)frame.size,
	            .ctx_in = &context, .ctx_size_in = sizeof(context));
	if (which->frames != FRAMES_SAME)
		return measure_singles(bench, which, &frame, &options);
	options.repeat = which->setup == SETUP_REASONS || which->setup == SETUP_HEAD ? ROOM : REPEATS;
	assert_int_equal(bpf_prog_test_run_opts(program_of(bench, which), &options), 0);
	return (int)options.duration;
}

static int compare_ints(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static void open_bench(struct bench *bench)
{
	const struct sensor_config sampling = {
		.coarse_clock = 1, .samples = 1, .head_bytes = UINT32_MAX, .snaplen = 256, .wake_bytes = 1 << 20
	};
	struct harness_options options[SETUPS];

	for (int setup = 0; setup < SETUPS; setup++)
		options[setup] = (struct harness_options) { 262144, 8 << 20, sampling };
	options[SETUP_QUIET].config = options[SETUP_FILTERED].config = (struct sensor_config) { .coarse_clock = 1 };
	options[SETUP_REASONS].config.head_bytes = 0;
	options[SETUP_FULL].ring_bytes = 0;
	options[SETUP_LIMITED].config.max_rate = 1;
	for (int setup = 0; setup < SETUPS; setup++)
		bench->harness[setup] = harness_open(&options[setup]);
	bench->empty = empty_program();
	bench->filter = load_filter(bench->harness[SETUP_FILTERED]);
	assert_true(bench->empty >= 0);
}

static void close_bench(struct bench *bench)
{
	for (int setup = 0; setup < SETUPS; setup++)
		harness_free(bench->harness[setup]);
	close(bench->empty);
	close(bench->filter);
}

int main(void)
{
	struct bench bench = { 0 };
	int ns[CASES][ROUNDS], empty = 0;

	open_bench(&bench);
	for (int round = 0; round < ROUNDS; round++) {
		for (size_t i = 0; i < CASES; i++) {
			drain(bench.harness[SETUP_REASONS]);
			drain(bench.harness[SETUP_HEAD]);
			ns[i][round] = measure(&bench, &cases[i]);
		}
	}
	close_bench(&bench);
	printf("ns a packet, medians of %d interleaved rounds of up to %d runs each\n\n", ROUNDS, REPEATS);
	printf("  %-36s %6s %14s %6s %6s\n", "", "median", "over empty", "min", "max");
	for (size_t i = 0; i < CASES; i++) {
		qsort(ns[i], ROUNDS, sizeof(int), compare_ints);
		if (cases[i].start == AT_EMPTY)
			empty = ns[i][ROUNDS / 2];
		printf("  %-36s %6d %14d %6d %6d\n", cases[i].name, ns[i][ROUNDS / 2], ns[i][ROUNDS / 2] - empty,
		       ns[i][0], ns[i][ROUNDS - 1]);
	}
	return EXIT_SUCCESS;
}
