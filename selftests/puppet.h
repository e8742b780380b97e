/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that makes the system calls a test tells it to, one at a time, so that a test with several processes reads from
 * top to bottom. All functions fail the test that calls them where the process cannot be reached.
 */
#pragma once

#include <stdint.h>
#include <netinet/in.h>
#include <sys/types.h>

struct puppet {
	int fd; /* the strings */
	pid_t pid;
};

union address {
	struct sockaddr any;
	struct sockaddr_in ip4;
	struct sockaddr_in6 ip6;
};
/* TEXT: IPv4 or IPv6; PORT: host order. */
union address address_of(const char *text, uint16_t port);

/* Starts one called NAME in the cgroup that CGROUP_FD is. */
void puppet_start(struct puppet *puppet, int cgroup_fd, const char *name);
/* Ends it, and with it all of its sockets, and waits for that. */
void puppet_end(struct puppet *puppet);

/* The system call's result, or -errno. FD is the puppet's own. */
int puppet_socket(const struct puppet *puppet, int family, int type);
int puppet_close(const struct puppet *puppet, int fd);
int puppet_bind(const struct puppet *puppet, int fd, union address address);
int puppet_listen(const struct puppet *puppet, int fd, int backlog);
int puppet_connect(const struct puppet *puppet, int fd, union address address);
int puppet_accept(const struct puppet *puppet, int fd);
int puppet_set(const struct puppet *puppet, int fd, int level, int name, int value);
/* How many bytes; SIZE up to 65,536. */
int puppet_send(const struct puppet *puppet, int fd, int size);
int puppet_send_to(const struct puppet *puppet, int fd, int size, union address address);
/* With the sender's address asked for, which goes nowhere. Waits for SIZE bytes of a stream. */
int puppet_receive(const struct puppet *puppet, int fd, int size);
/* Without waiting: -EINPROGRESS. */
int puppet_connect_later(const struct puppet *puppet, int fd, union address address);

uint64_t puppet_cookie(const struct puppet *puppet, int fd);
uint64_t puppet_netns_cookie(const struct puppet *puppet, int fd);
uint16_t puppet_port(const struct puppet *puppet, int fd);

/* A child with all of the puppet's descriptors takes over the strings, until puppet_unfork(). The child's pid. */
pid_t puppet_fork(struct puppet *puppet);
void puppet_unfork(struct puppet *puppet, pid_t parent);
/* Executes the test's own program as a puppet: same process, same descriptors, another name. */
void puppet_exec(const struct puppet *puppet);
/* To another network namespace, a new one. */
int puppet_unshare(const struct puppet *puppet);

/* For main(): does not return in the process of a puppet_exec(). */
void puppet_main(int argc, char **argv);

/* For main(): a network namespace of its own, with TEXT's addresses on lo. 0 or -errno. */
int puppet_network(const char *ipv4, const char *ipv6);
