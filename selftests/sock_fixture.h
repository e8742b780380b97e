/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tests of the socket hooks stand on: the programs, attached to a cgroup made for the test instead of the tree's root,
 * and two processes in it. All functions fail the test that calls them.
 */
#pragma once

#include "selftests/puppet.h"
#include "user/loader.h"
#include "user/ring.h"
#include "user/sockets.h"

/* Addresses that are no loopback addresses, on lo of a network namespace of the test's own: see puppet_network(). */
#define SOCK_IPV4      "10.77.0.1"
#define SOCK_IPV6      "fd00:77::1"
#define SOCK_BPFFS     "/sys/fs/bpf/sonde-test-sock" /* of a pinned fixture */
#define SOCK_EVENT_MAX 4096

struct sock_fixture {
	struct loader *loader;
	struct sockets *sockets; /* NULL: not attached */
	struct ring *ring;
	uint64_t position;
	int tree, cgroup; /* directories */
	uint64_t cgroup_id;
	char cgroup_name[32];
	struct puppet server, client;
	struct socket_event events[SOCK_EVENT_MAX]; /* drained, and not taken by sock_event() yet */
	size_t n_events;
};

/* For cmocka: *state is a struct sock_fixture with private maps, or with pinned ones. Nothing is attached. */
int sock_setup(void **state);
int sock_setup_pinned(void **state);
int sock_teardown(void **state);

struct loader_options sock_options(bool pinned);
void sock_attach(struct sock_fixture *fixture);

/* What map `sockets` says. */
struct socket_info sock_info(const struct sock_fixture *fixture, uint64_t cookie);
bool sock_is_known(const struct sock_fixture *fixture, uint64_t cookie);
/* Fails unless the owner is PUPPET in its cgroup. */
void sock_check_owner(const struct sock_fixture *fixture, const struct socket_owner *owner, uint64_t cookie,
                      const struct puppet *puppet, const char *comm);

/* The key of a TCP connection; *RET_END: which end A is. */
struct flow_key sock_key(union address a, union address b, uint8_t *ret_end);
/* The cookies in map `connections`; zero where there is no entry. */
struct connection sock_connection(const struct sock_fixture *fixture, const struct flow_key *key);
/* The cookie in map `bound`; 0: none. */
uint64_t sock_bound(const struct sock_fixture *fixture, uint64_t netns_cookie, uint16_t port, uint8_t protocol);

/* Waits for a record, and takes it. */
struct socket_event sock_event(struct sock_fixture *fixture, uint64_t cookie, enum socket_action action);
/* How many there are of a socket that were not taken. */
size_t sock_events_left(struct sock_fixture *fixture, uint64_t cookie);

/* A connection from client to server at TEXT, established and accepted. */
struct sock_pair {
	int listener, accepted; /* the server's */
	int connected;          /* the client's */
	uint16_t port;          /* the server's */
	uint64_t listener_cookie, accepted_cookie, connected_cookie;
	struct flow_key key;
	uint8_t end; /* the client's */
};
/* FAMILY: of the listener. LISTENER: a descriptor to accept from, -1: a new one. */
struct sock_pair sock_connect(struct sock_fixture *fixture, const char *text, int family);
/* Accepts from a listener of the server's that is there. */
struct sock_pair sock_connect_to(struct sock_fixture *fixture, const char *text, int listener);
int sock_listen(struct sock_fixture *fixture, const char *text, int family, int backlog);
