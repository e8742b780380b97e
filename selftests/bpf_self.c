// SPDX-License-Identifier: Apache-2.0
/* Self: the sensor's own connections are not observed, at no hook and in neither direction. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sched.h>
#include <sys/socket.h>
#include <cmocka.h>
#include <bpf/bpf.h>
#include "selftests/row.h"

#define SYN    PKT(ETH, IP4(), TCP(.flags = TH_SYN))
#define ACK    PKT(ETH, IP4(), TCP())
#define FIN    PKT(ETH, IP4(), TCP(.flags = TH_FIN | TH_ACK))
#define ANSWER PKT(ETH, IP4(REPLY), TCP(REPLY))

#define COOKIES      200
#define COOKIE_BATCH 4096 /* that a CPU takes at a time */

/* The tuple of all packets here. */
static struct flow_key own_key(void)
{
	return (struct flow_key) {
		.addr = { { [10] = 0xff, 0xff, 10, 0, 0, 1 }, { [10] = 0xff, 0xff, 10, 0, 0, 2 } },
		.port = { htons(40000), htons(443) },
		.protocol = IPPROTO_TCP,
		.ip_version = 4,
	};
}

static void make_own(const struct harness *harness)
{
	const struct flow_key key = own_key();
	const uint64_t cookie = 1;
	assert_int_equal(bpf_map_update_elem(harness_map(harness, "self_flows"), &key, &cookie, BPF_ANY), 0);
}

static bool is_own(const struct harness *harness)
{
	const struct flow_key key = own_key();
	uint64_t cookie;
	return bpf_map_lookup_elem(harness_map(harness, "self_flows"), &key, &cookie) == 0;
}

static void test_tuple(void **state)
{
	static const struct row rows[] = {
		{ "its answers", ANSWER, VERDICT_SELF, .hook = NIC_IN },
		{ "its packets, where there is no socket", ACK, VERDICT_SELF, .hook = POD_IN },
		{ "a SYN, where there is no socket", SYN, VERDICT_SELF, .hook = POD_IN },
		{ "late ones, of a socket that is not ours any more", FIN, VERDICT_SELF, .hook = NIC_OUT },
		{ "segments", PKT(ETH, IP4(), TCP(), BYTES(2000)), VERDICT_SELF, .hook = NIC_OUT, .gso_size = 1000,
		  .packets = 2 },
		{ "another port is somebody else's",
		  PKT(ETH, IP4(), TCP(.to_port = 444)),
		  VERDICT_OBSERVED,
		  { "tcp 10.0.0.1:40000 (1 40 A) -> 10.0.0.2:444 (0 0)" },
		  NIC_OUT },
	};
	_cleanup_(harness_freep) struct harness *harness = harness_open(&(struct harness_options) { 0 });

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		harness_clear(harness);
		make_own(harness);
		row_run(harness, &rows[i]);
		assert_true(is_own(harness));
	}
}

/* A socket that is not the sensor's opens a connection on a tuple that once was. */
static void test_reused_tuple(void **state)
{
	static const struct row rows[] = {
		{ "somebody else's SYN",
		  SYN,
		  VERDICT_OBSERVED,
		  { "tcp 10.0.0.1:40000 (1 40 S) -> 10.0.0.2:443 (0 0)" },
		  NIC_OUT },
		{ "its answer",
		  ANSWER,
		  VERDICT_OBSERVED,
		  { "tcp 10.0.0.1:40000 (1 40 S) -> 10.0.0.2:443 (1 40 A)" },
		  NIC_IN },
	};
	_cleanup_(harness_freep) struct harness *harness = harness_open(&(struct harness_options) { 0 });

	make_own(harness);
	row_run(harness, &rows[0]);
	assert_false(is_own(harness));
	row_run(harness, &rows[1]);
}

/* The sensor's connection takes over a tuple that has a live flow. */
static void test_live_flow(void **state)
{
	static const struct row before = {
		"somebody's flow", ACK, VERDICT_OBSERVED, { "tcp 10.0.0.1:40000 (1 40 A) -> 10.0.0.2:443 (0 0)" }
	};
	static const struct row rows[] = {
		{ "a known flow is not looked up",
		  ACK,
		  VERDICT_OBSERVED,
		  { "tcp 10.0.0.1:40000 (2 80 A) -> 10.0.0.2:443 (0 0)" } },
		{ "our SYN ends it",
		  SYN,
		  VERDICT_SELF,
		  { "tcp 10.0.0.1:40000 (2 80 A) -> 10.0.0.2:443 (0 0) closed" } },
		{ "what follows is ours",
		  ACK,
		  VERDICT_SELF,
		  { "tcp 10.0.0.1:40000 (2 80 A) -> 10.0.0.2:443 (0 0) closed" } },
		{ "and so are the answers",
		  ANSWER,
		  VERDICT_SELF,
		  { "tcp 10.0.0.1:40000 (2 80 A) -> 10.0.0.2:443 (0 0) closed" } },
	};
	_cleanup_(harness_freep) struct harness *harness = harness_open(&(struct harness_options) { 0 });

	row_run(harness, &before);
	make_own(harness);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		row_run(harness, &rows[i]);
}

static uint64_t next_cookie(void)
{
	_cleanup_(closep) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint64_t cookie;
	socklen_t size = sizeof(cookie);
	assert_true(fd >= 0);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size), 0);
	return cookie;
}

/*
 * Each test run makes a socket of its own, behind whose packet the program finds it. A CPU gives cookies in ascending
 * order, so that those of the runs to come can be announced beforehand, as the loader does with its sockets.
 */
static void announce_cookies(const struct harness *harness)
{
	const uint64_t now = 1;
	uint64_t cookie = next_cookie();

	/* A batch is 4096 k + 1 to 4096 (k + 1); the one behind it may be another CPU's. */
	while ((cookie - 1) % COOKIE_BATCH + COOKIES >= COOKIE_BATCH)
		cookie = next_cookie();
	for (uint64_t i = 1; i <= COOKIES; i++) {
		uint64_t announced = cookie + i;
		assert_int_equal(bpf_map_update_elem(harness_map(harness, "self_sockets"), &announced, &now, BPF_ANY),
		                 0);
	}
}

static void withdraw_cookies(const struct harness *harness)
{
	int map = harness_map(harness, "self_sockets");
	uint64_t cookie;
	while (bpf_map_get_next_key(map, NULL, &cookie) == 0)
		assert_int_equal(bpf_map_delete_elem(map, &cookie), 0);
}

static void test_socket(void **state)
{
	static const struct row rows[] = {
		{ "our socket's SYN", SYN, VERDICT_SELF, .hook = NIC_OUT },
		{ "the answer has no socket", ANSWER, VERDICT_SELF, .hook = NIC_IN },
	};
	static const struct row late = { "a late FIN has none either", FIN, VERDICT_SELF, .hook = NIC_OUT };
	_cleanup_(harness_freep) struct harness *harness = harness_open(&(struct harness_options) { 0 });
	cpu_set_t all, one;

	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	announce_cookies(harness);
	row_run(harness, &rows[0]);
	assert_true(is_own(harness));
	row_run(harness, &rows[1]);
	withdraw_cookies(harness);
	row_run(harness, &late);
	assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tuple),
		cmocka_unit_test(test_reused_tuple),
		cmocka_unit_test(test_live_flow),
		cmocka_unit_test(test_socket),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
