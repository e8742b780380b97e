// SPDX-License-Identifier: Apache-2.0
/* What a filter costs, by BPF_PROG_TEST_RUN: nothing is attached. */
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <bpf/bpf.h>
#include "user/cleanup.h"
#include "user/filter.h"

#define ROUNDS  5
#define REPEATS 20000

/* Frames of the kinds that a node sees most: addresses and ports that few expressions name. */
static const uint8_t tcp4[] = {
	0x02, 0, 0,    0,  0, 2, 0x02, 0, 0,  0, 0, 1, 0x08, 0x00,                     /* Ethernet */
	0x45, 0, 0,    52, 0, 0, 0x40, 0, 64, 6, 0, 0, 192,  0,    2, 1, 192, 0, 2, 2, /* IPv4 */
	0xc0, 0, 0xc0, 1,  0, 0, 0,    1, 0,  0, 0, 1, 0x50, 0x10, 1, 0, 0,   0, 0, 0, /* TCP */
	0,    0, 0,    0,  0, 0, 0,    0, 0,  0, 0, 0,
};
static const uint8_t udp4[] = {
	0x02, 0, 0,    0,  0, 2,  0x02, 0, 0,  0,  0, 1, 0x08, 0x00,                     /* Ethernet */
	0x45, 0, 0,    40, 0, 0,  0x40, 0, 64, 17, 0, 0, 192,  0,    2, 1, 192, 0, 2, 2, /* IPv4 */
	0xc0, 0, 0xc0, 1,  0, 20, 0,    0, 0,  0,  0, 0, 0,    0,    0, 0, 0,   0, 0, 0, /* UDP */
};
static const uint8_t tcp6[] = {
	0x02, 0, 0,    0,    0, 2,  0x02, 0,  0,    0, 0,    1,    0x86, 0xdd, /* Ethernet */
	0x60, 0, 0,    0,    0, 20, 6,    64, 0x20, 1, 0x0d, 0xb8, 0,    0,    0, 0, 0, 0, 0, 0, 0, 0, 0, 1, /* IPv6 */
	0x20, 1, 0x0d, 0xb8, 0, 0,  0,    0,  0,    0, 0,    0,    0,    0,    0, 2,                         /* to */
	0xc0, 0, 0xc0, 1,    0, 0,  0,    1,  0,    0, 0,    1,    0x50, 0x10, 1, 0, 0, 0, 0, 0,             /* TCP */
};
static const struct {
	const uint8_t *data;
	size_t size;
} frames[] = { { tcp4, sizeof(tcp4) }, { udp4, sizeof(udp4) }, { tcp6, sizeof(tcp6) } };

#define ETHERNET_HEADER 14

/* Private maps: what a filter counts and calls on this way concerns nobody. */
static int open_maps(struct filter_maps *ret_maps)
{
	_cleanup_(closep) int filters = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "filters", sizeof(uint32_t),
	                                               sizeof(uint32_t), PROGRAM_MAX, NULL);
	_cleanup_(closep) int stats = bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "iface_stats", sizeof(uint32_t),
	                                             sizeof(struct hook_stats), 1, NULL);
	if (filters < 0 || stats < 0)
		return -errno;
	*ret_maps = (struct filter_maps) { TAKE_FD(filters), TAKE_FD(stats) };
	return 0;
}

static void close_maps(const struct filter_maps *maps)
{
	closep(&maps->filters);
	closep(&maps->iface_stats);
}

static int load_empty(void)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = -1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	return bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "sonde_empty", "GPL", insns, ARRAY_SIZE(insns), NULL);
}

static int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* The median of all frames and rounds, ns; -errno. */
static int measure(int program, enum link_type link_type)
{
	const size_t skip = link_type == LINK_ETHERNET ? 0 : ETHERNET_HEADER;
	struct __sk_buff context = { .cb = { [CB_PACKETS] = 1 } };
	int ns[ROUNDS * ARRAY_SIZE(frames)];

	for (size_t i = 0; i < ARRAY_SIZE(ns); i++) {
		size_t frame = i % ARRAY_SIZE(frames);
		LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frames[frame].data + skip,
		            .data_size_in = (uint32_t)(frames[frame].size - skip), .ctx_in = &context,
		            .ctx_size_in = sizeof(context), .repeat = REPEATS);
		if (bpf_prog_test_run_opts(program, &run) < 0)
			return -errno;
		ns[i] = (int)run.duration;
	}
	qsort(ns, ARRAY_SIZE(ns), sizeof(ns[0]), compare);
	return ns[ARRAY_SIZE(ns) / 2];
}

int filter_measure(const char *expression, enum link_type link_type, unsigned *ret_ns)
{
	_cleanup_(filter_program_free) struct filter_program program = { 0 };
	_cleanup_(buf_free) struct buf ignored = BUF_INIT(4096);
	_cleanup_(close_maps) struct filter_maps maps = { -1, -1 };
	int r = open_maps(&maps);
	if (r < 0)
		return r;
	r = filter_build(expression, link_type, &maps, &program, &ignored);
	if (r < 0)
		return r;
	_cleanup_(closep) int filter =
		bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "sonde_filter", "GPL", program.insns, program.n, NULL);
	_cleanup_(closep) int empty = load_empty();
	if (filter < 0 || empty < 0)
		return -errno;
	int cost = measure(filter, link_type), base = measure(empty, link_type);
	if (cost < 0 || base < 0)
		return cost < 0 ? cost : base;
	*ret_ns = cost > base ? (unsigned)(cost - base) : 0;
	return 0;
}
