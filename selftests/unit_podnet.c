// SPDX-License-Identifier: Apache-2.0
/* Podnet against real network namespaces, veths and cgroups: whose an address is, and was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "selftests/podnet_world.h"
#include "user/clock.h"

#define MINUTE (60 * NS_PER_SEC)

static void test_two_pods(void **state)
{
	struct world world;
	world_open(state, &world);
	make_names(&world);
	make_uplink();
	world_watch(&world);

	struct process a = process_start(PROCESS_OWN), b = process_start(PROCESS_OWN);
	uint32_t veth_a = make_veth(&a, "a0", "10.0.0.2/24"), veth_b = make_veth(&b, "b0", "10.0.0.3/24");
	process_run(&a, "ip addr add fd00::2/64 dev eth0");
	process_run(&b, "ip addr add fd00::3/64 dev eth0");
	process_run(&a, "ip addr add 169.254.7.7/16 dev eth0");
	process_run(&a, "ip addr add fe80::7/64 dev eth0");
	process_enter(&world, &a, POD_A "/" ID);
	process_enter(&world, &b, POD_B "/" ID);

	expect_address_soon(&world, "10.0.0.2", A);
	expect_address_soon(&world, "10.0.0.3", B);
	expect_address_soon(&world, "fd00::2", A);
	expect_address_soon(&world, "fd00::3", B);
	expect_address_soon(&world, "192.0.2.9", "host");
	uint64_t now = world_now();
	expect_address(&world, "10.0.0.4", 0, now, "none");
	expect_address(&world, "169.254.7.7", 0, now, "none");
	expect_address(&world, "fe80::7", 0, now, "none");
	expect_address(&world, "127.0.0.1", 0, now, "none");
	expect_address(&world, "::1", 0, now, "none");
	expect_interface(&world, veth_a, "10.0.0.2", A);
	expect_interface(&world, veth_a, "fd00::2", A);
	expect_interface(&world, veth_b, "10.0.0.3", B);
	expect_interface(&world, if_nametoindex("uplink"), "192.0.2.9", "none");
	expect_interface(&world, 0, "10.0.0.2", "none");
	assert_string_equal(podnet_pod_uid(world.podnet, 0), UID_A);
	assert_string_equal(podnet_pod_uid(world.podnet, 1), UID_B);
	assert_string_equal(podnet_pod_uid(world.podnet, 2), "");
	assert_string_equal(podnet_pod_uid(world.podnet, -1), "");

	/* An address behind the wrong veth is nobody's, once both namespaces are known well. */
	world_pass(NAMES_PATIENCE_NS);
	expect_interface(&world, veth_b, "10.0.0.2", "foreign");
	/* Own addresses come and go. */
	host_run("ip addr del 192.0.2.9/24 dev uplink");
	host_run("ip addr add fd01::9/64 dev uplink");
	expect_address_soon(&world, "192.0.2.9", "none");
	expect_address(&world, "192.0.2.9", 0, now, "host");
	expect_address_soon(&world, "fd01::9", "host");

	process_end(&a);
	process_end(&b);
	world_close(&world);
}

static void test_there_at_start(void **state)
{
	struct world world;
	world_open(state, &world);
	make_names(&world);
	struct process a = process_start(PROCESS_OWN), b = process_start(PROCESS_OWN);
	uint32_t veth = make_veth(&a, "a0", "10.0.0.2/24");
	make_veth(&b, "b0", "fd00::3/64");
	process_enter(&world, &a, POD_A "/" ID);
	process_enter(&world, &b, POD_B "/" ID);
	make_uplink();

	world_watch(&world);
	/* Since ever, as far as is known. */
	expect_address(&world, "10.0.0.2", 1, 2, A);
	expect_address(&world, "fd00::3", 1, world_now(), B);
	expect_address(&world, "192.0.2.9", 1, 2, "host");
	expect_interface(&world, veth, "10.0.0.2", A);

	process_end(&a);
	process_end(&b);
	world_close(&world);
}

static void test_address_used_again(void **state)
{
	struct world world;
	world_open(state, &world);
	make_names(&world);
	world_watch(&world);
	struct process a = process_start(PROCESS_OWN), b = process_start(PROCESS_OWN);
	uint32_t veth_a = make_veth(&a, "a0", "10.0.0.2/24");
	process_enter(&world, &a, POD_A "/" ID);
	process_enter(&world, &b, POD_B "/" ID);
	expect_address_soon(&world, "10.0.0.2", A);

	uint64_t with_a = world_now();
	host_run("ip link del a0");
	expect_address_soon(&world, "10.0.0.2", "none");
	uint64_t between = world_now();
	world_read(&world);
	uint32_t veth_b = make_veth(&b, "b0", "10.0.0.2/24");
	expect_address_soon(&world, "10.0.0.2", B);
	uint64_t with_b = world_now();
	world_read(&world);
	print_message("named %.1f ms after the former pod's end\n", (double)(with_b - between) / NS_PER_MS);

	/* While a namespace is new, an address without an owner may be its. */
	expect_address(&world, "10.0.0.2", between, between, "pending");
	world_pass(NAMES_PATIENCE_NS);
	world_read(&world);
	expect_address(&world, "10.0.0.2", with_a, with_a, A);
	expect_address(&world, "10.0.0.2", with_a, between, A);
	expect_address(&world, "10.0.0.2", between, between, "none");
	expect_address(&world, "10.0.0.2", between, with_b, B);
	expect_address(&world, "10.0.0.2", with_b, with_b, B);
	expect_address(&world, "10.0.0.2", with_a, with_b, "ambiguous");
	expect_interface(&world, veth_a, "10.0.0.2", A);
	expect_interface(&world, veth_b, "10.0.0.2", B);

	/* Both at once. */
	make_veth(&a, "a1", "10.0.0.2/24");
	expect_address_soon(&world, "10.0.0.2", "ambiguous");
	expect_address(&world, "10.0.0.2", with_b, with_b, B);

	/* What is long over is forgotten. */
	host_run("ip link del a1");
	host_run("ip link del b0");
	expect_address_soon(&world, "10.0.0.2", "none");
	world_pass(9 * MINUTE);
	podnet_tick(world.podnet);
	expect_address(&world, "10.0.0.2", with_b, with_b, B);
	expect_address(&world, "10.0.0.2", with_a, with_b, "ambiguous");
	world_pass(2 * MINUTE);
	podnet_tick(world.podnet);
	expect_address(&world, "10.0.0.2", with_b, with_b, "none");
	expect_interface(&world, veth_a, "10.0.0.2", "none");

	process_end(&a);
	process_end(&b);
	world_close(&world);
}

/* The reader was busy while the address went from one pod to the next: what it knows is not the time's that is asked for. */
static void test_told_late(void **state)
{
	struct world world;
	world_open(state, &world);
	make_names(&world);
	world_watch(&world);
	struct process a = process_start(PROCESS_OWN), b = process_start(PROCESS_OWN);
	make_veth(&a, "a0", "10.0.0.2/24");
	process_enter(&world, &a, POD_A "/" ID);
	process_enter(&world, &b, POD_B "/" ID);
	expect_address_soon(&world, "10.0.0.2", A);
	world_read(&world);

	host_run("ip link del a0");
	make_veth(&b, "b0", "10.0.0.2/24");
	world_pass(NS_PER_SEC);
	uint64_t late = world_now();
	expect_address(&world, "10.0.0.2", late, late, "pending");
	world_pass(NS_PER_SEC);
	expect_address_soon(&world, "10.0.0.2", B);
	expect_address(&world, "10.0.0.2", late, late, "ambiguous");
	process_end(&a);
	process_end(&b);
	world_close(&world);
}

/* What cannot come from farther than the other end of the veth is the pod's. */
static void test_local_address(void **state)
{
	struct world world;
	world_open(state, &world);
	make_names(&world);
	world_watch(&world);
	struct process a = process_start(PROCESS_OWN);
	uint32_t veth = make_veth(&a, "a0", "10.0.0.2/24");
	process_enter(&world, &a, POD_A "/" ID);
	expect_address_soon(&world, "10.0.0.2", A);
	expect_interface(&world, veth, "fe80::1234", A);
	expect_interface(&world, veth, "169.254.1.2", A);
	expect_address(&world, "fe80::1234", 0, world_now(), "none");
	world_pass(NAMES_PATIENCE_NS);
	expect_interface(&world, veth, "fec0::1", "foreign");
	expect_interface(&world, veth, "169.253.1.2", "foreign");
	expect_interface(&world, veth, "::", "foreign");
	process_end(&a);
	world_close(&world);
}

static void test_no_pod(void **state)
{
	struct world world;
	world_open(state, &world);
	world_watch(&world);
	struct process process = process_start(PROCESS_OWN);
	uint32_t veth = make_veth(&process, "a0", "10.0.0.2/24");
	expect_interface(&world, veth, "10.0.0.2", "none");
	expect_address_soon(&world, "10.0.0.2", "none");
	/* A pod without a namespace: this one may be it. */
	make_path(world.fixture->tree_fd, POD_A);
	expect_address_soon(&world, "10.0.0.2", "pending");
	expect_interface(&world, veth, "10.0.0.2", "pending");
	world_pass(NAMES_PATIENCE_NS);
	world_read(&world);
	expect_address(&world, "10.0.0.2", world_now(), world_now(), "none");
	expect_interface(&world, veth, "10.0.0.2", "none");
	expect_interface(&world, veth, "10.0.0.9", "none");

	process_end(&process);
	world_close(&world);
}

static void test_names_come_later(void **state)
{
	struct world world;
	world_open(state, &world);
	world_watch(&world);
	/* The runtime's process is in the cgroup, but not yet in the pod's namespace; the veth comes last. */
	struct process a = process_start(PROCESS_HOST), b = process_start(PROCESS_OWN);
	process_enter(&world, &a, POD_A "/" ID);
	process_enter(&world, &b, POD_B "/" ID);
	world_read(&world);
	podnet_tick(world.podnet);
	process_unshare(&a);
	make_veth(&a, "a0", "10.0.0.2/24");
	make_veth(&b, "b0", "10.0.0.3/24");
	expect_address_soon(&world, "10.0.0.2", "pending");

	make_path(world.fixture->log_fd, "pods/shop_web_" UID_A);
	expect_address_soon(&world, "10.0.0.2", A);
	expect_address_soon(&world, "10.0.0.3", "pending");
	world_pass(NAMES_PATIENCE_NS);
	expect_address_soon(&world, "10.0.0.3", "-/-/" UID_B);

	process_end(&a);
	process_end(&b);
	world_close(&world);
}

static void test_contested(void **state)
{
	struct world world;
	world_open(state, &world);
	make_names(&world);
	world_watch(&world);
	struct process a = process_start(PROCESS_OWN), b = process_beside(&a);
	uint32_t veth = make_veth(&a, "a0", "10.0.0.2/24");
	process_enter(&world, &a, POD_A "/" ID);
	expect_address_soon(&world, "10.0.0.2", A);
	process_enter(&world, &b, POD_B "/" ID);
	expect_address_soon(&world, "10.0.0.2", "none");
	expect_interface(&world, veth, "10.0.0.2", "none");
	assert_string_equal(podnet_pod_uid(world.podnet, 0), "");

	process_end(&a);
	process_end(&b);
	world_close(&world);
}

static void test_address_added_later(void **state)
{
	struct world world;
	world_open(state, &world);
	make_names(&world);
	world_watch(&world);
	struct process a = process_start(PROCESS_OWN);
	uint32_t veth = make_veth(&a, "a0", "10.0.0.2/24");
	process_enter(&world, &a, POD_A "/" ID);
	expect_address_soon(&world, "10.0.0.2", A);
	/* Until its addresses are read seldom. */
	for (int i = 0; i < 12; i++) {
		world_pass(30 * NS_PER_SEC);
		podnet_tick(world.podnet);
	}
	uint64_t before = world_now();
	world_pass(NS_PER_SEC);

	process_run(&a, "ip addr add 10.0.0.7/24 dev eth0");
	podnet_tick(world.podnet);
	expect_address(&world, "10.0.0.7", world_now(), world_now(), "none");
	expect_interface(&world, veth, "10.0.0.7", A); /* asked for, read */
	expect_address(&world, "10.0.0.7", world_now(), world_now(), A);
	expect_address(&world, "10.0.0.7", 1, before - MINUTE, "none");

	process_run(&a, "ip addr add 10.0.0.8/24 dev eth0");
	process_run(&a, "ip addr del 10.0.0.7/24 dev eth0");
	world_pass(31 * NS_PER_SEC);
	podnet_tick(world.podnet);
	expect_address(&world, "10.0.0.8", world_now(), world_now(), A);
	expect_address(&world, "10.0.0.7", world_now(), world_now(), "none");

	process_end(&a);
	world_close(&world);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, identity_fixture_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_two_pods),         TEST(test_there_at_start), TEST(test_address_used_again),
		TEST(test_told_late),        TEST(test_local_address),  TEST(test_no_pod),
		TEST(test_names_come_later), TEST(test_contested),      TEST(test_address_added_later),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
