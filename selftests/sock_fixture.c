// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <cmocka.h>
#include <bpf/bpf.h>
#include "selftests/sock_fixture.h"
#include "user/cgroup_tree.h"
#include "user/clock.h"
#include "user/pins.h"

#define RING_BYTES  (1 << 18)
#define PATIENCE_MS 5000

struct loader_options sock_options(bool pinned)
{
	return (struct loader_options) {
		.bpffs = pinned ? SOCK_BPFFS : NULL,
		.flows_max = 8192,
		.ring_bytes = RING_BYTES,
		.config = { .idle_timeout_ns = 15 * NS_PER_SEC, .wake_bytes = 1, .sockets = 1 },
	};
}

static void make_cgroup(struct sock_fixture *fixture)
{
	struct stat st;
	int r = cgroup_tree_open("/sys/fs/cgroup", &fixture->tree);
	if (r < 0)
		fail_msg("no cgroup v2 tree: %s", strerror(-r));
	snprintf(fixture->cgroup_name, sizeof(fixture->cgroup_name), "sonde-test-%d", getpid());
	assert_int_equal(mkdirat(fixture->tree, fixture->cgroup_name, 0755), 0);
	fixture->cgroup = openat(fixture->tree, fixture->cgroup_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fixture->cgroup >= 0);
	assert_int_equal(fstat(fixture->cgroup, &st), 0);
	fixture->cgroup_id = st.st_ino;
}

static int setup(void **state, bool pinned)
{
	struct loader_options options = sock_options(pinned);
	struct sock_fixture *fixture = calloc(1, sizeof(*fixture));
	assert_non_null(fixture);
	make_cgroup(fixture);
	if (pinned)
		assert_int_equal(pins_prepare(SOCK_BPFFS), 0);
	int r = loader_open(&options, &fixture->loader);
	if (r < 0)
		fail_msg("the programs do not load: %s: %s", strerror(-r), loader_messages());
	assert_int_equal(ring_open(fixture->loader->maps.ring, fixture->loader->maps.ring_bytes, &fixture->ring), 0);
	puppet_start(&fixture->server, fixture->cgroup, "server");
	puppet_start(&fixture->client, fixture->cgroup, "client");
	*state = fixture;
	return 0;
}

int sock_setup(void **state)
{
	return setup(state, false);
}

int sock_setup_pinned(void **state)
{
	return setup(state, true);
}

int sock_teardown(void **state)
{
	struct sock_fixture *fixture = *state;
	bool pinned = *fixture->loader->bpffs;

	puppet_end(&fixture->client);
	puppet_end(&fixture->server);
	if (fixture->sockets)
		assert_int_equal(sockets_detach(fixture->sockets), 0);
	sockets_free(fixture->sockets);
	if (pinned) {
		assert_int_equal(pins_remove(SOCK_BPFFS, fixture->loader->layout), 0);
		assert_int_equal(rmdir(SOCK_BPFFS), 0);
	}
	ring_free(fixture->ring);
	loader_free(fixture->loader);
	close(fixture->cgroup);
	assert_int_equal(unlinkat(fixture->tree, fixture->cgroup_name, AT_REMOVEDIR), 0);
	close(fixture->tree);
	free(fixture);
	return 0;
}

void sock_attach(struct sock_fixture *fixture)
{
	int r = sockets_attach(fixture->loader, fixture->cgroup, &fixture->sockets);
	if (r < 0)
		fail_msg("the hooks cannot be attached: %s", strerror(-r));
}

struct socket_info sock_info(const struct sock_fixture *fixture, uint64_t cookie)
{
	struct socket_info info;
	assert_int_equal(sockets_find(fixture->loader, cookie, &info), 0);
	return info;
}

bool sock_is_known(const struct sock_fixture *fixture, uint64_t cookie)
{
	struct socket_info info;
	return sockets_find(fixture->loader, cookie, &info) == 0;
}

void sock_check_owner(const struct sock_fixture *fixture, const struct socket_owner *owner, uint64_t cookie,
                      const struct puppet *puppet, const char *comm)
{
	assert_true(owner->cgroup_id == fixture->cgroup_id);
	assert_true(owner->cookie == cookie);
	assert_int_equal(owner->tgid, puppet->pid);
	assert_int_equal(owner->pid, puppet->pid);
	assert_int_equal(owner->uid, getuid());
	assert_string_equal(owner->comm, comm);
}

static void key_end(uint8_t *addr, const union address *address, __be16 *ret_port)
{
	if (address->any.sa_family == AF_INET6) {
		memcpy(addr, &address->ip6.sin6_addr, 16);
		*ret_port = address->ip6.sin6_port;
	} else {
		memset(addr + 10, 0xff, 2);
		memcpy(addr + 12, &address->ip4.sin_addr, 4);
		*ret_port = address->ip4.sin_port;
	}
}

struct flow_key sock_key(union address a, union address b, uint8_t *ret_end)
{
	struct {
		uint8_t addr[16];
		__be16 port;
	} ends[2] = { 0 };
	struct flow_key key = { .protocol = IPPROTO_TCP, .ip_version = a.any.sa_family == AF_INET6 ? 6 : 4 };

	key_end(ends[0].addr, &a, &ends[0].port);
	key_end(ends[1].addr, &b, &ends[1].port);
	uint8_t low = memcmp(&ends[0], &ends[1], sizeof(ends[0])) > 0;
	for (int i = 0; i < 2; i++) {
		memcpy(key.addr[i], ends[low ^ i].addr, 16);
		key.port[i] = ends[low ^ i].port;
	}
	*ret_end = low;
	return key;
}

struct connection sock_connection(const struct sock_fixture *fixture, const struct flow_key *key)
{
	struct connection connection = { 0 };
	bpf_map_lookup_elem(fixture->loader->maps.connections, key, &connection);
	return connection;
}

uint64_t sock_bound(const struct sock_fixture *fixture, uint64_t netns_cookie, uint16_t port, uint8_t protocol)
{
	const struct bound_key key = { netns_cookie, htons(port), protocol };
	uint64_t cookie = 0;
	bpf_map_lookup_elem(fixture->loader->maps.bound, &key, &cookie);
	return cookie;
}

static void keep_event(const void *record, size_t size, void *data)
{
	struct sock_fixture *fixture = data;
	const struct socket_event *event = record;
	assert_int_equal(event->header.kind, RECORD_SOCKET);
	assert_int_equal(event->header.version, EVENT_VERSION);
	assert_int_equal(event->header.size, sizeof(*event));
	assert_int_equal(event->header.iface_id, 0);
	assert_true(fixture->n_events < SOCK_EVENT_MAX);
	fixture->events[fixture->n_events++] = *event;
}

static void drain(struct sock_fixture *fixture)
{
	ring_read(fixture->ring, &fixture->position, SOCK_EVENT_MAX, keep_event, fixture);
	ring_release(fixture->ring, fixture->position);
}

static bool take_event(struct sock_fixture *fixture, uint64_t cookie, enum socket_action action,
                       struct socket_event *ret_event)
{
	for (size_t i = 0; i < fixture->n_events; i++) {
		const struct socket_event *event = &fixture->events[i];
		if (event->owner.cookie != cookie || event->action != action)
			continue;
		*ret_event = *event;
		fixture->events[i] = fixture->events[--fixture->n_events];
		return true;
	}
	return false;
}

struct socket_event sock_event(struct sock_fixture *fixture, uint64_t cookie, enum socket_action action)
{
	struct pollfd ring = { .fd = fixture->loader->maps.ring, .events = POLLIN };
	struct socket_event event;

	for (drain(fixture); !take_event(fixture, cookie, action, &event); drain(fixture))
		if (poll(&ring, 1, PATIENCE_MS) != 1)
			fail_msg("no record of action %d for the socket", action);
	return event;
}

size_t sock_events_left(struct sock_fixture *fixture, uint64_t cookie)
{
	size_t n = 0;
	drain(fixture);
	for (size_t i = 0; i < fixture->n_events; i++)
		n += fixture->events[i].owner.cookie == cookie;
	return n;
}

int sock_listen(struct sock_fixture *fixture, const char *text, int family, int backlog)
{
	union address address = address_of(family == AF_INET6 && !strchr(text, ':') ? "::" : text, 0);
	int listener = puppet_socket(&fixture->server, family, SOCK_STREAM);
	assert_true(listener >= 0);
	assert_int_equal(puppet_bind(&fixture->server, listener, address), 0);
	assert_int_equal(puppet_listen(&fixture->server, listener, backlog), 0);
	return listener;
}

struct sock_pair sock_connect_to(struct sock_fixture *fixture, const char *text, int listener)
{
	struct sock_pair pair = { .listener = listener, .port = puppet_port(&fixture->server, listener) };
	union address to = address_of(text, pair.port);

	pair.connected = puppet_socket(&fixture->client, to.any.sa_family, SOCK_STREAM);
	assert_true(pair.connected >= 0);
	assert_int_equal(puppet_connect(&fixture->client, pair.connected, to), 0);
	pair.accepted = puppet_accept(&fixture->server, listener);
	assert_true(pair.accepted >= 0);
	pair.listener_cookie = puppet_cookie(&fixture->server, listener);
	pair.accepted_cookie = puppet_cookie(&fixture->server, pair.accepted);
	pair.connected_cookie = puppet_cookie(&fixture->client, pair.connected);
	pair.key = sock_key(address_of(text, puppet_port(&fixture->client, pair.connected)), to, &pair.end);
	return pair;
}

struct sock_pair sock_connect(struct sock_fixture *fixture, const char *text, int family)
{
	return sock_connect_to(fixture, text, sock_listen(fixture, text, family, 16));
}
