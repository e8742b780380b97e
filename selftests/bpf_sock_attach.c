// SPDX-License-Identifier: Apache-2.0
/* Socket hooks, from attach to detach: what was there before, what others have attached, what a former loader left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <linux/bpf.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <cmocka.h>
#include <bpf/bpf.h>
#include "selftests/sock_fixture.h"
#include "user/clock.h"
#include "user/pins.h"
#include "user/probe.h"

#define HOOKS_MAX 8
#define BULK      50000

/* What is attached to the cgroup itself at HOOK. */
struct attached {
	uint32_t ids[HOOKS_MAX], n;
};

static struct attached attached_at(const struct sock_fixture *fixture, enum bpf_attach_type hook)
{
	struct attached attached = { .n = HOOKS_MAX };
	assert_int_equal(bpf_prog_query(fixture->cgroup, hook, 0, NULL, attached.ids, &attached.n), 0);
	return attached;
}

static const enum bpf_attach_type hooks[] = {
	BPF_CGROUP_INET_SOCK_CREATE, BPF_CGROUP_INET_SOCK_RELEASE, BPF_CGROUP_INET4_CONNECT, BPF_CGROUP_INET6_CONNECT,
	BPF_CGROUP_UDP4_SENDMSG,     BPF_CGROUP_UDP6_SENDMSG,      BPF_CGROUP_UDP4_RECVMSG,  BPF_CGROUP_UDP6_RECVMSG,
	BPF_CGROUP_INET4_POST_BIND,  BPF_CGROUP_INET6_POST_BIND,   BPF_CGROUP_SOCK_OPS,
};

static uint32_t count_attached(const struct sock_fixture *fixture)
{
	uint32_t sum = 0;
	for (size_t i = 0; i < ARRAY_SIZE(hooks); i++)
		sum += attached_at(fixture, hooks[i]).n;
	return sum;
}

static void check_attached(const struct sock_fixture *fixture, uint32_t n)
{
	for (size_t i = 0; i < ARRAY_SIZE(hooks); i++)
		assert_int_equal(attached_at(fixture, hooks[i]).n, n);
}

static int load_foreign(enum bpf_prog_type type, enum bpf_attach_type hook)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = hook);
	int program = bpf_prog_load(type, "foreign", "GPL", insns, ARRAY_SIZE(insns), &options);
	assert_true(program >= 0);
	return program;
}

/* Others' programs stay where they are, however they are attached; ours go. */
static void test_foreign(void **state)
{
	struct sock_fixture *fixture = *state;
	_cleanup_(closep) int connect4 = load_foreign(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_CONNECT);
	_cleanup_(closep) int sockops = load_foreign(BPF_PROG_TYPE_SOCK_OPS, BPF_CGROUP_SOCK_OPS);
	_cleanup_(closep) int link = bpf_link_create(connect4, fixture->cgroup, BPF_CGROUP_INET4_CONNECT, NULL);
	assert_true(link >= 0);
	assert_int_equal(bpf_prog_attach(sockops, fixture->cgroup, BPF_CGROUP_SOCK_OPS, BPF_F_ALLOW_MULTI), 0);
	struct attached before[] = { attached_at(fixture, BPF_CGROUP_INET4_CONNECT),
		                     attached_at(fixture, BPF_CGROUP_SOCK_OPS) };
	assert_int_equal(before[0].n, 1);
	assert_int_equal(before[1].n, 1);

	sock_attach(fixture);
	assert_int_equal(attached_at(fixture, BPF_CGROUP_INET4_CONNECT).n, 2);
	assert_int_equal(attached_at(fixture, BPF_CGROUP_SOCK_OPS).n, 2);
	assert_int_equal(attached_at(fixture, BPF_CGROUP_UDP6_SENDMSG).n, 1);
	sock_event(fixture, sock_connect(fixture, SOCK_IPV4, AF_INET).connected_cookie, SOCKET_CONNECT);
	assert_int_equal(sockets_detach(fixture->sockets), 0);
	struct attached after[] = { attached_at(fixture, BPF_CGROUP_INET4_CONNECT),
		                    attached_at(fixture, BPF_CGROUP_SOCK_OPS) };
	assert_memory_equal(before, after, sizeof(before));
	assert_int_equal(attached_at(fixture, BPF_CGROUP_UDP6_SENDMSG).n, 0);
}

/* Somebody who tolerates nobody else: nothing of ours stays. */
static void test_refused(void **state)
{
	struct sock_fixture *fixture = *state;
	_cleanup_(closep) int sockops = load_foreign(BPF_PROG_TYPE_SOCK_OPS, BPF_CGROUP_SOCK_OPS);
	assert_int_equal(bpf_prog_attach(sockops, fixture->cgroup, BPF_CGROUP_SOCK_OPS, 0), 0);
	assert_int_equal(sockets_attach(fixture->loader, fixture->cgroup, &fixture->sockets), -EPERM);
	assert_null(fixture->sockets);
	assert_int_equal(attached_at(fixture, BPF_CGROUP_SOCK_OPS).n, 1);
	assert_int_equal(attached_at(fixture, BPF_CGROUP_INET_SOCK_CREATE).n, 0);
}

/* Another loader over the same maps takes the links over; there is no moment without the hooks. */
static void test_taken_over(void **state)
{
	struct sock_fixture *fixture = *state;
	struct loader_options options = sock_options(true);
	char path[PATH_MAX];
	sock_attach(fixture);
	check_attached(fixture, 1);
	uint32_t former = attached_at(fixture, BPF_CGROUP_SOCK_OPS).ids[0];
	struct sock_pair pair = sock_connect(fixture, SOCK_IPV4, AF_INET);

	sockets_free(fixture->sockets);
	fixture->sockets = NULL;
	loader_free(fixture->loader);
	check_attached(fixture, 1);
	assert_int_equal(loader_open(&options, &fixture->loader), 0);
	sock_attach(fixture);
	check_attached(fixture, 1);
	assert_true(attached_at(fixture, BPF_CGROUP_SOCK_OPS).ids[0] != former);
	struct socket_info info = sock_info(fixture, pair.connected_cookie);
	assert_true(info.owner.since_ns && info.opened_ns);
	assert_int_equal(puppet_close(&fixture->client, pair.connected), 0);
	assert_int_equal(puppet_close(&fixture->server, pair.accepted), 0);
	sock_event(fixture, pair.connected_cookie, SOCKET_CLOSE);

	/* Live changes of the configuration concern other programs. */
	former = attached_at(fixture, BPF_CGROUP_SOCK_OPS).ids[0];
	options.config.samples = 1;
	assert_int_equal(loader_reconfigure(fixture->loader, &options), 0);
	assert_int_equal(attached_at(fixture, BPF_CGROUP_SOCK_OPS).ids[0], former);
	sock_event(fixture, sock_connect(fixture, SOCK_IPV4, AF_INET).accepted_cookie, SOCKET_ACCEPT);

	assert_int_equal(sockets_detach(fixture->sockets), 0);
	check_attached(fixture, 0);
	snprintf(path, sizeof(path), "%s/%s/sock_ops", SOCK_BPFFS, fixture->loader->layout);
	assert_int_equal(access(path, F_OK), -1);
}

/* Removing the pins, as `sonde detach` does, is enough. */
static void test_pins_removed(void **state)
{
	struct sock_fixture *fixture = *state;
	sock_attach(fixture);
	sockets_free(fixture->sockets);
	fixture->sockets = NULL;
	check_attached(fixture, 1);
	assert_int_equal(pins_remove(SOCK_BPFFS, fixture->loader->layout), 0);
	/* The kernel lets go of the links a moment later. */
	for (uint64_t end = clock_monotonic_ns() + 5 * NS_PER_SEC; count_attached(fixture);) {
		assert_true(clock_monotonic_ns() < end);
		sched_yield();
	}
	assert_int_equal(mkdir(SOCK_BPFFS "/0", 0700), 0);
	snprintf(fixture->loader->layout, sizeof(fixture->loader->layout), "0");
}

/* A kernel without such iterators: nothing to test. */
static void need_survey(void)
{
	if (!feature_available(FEATURE_SOCKET_ITER))
		skip();
}

/* Sockets of before, in another network namespace, too, get owners; connections, tuples and who began. */
static void test_survey(void **state)
{
	struct sock_fixture *fixture = *state;
	union address any = address_of(SOCK_IPV4, 0);
	need_survey();
	struct sock_pair pair = sock_connect(fixture, SOCK_IPV4, AF_INET);
	int udp = puppet_socket(&fixture->server, AF_INET, SOCK_DGRAM);
	assert_int_equal(puppet_bind(&fixture->server, udp, any), 0);
	uint64_t udp_cookie = puppet_cookie(&fixture->server, udp);
	uint64_t netns = puppet_netns_cookie(&fixture->server, udp);
	assert_int_equal(puppet_unshare(&fixture->client), 0);
	int far = puppet_socket(&fixture->client, AF_INET6, SOCK_DGRAM);
	uint64_t far_cookie = puppet_cookie(&fixture->client, far);

	sock_attach(fixture);
	assert_true(sockets_found(fixture->sockets) >= 5);
	struct socket_info info = sock_info(fixture, pair.connected_cookie);
	sock_check_owner(fixture, &info.owner, pair.connected_cookie, &fixture->client, "client");
	assert_true(info.owner.since_ns == 0 && info.opened_ns == 0 && info.owner.netns_cookie == netns);
	assert_memory_equal(&info.key, &pair.key, sizeof(pair.key));
	assert_int_equal(info.end, pair.end);
	assert_int_equal(info.initiator, pair.end);
	assert_int_equal(info.state, TCP_ESTABLISHED);
	info = sock_info(fixture, pair.accepted_cookie);
	sock_check_owner(fixture, &info.owner, pair.accepted_cookie, &fixture->server, "server");
	assert_int_equal(info.end, !pair.end);
	assert_int_equal(info.initiator, pair.end);
	struct connection connection = sock_connection(fixture, &pair.key);
	assert_true(connection.cookie[pair.end] == pair.connected_cookie);
	assert_true(connection.cookie[!pair.end] == pair.accepted_cookie);
	assert_true(sock_bound(fixture, netns, puppet_port(&fixture->server, udp), IPPROTO_UDP) == udp_cookie);
	assert_true(sock_bound(fixture, netns, pair.port, IPPROTO_TCP) == pair.listener_cookie);
	info = sock_info(fixture, far_cookie);
	sock_check_owner(fixture, &info.owner, far_cookie, &fixture->client, "client");
	assert_true(info.owner.netns_cookie == puppet_netns_cookie(&fixture->client, far) &&
	            info.owner.netns_cookie != netns);
}

/* A connection of before ends with its process's close, once, with its health as it was last read. */
static void test_survey_close(void **state)
{
	struct sock_fixture *fixture = *state;
	need_survey();
	struct sock_pair pair = sock_connect(fixture, SOCK_IPV6, AF_INET6);
	sock_attach(fixture);
	assert_int_equal(puppet_send(&fixture->client, pair.connected, BULK), BULK);
	assert_int_equal(puppet_receive(&fixture->server, pair.accepted, BULK), BULK);
	assert_int_equal(sockets_refresh(fixture->sockets), 0);
	assert_int_equal(puppet_close(&fixture->client, pair.connected), 0);
	struct socket_event event = sock_event(fixture, pair.connected_cookie, SOCKET_CLOSE);
	assert_memory_equal(&event.key, &pair.key, sizeof(pair.key));
	assert_int_equal(event.opened_ns, 0);
	assert_int_equal(event.initiator, pair.end);
	assert_in_range(event.health.bytes_acked, BULK, BULK + 1);
	assert_int_equal(sock_connection(fixture, &pair.key).cookie[pair.end], 0);
	assert_int_equal(sock_events_left(fixture, pair.connected_cookie), 0);
	/* Whom the listener of before accepts now is followed from the beginning. */
	assert_int_equal(puppet_close(&fixture->server, pair.accepted), 0);
	sock_event(fixture, pair.accepted_cookie, SOCKET_CLOSE);
	pair = sock_connect_to(fixture, SOCK_IPV6, pair.listener);
	event = sock_event(fixture, pair.accepted_cookie, SOCKET_ACCEPT);
	sock_check_owner(fixture, &event.owner, pair.accepted_cookie, &fixture->server, "server");
	assert_true(event.owner.since_ns != 0);
}

/* Health is read without a packet's help; and an entry that had to make room comes back while its socket lives. */
static void test_refresh(void **state)
{
	struct sock_fixture *fixture = *state;
	need_survey();
	sock_attach(fixture);
	struct sock_pair pair = sock_connect(fixture, SOCK_IPV4, AF_INET);
	assert_int_equal(puppet_send(&fixture->client, pair.connected, BULK), BULK);
	assert_int_equal(puppet_receive(&fixture->server, pair.accepted, BULK), BULK);
	assert_int_equal(sock_info(fixture, pair.accepted_cookie).health.read_ns, 0);
	uint64_t before = clock_monotonic_ns();
	assert_int_equal(sockets_refresh(fixture->sockets), 0);
	struct socket_health health = sock_info(fixture, pair.accepted_cookie).health;
	assert_in_range(health.read_ns, before, clock_monotonic_ns());
	assert_int_equal(health.bytes_received, BULK);
	health = sock_info(fixture, pair.connected_cookie).health;
	assert_in_range(health.bytes_acked, BULK, BULK + 1);
	assert_true(health.srtt_us > 0 && health.min_rtt_us > 0);

	struct socket_info former = sock_info(fixture, pair.accepted_cookie);
	assert_int_equal(bpf_map_delete_elem(fixture->loader->maps.sockets, &pair.accepted_cookie), 0);
	assert_int_equal(sockets_refresh(fixture->sockets), 0);
	struct socket_info again = sock_info(fixture, pair.accepted_cookie);
	assert_memory_equal(&again.owner, &former.owner, sizeof(former.owner));
	assert_memory_equal(&again.key, &former.key, sizeof(former.key));
	assert_int_equal(again.end, former.end);
	assert_int_equal(again.initiator, former.initiator);

	/* Gone at the close: the socket knows enough. */
	assert_int_equal(bpf_map_delete_elem(fixture->loader->maps.sockets, &pair.accepted_cookie), 0);
	assert_int_equal(puppet_close(&fixture->client, pair.connected), 0);
	assert_int_equal(puppet_close(&fixture->server, pair.accepted), 0);
	struct socket_event event = sock_event(fixture, pair.accepted_cookie, SOCKET_CLOSE);
	assert_memory_equal(&event.owner, &former.owner, sizeof(former.owner));
	assert_memory_equal(&event.key, &former.key, sizeof(former.key));
	assert_int_equal(event.initiator, former.initiator);
}

static void test_probes(void **state)
{
	assert_true(feature_available(FEATURE_SOCKETS));
	assert_int_equal(feature_find("sockets"), FEATURE_SOCKETS);
	assert_int_equal(feature_find("socket_iter"), FEATURE_SOCKET_ITER);
}

/* Where sockets are not to be followed, nothing of it is loaded and the maps take no room. */
static void test_disabled(void **state)
{
	struct loader_options options = sock_options(false);
	_cleanup_(loader_freep) struct loader *loader = NULL;
	_cleanup_(sockets_freep) struct sockets *sockets = NULL;
	struct bpf_map_info info = { 0 };
	uint32_t size = sizeof(info);
	const struct sock_fixture *fixture = *state;

	options.config.sockets = 0;
	assert_int_equal(loader_open(&options, &loader), 0);
	assert_int_equal(sockets_attach(loader, fixture->cgroup, &sockets), -EINVAL);
	assert_int_equal(bpf_obj_get_info_by_fd(loader->maps.sockets, &info, &size), 0);
	assert_int_equal(info.max_entries, 1);
}

/* The last test: what is turned off stays so. New connections are followed all the same. */
static void test_without_survey(void **state)
{
	struct sock_fixture *fixture = *state;
	struct sock_pair old = sock_connect(fixture, SOCK_IPV4, AF_INET);
	feature_disable(FEATURE_SOCKET_ITER);
	sock_attach(fixture);
	assert_int_equal(sockets_found(fixture->sockets), -1);
	assert_int_equal(sockets_refresh(fixture->sockets), 0);
	assert_false(sock_is_known(fixture, old.connected_cookie));
	/* Whose listener it is, is not known: the cookie alone. */
	struct sock_pair pair = sock_connect_to(fixture, SOCK_IPV4, old.listener);
	struct socket_event event = sock_event(fixture, pair.accepted_cookie, SOCKET_ACCEPT);
	assert_int_equal(event.owner.tgid, 0);
	assert_int_equal(event.owner.cgroup_id, 0);
	event = sock_event(fixture, pair.connected_cookie, SOCKET_CONNECT);
	sock_check_owner(fixture, &event.owner, pair.connected_cookie, &fixture->client, "client");
	assert_int_equal(puppet_close(&fixture->client, pair.connected), 0);
	assert_int_equal(puppet_close(&fixture->server, pair.accepted), 0);
	assert_true(sock_event(fixture, pair.accepted_cookie, SOCKET_CLOSE).health.read_ns != 0);
}

#define SOCK_TEST(name)   cmocka_unit_test_setup_teardown(name, sock_setup, sock_teardown)
#define PINNED_TEST(name) cmocka_unit_test_setup_teardown(name, sock_setup_pinned, sock_teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		SOCK_TEST(test_foreign),        SOCK_TEST(test_refused),  PINNED_TEST(test_taken_over),
		PINNED_TEST(test_pins_removed), SOCK_TEST(test_survey),   SOCK_TEST(test_survey_close),
		SOCK_TEST(test_refresh),        SOCK_TEST(test_disabled), cmocka_unit_test(test_probes),
		SOCK_TEST(test_without_survey),
	};
	puppet_main(argc, argv);
	if (puppet_network(SOCK_IPV4, SOCK_IPV6) < 0)
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
