// SPDX-License-Identifier: Apache-2.0
/* Podnet against real network namespaces: their numbers, veths that move, notifications that are lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <libmnl/libmnl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <cmocka.h>
#include "selftests/podnet_world.h"
#include "user/clock.h"

static void test_number_used_again(void **state)
{
	struct world world;
	world_open(state, &world);
	make_names(&world);
	world_watch(&world);
	struct process a = process_start(PROCESS_OWN);
	uint32_t veth_a = make_veth(&a, "a0", "10.0.0.2/24");
	process_enter(&world, &a, POD_A "/" ID);
	expect_address_soon(&world, "10.0.0.2", A);
	assert_string_equal(podnet_pod_uid(world.podnet, 0), UID_A);

	/* A runtime keeps the namespace by a mount: it is the pod's still, without processes and cgroup. */
	_cleanup_(closep) int kept = process_netns_fd(&a);
	process_end(&a);
	assert_int_equal(unlinkat(world.fixture->tree_fd, POD_A "/" ID, AT_REMOVEDIR), 0);
	assert_int_equal(unlinkat(world.fixture->tree_fd, POD_A, AT_REMOVEDIR), 0);
	world_read(&world);
	podnet_tick(world.podnet);
	expect_address(&world, "10.0.0.2", world_now(), world_now(), A);
	uint64_t with_a = world_now();
	close(TAKE_FD(kept));
	expect_address_soon(&world, "10.0.0.2", "none");
	assert_string_equal(podnet_pod_uid(world.podnet, 0), "");

	struct process b = process_start(PROCESS_OWN);
	uint32_t veth_b = make_veth(&b, "b0", "10.0.0.3/24");
	process_enter(&world, &b, POD_B "/" ID);
	expect_address_soon(&world, "10.0.0.3", B);
	assert_string_equal(podnet_pod_uid(world.podnet, 0), UID_B);
	world_pass(NAMES_PATIENCE_NS);
	world_read(&world);
	expect_address(&world, "10.0.0.2", with_a, world_now(), A);
	expect_interface(&world, veth_a, "10.0.0.2", A);
	expect_interface(&world, veth_b, "10.0.0.3", B);

	process_end(&b);
	world_close(&world);
}

/* Gives the test's own namespace a number, as some runtimes do. */
static void number_own_netns(uint32_t nsid)
{
	char buffer[256];
	struct mnl_socket *socket = mnl_socket_open(NETLINK_ROUTE);
	assert_non_null(socket);
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	message->nlmsg_type = RTM_NEWNSID;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	mnl_nlmsg_put_extra_header(message, sizeof(struct rtgenmsg));
	mnl_attr_put_u32(message, NETNSA_PID, (uint32_t)getpid());
	mnl_attr_put_u32(message, NETNSA_NSID, nsid);
	assert_true(mnl_socket_sendto(socket, message, message->nlmsg_len) > 0);
	ssize_t size = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
	assert_true(size > 0);
	assert_int_equal(mnl_cb_run(buffer, (size_t)size, 0, 0, NULL, NULL), 0);
	mnl_socket_close(socket);
}

static void test_host_network(void **state)
{
	struct world world;
	world_open(state, &world);
	make_names(&world);
	make_uplink();
	world_watch(&world);
	struct process a = process_start(PROCESS_HOST), b = process_start(PROCESS_OWN);
	process_enter(&world, &a, POD_A "/" ID);
	make_veth(&b, "b0", "10.0.0.3/24");
	process_enter(&world, &b, POD_B "/" ID);
	expect_address_soon(&world, "10.0.0.3", B);
	expect_address(&world, "192.0.2.9", 0, world_now(), "host");

	number_own_netns(7);
	for (int i = 0; i < 3; i++) {
		world_read(&world);
		podnet_tick(world.podnet);
		world_pass(30 * NS_PER_SEC);
	}
	world_read(&world);
	assert_string_equal(podnet_pod_uid(world.podnet, 7), "");
	expect_address(&world, "192.0.2.9", 0, world_now(), "host");
	expect_address(&world, "10.0.0.3", world_now(), world_now(), B);

	process_end(&a);
	process_end(&b);
	world_close(&world);
}

static void test_veth_moved(void **state)
{
	struct world world;
	world_open(state, &world);
	make_names(&world);
	world_watch(&world);
	struct process a = process_start(PROCESS_OWN), b = process_start(PROCESS_OWN);
	uint32_t veth = make_veth(&a, "a0", "10.0.0.2/24");
	process_enter(&world, &a, POD_A "/" ID);
	process_enter(&world, &b, POD_B "/" ID);
	expect_address_soon(&world, "10.0.0.2", A);

	process_run(&a, "ip link set eth0 netns %d", (int)b.pid);
	process_run(&b, "ip addr add 10.0.0.3/24 dev eth0");
	process_run(&b, "ip link set eth0 up");
	expect_address_soon(&world, "10.0.0.3", B);
	expect_address_soon(&world, "10.0.0.2", "none");
	expect_interface(&world, veth, "10.0.0.3", B);
	expect_interface(&world, veth, "10.0.0.2", A);

	/* The host's side leaves. */
	host_run("ip link set a0 netns %d", (int)a.pid);
	expect_address_soon(&world, "10.0.0.3", "none");
	expect_interface(&world, veth, "10.0.0.3", B);

	process_end(&a);
	process_end(&b);
	world_close(&world);
}

/* How many notifications the socket has lost: reading would tell podnet's loss to us. */
static unsigned lost_notifications(const struct world *world)
{
	char line[256];
	struct stat st;
	unsigned drops = 0;
	_cleanup_(fclosep) FILE *file = fopen("/proc/self/net/netlink", "re");
	assert_non_null(file);
	assert_int_equal(fstat(podnet_fd(world->podnet), &st), 0);
	while (fgets(line, sizeof(line), file)) {
		/* sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode */
		char *field = line;
		for (int i = 0; i < 8; i++) {
			field += strcspn(field, " ");
			field += strspn(field, " ");
		}
		unsigned n = (unsigned)strtoul(field, &field, 10);
		if (strtoul(field, NULL, 10) == st.st_ino)
			drops = n;
	}
	return drops;
}

static void test_overflow(void **state)
{
	struct world world;
	world_open(state, &world);
	make_names(&world);
	world_watch(&world);
	struct process a = process_start(PROCESS_OWN), b = process_start(PROCESS_OWN);
	make_veth(&a, "a0", "10.0.0.2/24");
	/* More veths than can be rechecked one by one. */
	for (int i = 0; i < 300; i++)
		host_run("ip link add more%d type veth peer name erom%d netns %d", i, i, (int)a.pid);
	process_enter(&world, &a, POD_A "/" ID);
	process_enter(&world, &b, POD_B "/" ID);
	expect_address_soon(&world, "10.0.0.2", A);

	uint64_t with_a = world_now();
	world_read(&world);
	int bytes = 2304;
	assert_int_equal(setsockopt(podnet_fd(world.podnet), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)), 0);
	for (int i = 0; i < 300; i++)
		host_run("ip link set more%d mtu 1400", i);
	/* None of this is told. */
	host_run("ip link del a0");
	make_veth(&b, "b0", "10.0.0.2/24");
	make_veth(&a, "a1", "10.0.0.4/24");
	make_uplink();
	assert_true(lost_notifications(&world) > 0);
	uint64_t lost = world_now();
	bytes = 1 << 20;
	assert_int_equal(setsockopt(podnet_fd(world.podnet), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)), 0);

	expect_address_soon(&world, "10.0.0.2", B);
	expect_address_soon(&world, "10.0.0.4", A);
	expect_address_soon(&world, "192.0.2.9", "host");
	expect_address(&world, "10.0.0.2", with_a, with_a, A);
	expect_address(&world, "10.0.0.2", lost, lost, "ambiguous");

	/* All is known again, once and for all: what comes later does not reach back to the loss. */
	podnet_tick(world.podnet);
	podnet_tick(world.podnet);
	host_run("ip addr del 192.0.2.9/24 dev uplink");
	expect_address_soon(&world, "192.0.2.9", "none");
	uint64_t between = world_now();
	world_read(&world);
	host_run("ip addr add 192.0.2.9/24 dev uplink");
	expect_address_soon(&world, "192.0.2.9", "host");
	expect_address(&world, "192.0.2.9", between, between, "none");

	process_end(&a);
	process_end(&b);
	world_close(&world);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, identity_fixture_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_number_used_again),
		TEST(test_host_network),
		TEST(test_veth_moved),
		TEST(test_overflow),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
