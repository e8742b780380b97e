// SPDX-License-Identifier: Apache-2.0
/* Socket hooks, TCP: every connection's owner, tuple, begin, end, and health, with real sockets of real processes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <cmocka.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "selftests/sock_fixture.h"
#include "user/clock.h"

#define BULK  60000
#define LIVES 200

static void check_event(const struct sock_pair *pair, const struct socket_event *event, bool client, uint8_t state,
                        uint32_t error)
{
	assert_memory_equal(&event->key, &pair->key, sizeof(pair->key));
	assert_int_equal(event->end, client ? pair->end : !pair->end);
	assert_int_equal(event->initiator, pair->end);
	assert_int_equal(event->state, state);
	assert_int_equal(event->error, error);
	assert_true(event->opened_ns <= event->header.time_ns);
}

/* From the first to the last record of both sides, at TEXT. */
static void run_connection(struct sock_fixture *fixture, const char *text, int family, bool loopback)
{
	uint64_t before = clock_monotonic_ns();
	struct sock_pair pair = sock_connect(fixture, text, family);
	struct socket_event event = sock_event(fixture, pair.connected_cookie, SOCKET_CONNECT);
	const struct socket_health none = { 0 };

	check_event(&pair, &event, true, TCP_SYN_SENT, 0);
	sock_check_owner(fixture, &event.owner, pair.connected_cookie, &fixture->client, "client");
	assert_memory_equal(&event.health, &none, sizeof(none));
	assert_in_range(event.opened_ns, before, clock_monotonic_ns());
	event = sock_event(fixture, pair.accepted_cookie, SOCKET_ACCEPT);
	check_event(&pair, &event, false, TCP_SYN_RECV, 0);
	sock_check_owner(fixture, &event.owner, pair.accepted_cookie, &fixture->server, "server");
	assert_in_range(event.owner.since_ns, before, clock_monotonic_ns());

	struct socket_info info = sock_info(fixture, pair.connected_cookie);
	assert_memory_equal(&info.key, &pair.key, sizeof(pair.key));
	assert_int_equal(info.end, pair.end);
	assert_int_equal(info.initiator, pair.end);
	assert_int_equal(info.state, TCP_ESTABLISHED);
	assert_int_equal(info.closed_ns, 0);
	assert_true(info.owner.netns_cookie == puppet_netns_cookie(&fixture->client, pair.connected));
	info = sock_info(fixture, pair.accepted_cookie);
	assert_int_equal(info.end, !pair.end);
	assert_int_equal(info.initiator, pair.end);
	sock_check_owner(fixture, &info.owner, pair.accepted_cookie, &fixture->server, "server");

	struct connection connection = sock_connection(fixture, &pair.key);
	assert_true(connection.cookie[pair.end] == (loopback ? 0 : pair.connected_cookie));
	assert_true(connection.cookie[!pair.end] == (loopback ? 0 : pair.accepted_cookie));

	assert_int_equal(puppet_send(&fixture->client, pair.connected, BULK), BULK);
	assert_int_equal(puppet_receive(&fixture->server, pair.accepted, BULK), BULK);
	assert_int_equal(puppet_close(&fixture->client, pair.connected), 0);
	assert_int_equal(puppet_close(&fixture->server, pair.accepted), 0);
	event = sock_event(fixture, pair.connected_cookie, SOCKET_CLOSE);
	check_event(&pair, &event, true, TCP_FIN_WAIT2, 0);
	assert_int_equal(event.health.bytes_acked, BULK + 2); /* SYN and FIN are acknowledged, too */
	assert_true(event.health.srtt_us > 0 && event.health.min_rtt_us > 0 && event.health.delivered > 0);
	event = sock_event(fixture, pair.accepted_cookie, SOCKET_CLOSE);
	assert_int_equal(event.health.bytes_received, BULK + 1); /* with the FIN */
	connection = sock_connection(fixture, &pair.key);
	assert_int_equal(connection.cookie[0] | connection.cookie[1], 0);
	assert_in_range(sock_info(fixture, pair.connected_cookie).closed_ns, before, clock_monotonic_ns());
	assert_int_equal(sock_events_left(fixture, pair.connected_cookie), 0);
	assert_int_equal(sock_events_left(fixture, pair.accepted_cookie), 0);
}

static void test_connection(void **state)
{
	sock_attach(*state);
	run_connection(*state, SOCK_IPV4, AF_INET, false);
	run_connection(*state, SOCK_IPV6, AF_INET6, false);
	/* A listener for both: what comes over IPv4 is an IPv4 connection. */
	run_connection(*state, SOCK_IPV4, AF_INET6, false);
	run_connection(*state, "127.0.0.1", AF_INET, true);
	run_connection(*state, "::1", AF_INET6, true);
}

/* A client's socket and its event, for a connect to TO that came to nothing. */
static struct socket_event fail_connect(struct sock_fixture *fixture, int fd, union address to)
{
	uint64_t cookie = puppet_cookie(&fixture->client, fd);
	struct socket_event event = sock_event(fixture, cookie, SOCKET_FAIL);
	struct socket_info info = sock_info(fixture, cookie);
	uint8_t end;

	sock_check_owner(fixture, &event.owner, cookie, &fixture->client, "client");
	struct flow_key key = sock_key(address_of(SOCK_IPV4, ntohs(event.key.port[event.end])), to, &end);
	assert_memory_equal(&event.key, &key, sizeof(key));
	assert_int_equal(event.end, end);
	assert_int_equal(event.initiator, end);
	assert_int_equal(event.state, TCP_SYN_SENT);
	assert_true(event.opened_ns && event.opened_ns <= event.header.time_ns);
	assert_true(info.closed_ns != 0);
	assert_int_equal(sock_connection(fixture, &key).cookie[end], 0);
	assert_int_equal(sock_events_left(fixture, cookie), 0);
	return event;
}

static void test_refused(void **state)
{
	struct sock_fixture *fixture = *state;
	sock_attach(fixture);
	int fd = puppet_socket(&fixture->client, AF_INET, SOCK_STREAM);
	assert_int_equal(puppet_connect(&fixture->client, fd, address_of(SOCK_IPV4, 9)), -ECONNREFUSED);
	assert_int_equal(fail_connect(fixture, fd, address_of(SOCK_IPV4, 9)).error, ECONNREFUSED);

	/* The same socket may try again. */
	int listener = sock_listen(fixture, SOCK_IPV4, AF_INET, 1);
	union address to = address_of(SOCK_IPV4, puppet_port(&fixture->server, listener));
	uint64_t cookie = puppet_cookie(&fixture->client, fd);
	assert_int_equal(puppet_connect(&fixture->client, fd, to), 0);
	assert_int_equal(sock_event(fixture, cookie, SOCKET_CONNECT).error, 0);
	assert_int_equal(sock_info(fixture, cookie).closed_ns, 0);
}

/* Listens, with as many connections waiting as may: the kernel takes no more of them. */
static union address listen_full(struct sock_fixture *fixture)
{
	int listener = sock_listen(fixture, SOCK_IPV4, AF_INET, 0);
	union address to = address_of(SOCK_IPV4, puppet_port(&fixture->server, listener));
	int fd = puppet_socket(&fixture->client, AF_INET, SOCK_STREAM);
	assert_int_equal(puppet_connect(&fixture->client, fd, to), 0);
	return to;
}

static void test_timed_out(void **state)
{
	struct sock_fixture *fixture = *state;
	sock_attach(fixture);
	union address to = listen_full(fixture);
	int fd = puppet_socket(&fixture->client, AF_INET, SOCK_STREAM);
	assert_int_equal(puppet_set(&fixture->client, fd, IPPROTO_TCP, TCP_SYNCNT, 1), 0);
	assert_int_equal(puppet_connect(&fixture->client, fd, to), -ETIMEDOUT);
	struct socket_event event = fail_connect(fixture, fd, to);
	assert_int_equal(event.error, ETIMEDOUT);
	assert_true(event.health.retransmits >= 1);
}

static void test_given_up(void **state)
{
	struct sock_fixture *fixture = *state;
	sock_attach(fixture);
	union address to = listen_full(fixture);
	int fd = puppet_socket(&fixture->client, AF_INET, SOCK_STREAM);
	uint64_t cookie = puppet_cookie(&fixture->client, fd);
	assert_int_equal(puppet_connect_later(&fixture->client, fd, to), -EINPROGRESS);
	assert_int_equal(sock_info(fixture, cookie).state, TCP_SYN_SENT);
	assert_int_equal(sock_info(fixture, cookie).closed_ns, 0);
	assert_int_equal(puppet_close(&fixture->client, fd), 0);
	struct socket_event event = sock_event(fixture, cookie, SOCKET_FAIL);
	assert_int_equal(event.error, 0);
	assert_int_equal(event.state, TCP_SYN_SENT);
}

static void test_reset(void **state)
{
	struct sock_fixture *fixture = *state;
	sock_attach(fixture);
	struct sock_pair pair = sock_connect(fixture, SOCK_IPV4, AF_INET);
	/* Closed with data that nobody read: a reset. */
	assert_int_equal(puppet_send(&fixture->client, pair.connected, 100), 100);
	assert_int_equal(puppet_close(&fixture->server, pair.accepted), 0);
	struct socket_event event = sock_event(fixture, pair.connected_cookie, SOCKET_CLOSE);
	check_event(&pair, &event, true, TCP_ESTABLISHED, ECONNRESET);
	event = sock_event(fixture, pair.accepted_cookie, SOCKET_CLOSE);
	check_event(&pair, &event, false, TCP_ESTABLISHED, 0);
	assert_int_equal(event.health.bytes_received, 100);
}

/* The listener is closed with a connection that it did not accept. */
static void test_never_accepted(void **state)
{
	struct sock_fixture *fixture = *state;
	sock_attach(fixture);
	int listener = sock_listen(fixture, SOCK_IPV4, AF_INET, 1);
	union address to = address_of(SOCK_IPV4, puppet_port(&fixture->server, listener));
	int fd = puppet_socket(&fixture->client, AF_INET, SOCK_STREAM);
	uint64_t cookie = puppet_cookie(&fixture->client, fd), listening = puppet_cookie(&fixture->server, listener);
	assert_int_equal(puppet_connect(&fixture->client, fd, to), 0);
	sock_event(fixture, cookie, SOCKET_CONNECT);
	assert_int_equal(sock_info(fixture, listening).closed_ns, 0);
	assert_int_equal(puppet_close(&fixture->server, listener), 0);
	assert_int_equal(sock_event(fixture, cookie, SOCKET_CLOSE).error, ECONNRESET);
	assert_true(sock_info(fixture, listening).closed_ns != 0);
	assert_int_equal(sock_events_left(fixture, listening), 0);
}

/* Each process lives for one connection, and is gone when its records are read. */
static void test_short_lived(void **state)
{
	struct sock_fixture *fixture = *state;
	static struct puppet lives[LIVES];
	static uint64_t cookies[LIVES];
	sock_attach(fixture);
	int listener = sock_listen(fixture, SOCK_IPV4, AF_INET, LIVES);
	union address to = address_of(SOCK_IPV4, puppet_port(&fixture->server, listener));

	for (size_t i = 0; i < LIVES; i++) {
		char name[16];
		snprintf(name, sizeof(name), "life-%zu", i);
		puppet_start(&lives[i], fixture->cgroup, name);
		int fd = puppet_socket(&lives[i], AF_INET, SOCK_STREAM);
		cookies[i] = puppet_cookie(&lives[i], fd);
		assert_int_equal(puppet_connect(&lives[i], fd, to), 0);
		puppet_end(&lives[i]);
		assert_int_equal(puppet_close(&fixture->server, puppet_accept(&fixture->server, listener)), 0);
	}
	for (size_t i = 0; i < LIVES; i++) {
		char name[16];
		snprintf(name, sizeof(name), "life-%zu", i);
		struct socket_event opened = sock_event(fixture, cookies[i], SOCKET_CONNECT);
		sock_check_owner(fixture, &opened.owner, cookies[i], &lives[i], name);
		struct socket_event closed = sock_event(fixture, cookies[i], SOCKET_CLOSE);
		assert_memory_equal(&closed.owner, &opened.owner, sizeof(opened.owner));
		assert_true(closed.opened_ns && closed.opened_ns <= opened.header.time_ns);
	}
	assert_int_equal(fixture->n_events, 2 * LIVES); /* the server's */
}

/* The sensor's own sockets make no records, not even when they are closed after it has let go of them. */
static void test_self(void **state)
{
	struct sock_fixture *fixture = *state;
	const uint64_t since = 1;
	sock_attach(fixture);
	int listener = sock_listen(fixture, SOCK_IPV4, AF_INET, 1);
	union address to = address_of(SOCK_IPV4, puppet_port(&fixture->server, listener));
	int fd = puppet_socket(&fixture->client, AF_INET, SOCK_STREAM);
	uint64_t cookie = puppet_cookie(&fixture->client, fd);

	assert_int_equal(bpf_map_update_elem(fixture->loader->maps.self_sockets, &cookie, &since, BPF_ANY), 0);
	assert_int_equal(puppet_connect(&fixture->client, fd, to), 0);
	int accepted = puppet_accept(&fixture->server, listener);
	uint64_t other = puppet_cookie(&fixture->server, accepted);
	assert_int_equal(bpf_map_delete_elem(fixture->loader->maps.self_sockets, &cookie), 0);
	assert_int_equal(puppet_close(&fixture->client, fd), 0);
	assert_int_equal(puppet_close(&fixture->server, accepted), 0);
	sock_event(fixture, other, SOCKET_CLOSE);
	assert_int_equal(sock_events_left(fixture, cookie), 0);
}

/* What a full ring cannot take is counted. */
static void test_ring_full(void **state)
{
	struct sock_fixture *fixture = *state;
	const uint32_t kind = RECORD_SOCKET;
	int cpus = libbpf_num_possible_cpus();
	struct record_stats sum = { 0 };
	_cleanup_(freep) struct record_stats *stats = calloc((size_t)cpus, sizeof(*stats));
	const uint64_t attempts = fixture->loader->maps.ring_bytes / sizeof(struct socket_event);
	sock_attach(fixture);
	for (uint64_t i = 0; i < attempts; i++) {
		int fd = puppet_socket(&fixture->client, AF_INET, SOCK_STREAM);
		assert_int_equal(puppet_connect(&fixture->client, fd, address_of(SOCK_IPV4, 9)), -ECONNREFUSED);
		assert_int_equal(puppet_close(&fixture->client, fd), 0);
	}
	assert_int_equal(bpf_map_lookup_elem(fixture->loader->maps.record_stats, &kind, stats), 0);
	for (int cpu = 0; cpu < cpus; cpu++) {
		sum.produced += stats[cpu].produced;
		sum.lost_ring += stats[cpu].lost_ring;
	}
	assert_int_equal(sum.produced, attempts);
	assert_int_equal(sum.lost_ring,
	                 attempts - fixture->loader->maps.ring_bytes / (8 + sizeof(struct socket_event)));
}

#define SOCK_TEST(name) cmocka_unit_test_setup_teardown(name, sock_setup, sock_teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		SOCK_TEST(test_connection),  SOCK_TEST(test_refused), SOCK_TEST(test_timed_out),
		SOCK_TEST(test_given_up),    SOCK_TEST(test_reset),   SOCK_TEST(test_never_accepted),
		SOCK_TEST(test_short_lived), SOCK_TEST(test_self),    SOCK_TEST(test_ring_full),
	};
	puppet_main(argc, argv);
	if (puppet_network(SOCK_IPV4, SOCK_IPV6) < 0)
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
