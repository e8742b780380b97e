// SPDX-License-Identifier: Apache-2.0
/* Socket hooks, owners: who uses a socket, for UDP and where processes fork, execute, and hand sockets on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>
#include <bpf/bpf.h>
#include "selftests/sock_fixture.h"

static void check_info(struct sock_fixture *fixture, uint64_t cookie, const struct puppet *puppet, const char *comm)
{
	struct socket_info info = sock_info(fixture, cookie);
	sock_check_owner(fixture, &info.owner, cookie, puppet, comm);
}

static void test_creation(void **state)
{
	static const struct {
		int family, type;
	} rows[] = {
		{ AF_INET, SOCK_STREAM },
		{ AF_INET, SOCK_DGRAM },
		{ AF_INET6, SOCK_STREAM },
		{ AF_INET6, SOCK_DGRAM },
	};
	struct sock_fixture *fixture = *state;
	sock_attach(fixture);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int fd = puppet_socket(&fixture->client, rows[i].family, rows[i].type);
		uint64_t cookie = puppet_cookie(&fixture->client, fd);
		struct socket_info info = sock_info(fixture, cookie);
		sock_check_owner(fixture, &info.owner, cookie, &fixture->client, "client");
		assert_true(info.owner.since_ns != 0);
		assert_true(info.owner.netns_cookie == puppet_netns_cookie(&fixture->client, fd));
		assert_int_equal(info.key.protocol, 0);
		assert_int_equal(info.closed_ns, 0);
		assert_int_equal(puppet_close(&fixture->client, fd), 0);
		assert_true(sock_info(fixture, cookie).closed_ns != 0);
	}
	/* No IP: not followed. */
	int fd = puppet_socket(&fixture->client, AF_UNIX, SOCK_STREAM);
	assert_false(sock_is_known(fixture, puppet_cookie(&fixture->client, fd)));
}

/* A UDP socket of the server's, bound at TEXT; *RET_TO: its address. */
static int bind_udp(struct sock_fixture *fixture, const char *text, union address *ret_to)
{
	union address any = address_of(text, 0);
	int fd = puppet_socket(&fixture->server, any.any.sa_family, SOCK_DGRAM);
	assert_true(fd >= 0);
	assert_int_equal(puppet_bind(&fixture->server, fd, any), 0);
	*ret_to = address_of(text, puppet_port(&fixture->server, fd));
	return fd;
}

static void check_udp(struct sock_fixture *fixture, const char *text)
{
	union address to;
	int bound = bind_udp(fixture, text, &to);
	uint64_t bound_cookie = puppet_cookie(&fixture->server, bound);
	uint64_t netns = puppet_netns_cookie(&fixture->server, bound);
	uint16_t port = puppet_port(&fixture->server, bound);

	check_info(fixture, bound_cookie, &fixture->server, "server");
	assert_true(sock_bound(fixture, netns, port, IPPROTO_UDP) == bound_cookie);
	int sender = puppet_socket(&fixture->client, to.any.sa_family, SOCK_DGRAM);
	assert_int_equal(puppet_send_to(&fixture->client, sender, 10, to), 10);
	assert_int_equal(puppet_receive(&fixture->server, bound, 10), 10);
	int connected = puppet_socket(&fixture->client, to.any.sa_family, SOCK_DGRAM);
	assert_int_equal(puppet_connect(&fixture->client, connected, to), 0);
	assert_int_equal(puppet_send(&fixture->client, connected, 10), 10);
	check_info(fixture, puppet_cookie(&fixture->client, sender), &fixture->client, "client");
	check_info(fixture, puppet_cookie(&fixture->client, connected), &fixture->client, "client");

	assert_int_equal(puppet_close(&fixture->server, bound), 0);
	assert_true(sock_bound(fixture, netns, port, IPPROTO_UDP) == 0);
	assert_true(sock_info(fixture, bound_cookie).closed_ns != 0);
	assert_int_equal(sock_events_left(fixture, bound_cookie), 0);
}

static void test_udp(void **state)
{
	sock_attach(*state);
	check_udp(*state, SOCK_IPV4);
	check_udp(*state, SOCK_IPV6);
}

/* Sockets that were there before the hooks, without the survey: the first datagram tells whose they are. */
static void test_datagrams_tell(void **state)
{
	struct sock_fixture *fixture = *state;
	const char *texts[] = { SOCK_IPV4, SOCK_IPV6 };

	sock_attach(fixture);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		union address to;
		int bound = bind_udp(fixture, texts[i], &to);
		int sender = puppet_socket(&fixture->client, to.any.sa_family, SOCK_DGRAM);
		uint64_t cookies[] = { puppet_cookie(&fixture->server, bound),
			               puppet_cookie(&fixture->client, sender) };
		pid_t server = fixture->server.pid, client = fixture->client.pid;

		/* Other processes that have them, too. */
		puppet_fork(&fixture->client);
		puppet_fork(&fixture->server);
		check_info(fixture, cookies[0], &(struct puppet) { .pid = server }, "server");
		check_info(fixture, cookies[1], &(struct puppet) { .pid = client }, "client");
		assert_int_equal(puppet_send_to(&fixture->client, sender, 10, to), 10);
		assert_int_equal(puppet_receive(&fixture->server, bound, 10), 10);
		check_info(fixture, cookies[0], &fixture->server, "server");
		check_info(fixture, cookies[1], &fixture->client, "client");
		puppet_unfork(&fixture->server, server);
		puppet_unfork(&fixture->client, client);
		/* Not closed: the first ones have them still. */
		assert_int_equal(sock_info(fixture, cookies[0]).closed_ns, 0);
	}
}

/* The latest one that was bound is in the map; another one's release leaves it there. */
static void test_shared_port(void **state)
{
	struct sock_fixture *fixture = *state;
	int fds[2];
	uint64_t cookies[2];
	uint16_t port = 0;

	sock_attach(fixture);
	for (int i = 0; i < 2; i++) {
		fds[i] = puppet_socket(&fixture->server, AF_INET, SOCK_DGRAM);
		cookies[i] = puppet_cookie(&fixture->server, fds[i]);
		assert_int_equal(puppet_set(&fixture->server, fds[i], SOL_SOCKET, SO_REUSEPORT, 1), 0);
		assert_int_equal(puppet_bind(&fixture->server, fds[i], address_of(SOCK_IPV4, port)), 0);
		port = puppet_port(&fixture->server, fds[i]);
	}
	uint64_t netns = puppet_netns_cookie(&fixture->server, fds[0]);
	assert_true(sock_bound(fixture, netns, port, IPPROTO_UDP) == cookies[1]);
	assert_int_equal(puppet_close(&fixture->server, fds[0]), 0);
	assert_true(sock_bound(fixture, netns, port, IPPROTO_UDP) == cookies[1]);
	assert_int_equal(puppet_close(&fixture->server, fds[1]), 0);
	assert_true(sock_bound(fixture, netns, port, IPPROTO_UDP) == 0);
}

static void test_listener_is_bound(void **state)
{
	struct sock_fixture *fixture = *state;
	sock_attach(fixture);
	struct sock_pair pair = sock_connect(fixture, SOCK_IPV4, AF_INET);
	uint64_t netns = puppet_netns_cookie(&fixture->server, pair.listener);
	assert_true(sock_bound(fixture, netns, pair.port, IPPROTO_TCP) == pair.listener_cookie);
	/* What was accepted has the same port, and closes without it. */
	assert_int_equal(puppet_close(&fixture->server, pair.accepted), 0);
	assert_true(sock_bound(fixture, netns, pair.port, IPPROTO_TCP) == pair.listener_cookie);
	assert_int_equal(puppet_close(&fixture->server, pair.listener), 0);
	assert_true(sock_bound(fixture, netns, pair.port, IPPROTO_TCP) == 0);
}

/* Whoever accepts, a connection is the listener's: that is all that is known when it is established. */
static void test_accepted_by_child(void **state)
{
	struct sock_fixture *fixture = *state;
	sock_attach(fixture);
	int listener = sock_listen(fixture, SOCK_IPV4, AF_INET, 1);
	pid_t parent = fixture->server.pid;
	puppet_fork(&fixture->server);
	struct sock_pair pair = sock_connect_to(fixture, SOCK_IPV4, listener);
	check_info(fixture, pair.accepted_cookie, &(struct puppet) { .pid = parent }, "server");
	check_info(fixture, pair.listener_cookie, &(struct puppet) { .pid = parent }, "server");
	puppet_unfork(&fixture->server, parent);
	sock_event(fixture, pair.accepted_cookie, SOCKET_CLOSE);
}

/* A socket that its process got from another one, or made before it executed something else: who connects has it. */
static void test_connect_takes(void **state)
{
	struct sock_fixture *fixture = *state;
	sock_attach(fixture);
	int listener = sock_listen(fixture, SOCK_IPV4, AF_INET, 1);
	union address to = address_of(SOCK_IPV4, puppet_port(&fixture->server, listener));
	int fd = puppet_socket(&fixture->client, AF_INET, SOCK_STREAM);
	uint64_t cookie = puppet_cookie(&fixture->client, fd);
	uint64_t since = sock_info(fixture, cookie).owner.since_ns;
	pid_t parent = fixture->client.pid;

	puppet_exec(&fixture->client);
	check_info(fixture, cookie, &fixture->client, "client");
	assert_int_equal(puppet_connect(&fixture->client, fd, to), 0);
	struct socket_event event = sock_event(fixture, cookie, SOCKET_CONNECT);
	sock_check_owner(fixture, &event.owner, cookie, &fixture->client, "bpf_sock_owner");
	/* The same process all the time. */
	assert_true(event.owner.since_ns == since);

	fd = puppet_socket(&fixture->client, AF_INET, SOCK_STREAM);
	cookie = puppet_cookie(&fixture->client, fd);
	puppet_fork(&fixture->client);
	assert_int_equal(puppet_connect(&fixture->client, fd, to), 0);
	event = sock_event(fixture, cookie, SOCKET_CONNECT);
	sock_check_owner(fixture, &event.owner, cookie, &fixture->client, "bpf_sock_owner");
	puppet_unfork(&fixture->client, parent);
}

#define SOCK_TEST(name) cmocka_unit_test_setup_teardown(name, sock_setup, sock_teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		SOCK_TEST(test_creation),          SOCK_TEST(test_udp),
		SOCK_TEST(test_datagrams_tell),    SOCK_TEST(test_shared_port),
		SOCK_TEST(test_listener_is_bound), SOCK_TEST(test_accepted_by_child),
		SOCK_TEST(test_connect_takes),
	};
	puppet_main(argc, argv);
	if (puppet_network(SOCK_IPV4, SOCK_IPV6) < 0)
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
