// SPDX-License-Identifier: Apache-2.0
/*
 * The filter in the kernel and libpcap's own, packet by packet: the same answer for every expression. The programs that a
 * filter calls are stand-ins here, which tell what it decided.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "selftests/filter_frames.h"
#include "selftests/oracle.h"
#include "user/capture.h"
#include "user/filter.h"
#include "user/loader_filter.h"

#define EXPRESSIONS     "selftests/filter_expressions.txt"
#define EXPRESSIONS_MIN 300
#define FRAMES          400
#define LONG_MAX        4096

/* What a run returns. */
enum decision { PASSED_ON = -1 /* counted, and TC_ACT_UNSPEC */, MATCHED = 1, UNCOUNTED = 2 };

static struct {
	struct filter_maps maps;
	struct frames frames[LINK_TYPE_MAX];
	struct frames captured[LINK_TYPE_MAX]; /* of the captures in SONDE_PCAPS */
	uint64_t expressions, refused, compared, matched;
} bench;

static int load_answer(enum decision answer)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = (int)answer },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	return bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "answer", "GPL", insns, ARRAY_SIZE(insns), NULL);
}

static void put_answer(enum program_slot slot, enum decision answer)
{
	uint32_t index = slot;
	_cleanup_(closep) int program = load_answer(answer);
	assert_true(program >= 0);
	assert_int_equal(bpf_map_update_elem(bench.maps.filters, &index, &program, BPF_ANY), 0);
}

static int open_bench(void **state)
{
	const char *from = getenv("SEED");
	unsigned seed = from ? (unsigned)strtoul(from, NULL, 0) : 1;
	print_message("SEED=%u\n", seed);
	bench.maps.filters = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "filters", 4, 4, PROGRAM_MAX, NULL);
	bench.maps.iface_stats =
		bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "iface_stats", 4, sizeof(struct hook_stats), 4, NULL);
	if (bench.maps.filters < 0 || bench.maps.iface_stats < 0)
		return -1;
	put_answer(PROGRAM_MAIN, MATCHED);
	put_answer(PROGRAM_FILTERED, UNCOUNTED);
	filter_frames(FRAMES, seed, true, &bench.frames[LINK_ETHERNET]);
	filter_frames(FRAMES, seed, false, &bench.frames[LINK_RAW_IP]);
	return 0;
}

static int close_bench(void **state)
{
	close(bench.maps.filters);
	close(bench.maps.iface_stats);
	for (int link_type = 0; link_type < LINK_TYPE_MAX; link_type++) {
		free(bench.frames[link_type].frames);
		free(bench.captured[link_type].frames);
	}
	return 0;
}

/* The filter as the loader would load it; -1: it is nothing that compiles. */
static int load_filter(const char *expression, enum link_type link_type)
{
	_cleanup_(filter_program_free) struct filter_program program = { 0 };
	_cleanup_(buf_free) struct buf refused = BUF_INIT(4096);
	if (filter_build(expression, link_type, &bench.maps, &program, &refused) < 0)
		return -1;
	int fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "filter", "GPL", program.insns, program.n, NULL);
	if (fd < 0)
		fail_msg("the kernel refuses the %zu instructions of \"%.200s\": %s", program.n, expression,
		         strerror(errno));
	return fd;
}

static enum decision run(int program, const uint8_t *data, size_t size, uint32_t packets)
{
	struct __sk_buff context = { .cb = { [CB_STATS] = 3, [CB_PACKETS] = packets } };
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = data, .data_size_in = (uint32_t)size, .ctx_in = &context,
	            .ctx_size_in = sizeof(context), .repeat = 1);
	if (bpf_prog_test_run_opts(program, &options) < 0)
		fail_msg("the kernel does not run a frame of %zu bytes: %s", size, strerror(errno));
	return (enum decision)options.retval;
}

static void describe(const char *expression, enum link_type link_type, const uint8_t *data, size_t size, bool expected)
{
	print_error("\"%.300s\" on link type %d: libpcap says %s, the kernel otherwise; %zu bytes:", expression,
	            link_type, expected ? "yes" : "no", size);
	for (size_t i = 0; i < size && i < 128; i++)
		print_error("%s%02x", i % 16 ? " " : "\n", data[i]);
	print_error("\n");
}

static void compare(int program, const struct oracle *oracle, const char *expression, enum link_type link_type,
                    const uint8_t *data, size_t size)
{
	bool expected = oracle && oracle_matches(oracle, data, size);
	enum decision decision = run(program, data, size, 1);
	bench.compared++;
	bench.matched += expected;
	if (decision == (expected ? MATCHED : PASSED_ON))
		return;
	describe(expression, link_type, data, size, expected);
	fail();
}

static void compare_frames(const struct frames *all, const char *expression)
{
	bool compiles = false;
	for (int link_type = 0; link_type < LINK_TYPE_MAX; link_type++) {
		const struct frames *frames = &all[link_type];
		_cleanup_(oracle_freep) struct oracle *oracle = oracle_open(expression, (enum link_type)link_type);
		_cleanup_(closep) int program = load_filter(expression, (enum link_type)link_type);
		compiles = compiles || oracle;
		/* Not for Ethernet: no expression at all. Not for raw IP: it matches nothing there. */
		if (program < 0) {
			assert_null(oracle);
			break;
		}
		for (size_t i = 0; i < frames->n; i++)
			compare(program, oracle, expression, (enum link_type)link_type, frames->frames[i].data,
			        frames->frames[i].size);
	}
	bench.expressions += compiles;
	if (!compiles) {
		print_message("refused by libpcap: %s\n", expression);
		bench.refused++;
	}
}

static void compare_all(const char *expression)
{
	compare_frames(bench.frames, expression);
}

static void compare_captured(const char *expression)
{
	compare_frames(bench.captured, expression);
}

/* FILTER_EVERY=N: each Nth expression only, and no very long ones, where a machine is slow. */
static unsigned every(void)
{
	const char *text = getenv("FILTER_EVERY");
	unsigned n = text ? (unsigned)strtoul(text, NULL, 10) : 1;
	return n ? n : 1;
}

static void each_expression(void (*visit)(const char *expression))
{
	const char *path = getenv("FILTER_EXPRESSIONS");
	_cleanup_(fclosep) FILE *file = fopen(path ? path : EXPRESSIONS, "re");
	char line[1024];
	unsigned n = 0;
	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (*line && *line != '#' && n++ % every() == 0)
			visit(line);
	}
}

static void test_expressions(void **state)
{
	each_expression(compare_all);
	print_message("%lu expressions, %lu refused by libpcap, %lu answers, %lu of them yes\n", bench.expressions,
	              bench.refused, bench.compared, bench.matched);
	assert_true(bench.expressions * every() >= EXPRESSIONS_MIN);
	/* Frames and expressions know each other: neither all yes nor all no. */
	assert_true(bench.matched > bench.compared / 20 && bench.matched < bench.compared / 2);
}

/* Terms that differ in a number, joined until the expression is SIZE bytes long. */
static void long_expression(struct buf *out, size_t size, const char *join, void (*term)(struct buf *out, unsigned i))
{
	for (unsigned i = 0; out->size + 64 < size; i++) {
		if (i)
			buf_appendf(out, " %s ", join);
		term(out, i);
	}
}

static void term_port(struct buf *out, unsigned i)
{
	buf_appendf(out, "port %u", 40000 - i * 3);
}

static void term_host(struct buf *out, unsigned i)
{
	buf_appendf(out, "host 10.%u.%u.2", i / 200, i % 200);
}

static void term_host6(struct buf *out, unsigned i)
{
	buf_appendf(out, "src host fd00:%x::%x", i, i + 1);
}

static void term_net(struct buf *out, unsigned i)
{
	buf_appendf(out, "not net 172.%u.%u.0/%u", 16 + i % 16, i % 250, 24);
}

static void term_flow(struct buf *out, unsigned i)
{
	buf_appendf(out, "(tcp and src host 10.0.%u.1 and dst port %u)", i % 3, 443 + i);
}

static void term_byte(struct buf *out, unsigned i)
{
	buf_appendf(out, "ip[%u] + udp[%u] != %u", i % 40, i % 16, i + 200);
}

static void term_chain(struct buf *out, unsigned i)
{
	buf_appendf(out, "ip6 protochain %u", 6 + i);
}

static void (*const terms[])(struct buf *out, unsigned i) = {
	term_port, term_host, term_host6, term_net, term_flow, term_byte,
};

static void test_long_expressions(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(terms); i++) {
		for (size_t size = 256; size <= LONG_MAX / (every() > 1 ? 16 : 1); size *= 4) {
			_cleanup_(buf_free) struct buf text = BUF_INIT(LONG_MAX);
			long_expression(&text, size, terms[i] == term_net || terms[i] == term_byte ? "and" : "or",
			                terms[i]);
			compare_all(buf_text(&text));
		}
	}
	_cleanup_(buf_free) struct buf text = BUF_INIT(LONG_MAX);
	long_expression(&text, 512, "or", term_chain);
	compare_all(buf_text(&text));
}

#define PROGRAM(...)                                       \
	{                                                  \
		__VA_ARGS__, { BPF_RET | BPF_K, 0, 0, 1 }, \
		{                                          \
			BPF_RET | BPF_K                    \
		}                                          \
	}
#define PROGRAM_SIZE 8

/* PROGRAM has to decide as libpcap's interpreter does; EVERYTHING: to let every frame pass. Instructions of code 0 end it. */
static void compare_program(struct classic_insn program[static PROGRAM_SIZE], bool everything)
{
	size_t n = PROGRAM_SIZE;
	while (program[n - 1].code != (BPF_RET | BPF_K))
		n--;
	const struct classic_program classic = { program, n };
	_cleanup_(filter_program_free) struct filter_program filter = { 0 };
	assert_int_equal(filter_translate(&classic, LINK_ETHERNET, &bench.maps, &filter), 0);
	_cleanup_(closep) int fd =
		bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "filter", "GPL", filter.insns, filter.n, NULL);
	assert_true(fd >= 0);
	for (size_t i = 0; i < bench.frames[LINK_ETHERNET].n; i++) {
		const struct frame *frame = &bench.frames[LINK_ETHERNET].frames[i];
		const uint32_t size = (uint32_t)frame->size;
		const struct capture_frame captured = { frame->data, size, size };
		bool expected = everything || capture_matches(&classic, &captured);
		if (run(fd, frame->data, frame->size, 1) != (expected ? MATCHED : PASSED_ON))
			fail_msg("a program that begins with %#x %#x, frame %zu: not %s", program[0].code, program[0].k,
			         i, expected ? "yes" : "no");
	}
}

/* What libpcap's compiler does not write, or not any more, and its interpreter runs. */
static void test_programs(void **state)
{
	static struct classic_insn programs[][PROGRAM_SIZE] = {
		/* 7 by a byte of the packet, and what is left of it: no match where that is 0. */
		PROGRAM({ BPF_LD | BPF_B | BPF_ABS, 0, 0, 5 }, { BPF_MISC | BPF_TAX }, { BPF_LD | BPF_IMM, 0, 0, 7 },
		        { BPF_ALU | BPF_DIV | BPF_X }, { BPF_JMP | BPF_JGE | BPF_K, 0, 1, 0 }),
		PROGRAM({ BPF_LD | BPF_B | BPF_ABS, 0, 0, 5 }, { BPF_MISC | BPF_TAX }, { BPF_LD | BPF_IMM, 0, 0, 7 },
		        { BPF_ALU | BPF_MOD | BPF_X }, { BPF_JMP | BPF_JGE | BPF_K, 0, 1, 0 }),
		/* An offset does not wrap. */
		PROGRAM({ BPF_LDX | BPF_IMM, 0, 0, UINT32_MAX }, { BPF_LD | BPF_B | BPF_IND, 0, 0, 13 },
		        { BPF_JMP | BPF_JGE | BPF_K, 0, 1, 0 }),
		/* Behind all packets, and something behind that. */
		PROGRAM({ BPF_LD | BPF_B | BPF_ABS, 0, 0, 5000 }, { BPF_LD | BPF_B | BPF_ABS, 0, 0, 1 },
		        { BPF_JMP | BPF_JGE | BPF_K, 0, 1, 0 }),
	};
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
		compare_program(programs[i], false);
}

/* A, X and memory are 0 before anything is stored. libpcap's own memory holds anything then. */
static void test_zeroes(void **state)
{
	static struct classic_insn programs[][PROGRAM_SIZE] = {
		PROGRAM({ BPF_LD | BPF_MEM, 0, 0, 3 }, { BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0 }),
		PROGRAM({ BPF_LDX | BPF_MEM, 0, 0, 15 }, { BPF_ALU | BPF_ADD | BPF_X },
		        { BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0 }),
		PROGRAM({ BPF_MISC | BPF_TXA }, { BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0 }),
	};
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
		compare_program(programs[i], true);
}

static int add_capture(const char *path, const struct stat *status, int type, struct FTW *place)
{
	_cleanup_(capture_freep) struct capture *capture = NULL;
	char reason[CAPTURE_REASON_SIZE];
	struct capture_frame frame;

	if (type != FTW_F || capture_open(path, &capture, reason) < 0)
		return 0;
	while (capture_next(capture, &frame, reason) > 0) {
		struct frames *frames = &bench.captured[frame.link_type];
		if (!filter_is_runnable(frame.data, frame.captured))
			continue;
		struct frame *more = reallocarray(frames->frames, frames->n + 1, sizeof(*more));
		if (!more)
			return -1;
		frames->frames = more;
		memcpy(more[frames->n].data, frame.data, frame.captured);
		more[frames->n++].size = frame.captured;
	}
	return 0;
}

static void test_captures(void **state)
{
	const char *variable = getenv("SONDE_PCAPS"), *directory = variable ? variable : "";
	if (!*directory) {
		print_message("skipped: SONDE_PCAPS names no directory of captures\n");
		skip();
	}
	assert_int_equal(nftw(directory, add_capture, 16, FTW_PHYS), 0);
	size_t n = bench.captured[LINK_ETHERNET].n + bench.captured[LINK_RAW_IP].n;
	assert_true(n > 0);
	bench.expressions = bench.compared = bench.matched = 0;
	each_expression(compare_captured);
	print_message("%zu packets of captures, %lu expressions, %lu answers, %lu of them yes\n", n, bench.expressions,
	              bench.compared, bench.matched);
}

/* TCP behind N headers of options for the destination. */
static void build_chain(unsigned n, struct frame *ret_frame)
{
	static const struct layer layers[LAYERS_MAX] =
		PKT(ETH, IP6(), EXT(IPPROTO_DSTOPTS), EXT(IPPROTO_DSTOPTS), TCP());
	const size_t first = 14 + 40, size = 8;

	packet_build(layers, ret_frame);
	for (unsigned i = 2; i < n; i++) {
		memmove(ret_frame->data + first + size, ret_frame->data + first, ret_frame->size - first);
		ret_frame->size += size;
	}
}

/* The one departure from libpcap: what lies behind that many headers is not looked for, see docs/filter.md. */
static void test_chain_limit(void **state)
{
	static const struct {
		const char *expression;
		unsigned headers; /* before the last one that is looked at */
	} rows[] = {
		{ "ip6 protochain 6", 63 },
		{ "ip6 protochain 6 or ip6 protochain 17 or ip6 protochain 51 or ip6 protochain 132 or ip6 protochain 1",
		  50 },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(oracle_freep) struct oracle *oracle = oracle_open(rows[i].expression, LINK_ETHERNET);
		_cleanup_(closep) int program = load_filter(rows[i].expression, LINK_ETHERNET);
		struct frame frame;
		for (unsigned headers = rows[i].headers - 2; headers <= rows[i].headers + 2; headers++) {
			build_chain(headers, &frame);
			assert_true(oracle_matches(oracle, frame.data, frame.size));
			assert_int_equal(run(program, frame.data, frame.size, 1),
			                 headers <= rows[i].headers ? MATCHED : PASSED_ON);
		}
	}
}

/* What the kernel refuses is told with the verifier's reason. */
static void test_refused_by_kernel(void **state)
{
	const struct filter_maps closed = { -1, -1 };
	_cleanup_(loaded_filter_close) struct loaded_filter filter = LOADED_FILTER_NONE;
	_cleanup_(buf_free) struct buf log = BUF_INIT(4096);

	assert_int_equal(loaded_filter_load("tcp", &closed, &log, &filter), -EBADF);
	assert_non_null(strstr(buf_text(&log), "fd -1 is not pointing to valid bpf_map"));
	assert_int_equal(filter.programs[LINK_ETHERNET].fd, -1);
}

static void term_far(struct buf *out, unsigned i)
{
	buf_appendf(out, "ether[%u:4] + ether[%u:4] != %u", i % 1400, (i + 7) % 1500, i + 200);
}

/* Sixteen times what has to work: jumps further than an instruction can say. */
static void test_far_jumps(void **state)
{
	_cleanup_(buf_free) struct buf text = BUF_INIT(FILTER_TEXT_MAX);
	_cleanup_(filter_program_free) struct filter_program program = { 0 };
	_cleanup_(buf_free) struct buf refused = BUF_INIT(4096);
	if (every() > 1) {
		print_message("skipped: FILTER_EVERY leaves out the longest expression\n");
		skip();
	}
	long_expression(&text, FILTER_TEXT_MAX, "and", term_far);
	assert_int_equal(filter_build(buf_text(&text), LINK_ETHERNET, &bench.maps, &program, &refused), 0);
	print_message("%zu bytes: %zu classic instructions, %zu instructions\n", text.size, program.n_classic,
	              program.n);
	assert_true(program.n > 2 * 32767);
	compare_all(buf_text(&text));
}

static struct hook_stats stats_sum(void)
{
	int cpus = libbpf_num_possible_cpus();
	uint32_t index = 3;
	struct hook_stats sum = { 0 }, *values = calloc((size_t)cpus, sizeof(*values));
	assert_non_null(values);
	assert_int_equal(bpf_map_lookup_elem(bench.maps.iface_stats, &index, values), 0);
	for (int cpu = 0; cpu < cpus; cpu++) {
		sum.seen += values[cpu].seen;
		sum.verdicts[VERDICT_FILTERED] += values[cpu].verdicts[VERDICT_FILTERED];
		sum.verdicts[VERDICT_ERROR] += values[cpu].verdicts[VERDICT_ERROR];
	}
	free(values);
	return sum;
}

/* What the filter counts, of a packet that stands for PACKETS: the difference is checked. */
static void check_counts(int program, const struct frame *frame, uint32_t packets, enum decision decision,
                         uint64_t filtered, uint64_t errors, uint64_t seen)
{
	struct hook_stats before = stats_sum();
	assert_int_equal(run(program, frame->data, frame->size, packets), decision);
	struct hook_stats after = stats_sum();
	assert_int_equal(after.verdicts[VERDICT_FILTERED] - before.verdicts[VERDICT_FILTERED], filtered);
	assert_int_equal(after.verdicts[VERDICT_ERROR] - before.verdicts[VERDICT_ERROR], errors);
	assert_int_equal(after.seen - before.seen, seen);
}

/* One verdict a packet, in wire packets, whatever is decided and whatever fails. */
static void test_counts(void **state)
{
	static const struct layer layers[LAYERS_MAX] = PKT(ETH, IP4(), TCP());
	_cleanup_(closep) int no = load_filter("udp", LINK_ETHERNET);
	_cleanup_(closep) int yes = load_filter("tcp", LINK_ETHERNET);
	const uint32_t main = PROGRAM_MAIN, filtered = PROGRAM_FILTERED;
	struct frame frame;

	packet_build(layers, &frame);
	check_counts(no, &frame, 1, PASSED_ON, 1, 0, 0);
	check_counts(no, &frame, 33, PASSED_ON, 33, 0, 0);
	check_counts(no, &frame, 0, UNCOUNTED, 0, 0, 0);
	check_counts(yes, &frame, 5, MATCHED, 0, 0, 0);
	assert_int_equal(bpf_map_delete_elem(bench.maps.filters, &main), 0);
	assert_int_equal(bpf_map_delete_elem(bench.maps.filters, &filtered), 0);
	check_counts(yes, &frame, 5, PASSED_ON, 0, 5, 0);
	check_counts(yes, &frame, 0, PASSED_ON, 0, 1, 1);
	check_counts(no, &frame, 0, PASSED_ON, 0, 1, 1);
	check_counts(no, &frame, 7, PASSED_ON, 7, 0, 0);
	put_answer(PROGRAM_MAIN, MATCHED);
	put_answer(PROGRAM_FILTERED, UNCOUNTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts),           cmocka_unit_test(test_expressions),
		cmocka_unit_test(test_long_expressions), cmocka_unit_test(test_far_jumps),
		cmocka_unit_test(test_programs),         cmocka_unit_test(test_zeroes),
		cmocka_unit_test(test_chain_limit),      cmocka_unit_test(test_refused_by_kernel),
		cmocka_unit_test(test_captures),
	};
	return cmocka_run_group_tests(tests, open_bench, close_bench);
}
