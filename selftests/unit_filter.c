// SPDX-License-Identifier: Apache-2.0
/* What a filter's text is told to be wrong with, and what becomes of classic programs that no expression makes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <cmocka.h>
#include <linux/filter.h>
#include "user/cleanup.h"
#include "user/filter.h"

static void test_problems(void **state)
{
	static const struct {
		const char *expression, *problem;
	} rows[] = {
		{ "tcp prt 443", "syntax error at character 5, \"prt\"" },
		{ "tcp port 443 and", "syntax error at the end: something is missing" },
		{ "(tcp or udp", "syntax error at the end: something is missing" },
		{ "tcp or udp)", "syntax error at character 11, \")\"" },
		{ "tcp or or udp", "syntax error at character 8, \"or\"" },
		{ "tcp\nport\n443 foo", "syntax error at character 14, \"foo\"" },
		{ "ip[2:3] = 1", "data size must be 1, 2, or 4" },
		{ "tcp and port 70000", "illegal port number 70000 > 65535 at character 14, \"70000\"" },
		{ "tcp and port nosuchport", "unknown port 'nosuchport' at character 14, \"nosuchport\"" },
		{ "net 10.0.0.0/33", "mask length must be <= 32" },
		{ "tcp and inbound", "at character 9, \"inbound\"" },
		{ "outbound", "at character 1, \"outbound\"" },
		{ "tcp or ifindex 3", "only a capture on one interface knows this" },
		{ "ifname eth0 and tcp", "at character" },
		{ "ip broadcast", "netmask not known" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(classic_free) struct classic_program program = { 0 };
		_cleanup_(buf_free) struct buf error = BUF_INIT(4096);
		assert_int_equal(filter_compile(rows[i].expression, LINK_ETHERNET, &program, &error), -EINVAL);
		if (!strstr(buf_text(&error), rows[i].problem))
			fail_msg("\"%s\" is told \"%s\", not \"%s\"", rows[i].expression, buf_text(&error),
			         rows[i].problem);
		assert_null(program.insns);
	}
}

static void test_empty(void **state)
{
	assert_true(filter_is_empty(""));
	assert_true(filter_is_empty(" \n\t"));
	assert_false(filter_is_empty(" tcp"));
}

static const struct filter_maps maps = { 3, 4 };

static int translate(const struct classic_insn *insns, size_t n)
{
	_cleanup_(filter_program_free) struct filter_program program = { 0 };
	const struct classic_program classic = { (struct classic_insn *)insns, n };
	return filter_translate(&classic, LINK_ETHERNET, &maps, &program);
}
#define TRANSLATE(...)                                           \
	translate((const struct classic_insn[]) { __VA_ARGS__ }, \
	          sizeof((const struct classic_insn[]) { __VA_ARGS__ }) / sizeof(struct classic_insn))

static void test_refused_programs(void **state)
{
	const struct classic_insn yes = { BPF_RET | BPF_K, 0, 0, 1 };

	assert_int_equal(TRANSLATE(yes), 0);
	assert_int_equal(TRANSLATE({ BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE) }, yes),
	                 -EOPNOTSUPP);
	/* A loop, a jump to itself, two loops that cross. */
	assert_int_equal(TRANSLATE({ BPF_LD | BPF_IMM }, { BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 0 },
	                           { BPF_JMP | BPF_JA, 0, 0, (uint32_t)-3 }, yes),
	                 0);
	assert_int_equal(TRANSLATE({ BPF_JMP | BPF_JA, 0, 0, (uint32_t)-1 }, yes), -EOPNOTSUPP);
	assert_int_equal(TRANSLATE({ BPF_LD | BPF_IMM }, { BPF_MISC | BPF_TAX }, { BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0 },
	                           { BPF_JMP | BPF_JA, 0, 0, (uint32_t)-4 }, { BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0 },
	                           { BPF_JMP | BPF_JA, 0, 0, (uint32_t)-5 }, yes),
	                 -EOPNOTSUPP);
}

/* What libpcap refuses for raw IP alone matches nothing there. */
static void test_link_types(void **state)
{
	_cleanup_(filter_program_free) struct filter_program program = { 0 };
	_cleanup_(buf_free) struct buf refused = BUF_INIT(4096);

	assert_int_equal(filter_build("ether host 02:00:00:00:00:01", LINK_RAW_IP, &maps, &program, &refused), 0);
	assert_int_equal(program.n_classic, 1);
	assert_true(refused.size > 0);
	filter_program_free(&program);
	assert_int_equal(filter_build("ether hst 02:00:00:00:00:01", LINK_RAW_IP, &maps, &program, &refused), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_problems),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_refused_programs),
		cmocka_unit_test(test_link_types),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
