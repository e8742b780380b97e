// SPDX-License-Identifier: Apache-2.0
/*
 * What a packet costs in the kernel, by BPF_PROG_TEST_RUN: rounds of all cases, interleaved, and each case's median. Prints;
 * asserts nothing about time.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/bpf.h>
#include <cmocka.h>
#include "selftests/harness.h"

#define ROUNDS  9
#define REPEATS 1000000

static const struct layer udp[LAYERS_MAX] = PKT(ETH, IP4(), UDP(), BYTES(32));
static const struct layer tcp6[LAYERS_MAX] = PKT(ETH, IP6(), TCP(.flags = TH_ACK), BYTES(32));
static const struct layer extended[LAYERS_MAX] = PKT(ETH, IP6(), EXT(0), EXT(60), UDP(), BYTES(32));
static const struct layer arp[LAYERS_MAX] = PKT(ETH_TYPE(0x0806), BYTES(46));
static const struct layer tagged[LAYERS_MAX] = PKT(ETH, VLAN, IP4(), UDP(), BYTES(32));

/* What is measured: ns a packet, from the main program on. */
enum bench_case {
	CASE_EMPTY,
	CASE_ARP,
	CASE_KNOWN,
	CASE_KNOWN_TCP6,
	CASE_EXTENDED,
	CASE_TAGGED,
	CASE_DUPLICATE,
	CASE_SAMPLED,
	CASES
};

static const struct {
	const char *name;
	const struct layer *packet;
	enum hook hook;
	bool sampled;
} cases[CASES] = {
	[CASE_EMPTY] = { "empty program", udp, POD_IN, false },
	[CASE_ARP] = { "not IP", arp, POD_IN, false },
	[CASE_KNOWN] = { "known flow, IPv4 UDP", udp, POD_IN, false },
	[CASE_KNOWN_TCP6] = { "known flow, IPv6 TCP", tcp6, POD_IN, false },
	[CASE_EXTENDED] = { "known flow, two extension headers", extended, POD_IN, false },
	[CASE_TAGGED] = { "known flow, VLAN tag", tagged, POD_IN, false },
	[CASE_DUPLICATE] = { "duplicate at a second hook", udp, NIC_OUT, false },
	[CASE_SAMPLED] = { "sampled, ring full", udp, POD_IN, true },
};

static int empty_program(void)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = -1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	return bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "empty", "GPL", insns, 2, NULL);
}

/* The kernel's own average over REPEATS runs, ns; -1: it refused. */
static int measure(int program, enum bench_case which)
{
	struct __sk_buff context = { 0 };
	struct frame frame;

	packet_build(cases[which].packet, &frame);
	context.cb[CB_HOOK] = HOOK_NUMBER(cases[which].hook);
	context.cb[CB_STATS] = HOOK_STATS(cases[which].hook);
	context.cb[CB_LINK] = LINK_WORD(HOOK_LINK_TYPE(cases[which].hook), 0);
	context.cb[CB_PACKETS] = 1;
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.data, .data_size_in = (uint32_t)frame.size,
	            .ctx_in = &context, .ctx_size_in = sizeof(context), .repeat = REPEATS);
	return bpf_prog_test_run_opts(program, &options) < 0 ? -1 : (int)options.duration;
}

static int compare_ints(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

int main(void)
{
	struct harness_options quiet = { .flows_max = 262144, .config = { .coarse_clock = 1 } };
	struct harness_options sampling = { .config = { .coarse_clock = 1, .head_bytes = UINT32_MAX, .snaplen = 256 } };
	_cleanup_(harness_freep) struct harness *known = harness_open(&quiet);
	_cleanup_(harness_freep) struct harness *sampled = harness_open(&sampling);
	_cleanup_(closep) int empty = empty_program();
	int ns[CASES][ROUNDS];

	for (int round = 0; round < ROUNDS; round++)
		for (int which = 0; which < CASES; which++)
			ns[which][round] = measure(which == CASE_EMPTY    ? empty
			                           : cases[which].sampled ? sampled->main
			                                                  : known->main,
			                           which);
	printf("ns a packet, medians of %d interleaved rounds of %d runs each\n\n", ROUNDS, REPEATS);
	printf("  %-36s %6s %14s %6s %6s\n", "", "median", "over empty", "min", "max");
	for (int which = 0; which < CASES; which++) {
		qsort(ns[which], ROUNDS, sizeof(int), compare_ints);
		printf("  %-36s %6d %14d %6d %6d\n", cases[which].name, ns[which][ROUNDS / 2],
		       ns[which][ROUNDS / 2] - ns[CASE_EMPTY][ROUNDS / 2], ns[which][0], ns[which][ROUNDS - 1]);
	}
	return EXIT_SUCCESS;
}
