// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <cmocka.h>
#include "selftests/puppet.h"
#include "user/cleanup.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

#define SIZE_MAX_SENT 65536

enum act {
	ACT_SOCKET,
	ACT_CLOSE,
	ACT_BIND,
	ACT_LISTEN,
	ACT_CONNECT,
	ACT_CONNECT_LATER,
	ACT_ACCEPT,
	ACT_SET,
	ACT_SEND,
	ACT_SEND_TO,
	ACT_RECEIVE,
	ACT_COOKIE,
	ACT_NETNS,
	ACT_PORT,
	ACT_FORK,
	ACT_EXEC,
	ACT_UNSHARE,
	ACT_EXIT,
};

struct request {
	enum act act;
	int fd, a, b, c;
	union address address;
};

static int64_t option_u64(int fd, int name)
{
	uint64_t value = 0;
	socklen_t size = sizeof(value);
	return getsockopt(fd, SOL_SOCKET, name, &value, &size) < 0 ? -errno : (int64_t)value;
}

static int64_t port_of(int fd)
{
	union address address;
	socklen_t size = sizeof(address);
	if (getsockname(fd, &address.any, &size) < 0)
		return -errno;
	return ntohs(address.ip4.sin_port); /* where IPv6 has it, too */
}

/* The old process waits; the new one goes on. */
static int64_t fork_and_wait(void)
{
	pid_t child = fork();
	if (child == 0)
		return getpid();
	waitpid(child, NULL, 0);
	return child < 0 ? -errno : 0;
}

static int64_t receive(int fd, int size)
{
	static char data[SIZE_MAX_SENT];
	union address from;
	socklen_t from_size = sizeof(from);
	ssize_t n = recvfrom(fd, data, (size_t)size, MSG_WAITALL, &from.any, &from_size);
	return n < 0 ? -errno : n;
}

/* By the program's own path: the link in /proc would give its name to the process. The new program answers. */
static int64_t execute(int strings)
{
	char path[4096] = "", text[16];
	if (readlink("/proc/self/exe", path, sizeof(path) - 1) < 0)
		return -errno;
	snprintf(text, sizeof(text), "%d", strings);
	execl(path, path, "--puppet", text, NULL);
	return -errno;
}

static int64_t act(int strings, const struct request *request)
{
	static const char data[SIZE_MAX_SENT];
	const struct sockaddr *address = &request->address.any;
	socklen_t size = address->sa_family == AF_INET6 ? sizeof(request->address.ip6) : sizeof(request->address.ip4);
	int fd = request->fd;
	int64_t r = 0;

	switch (request->act) {
	case ACT_SOCKET:
		r = socket(request->a, request->b, 0);
		break;
	case ACT_CLOSE:
		r = close(fd);
		break;
	case ACT_BIND:
		r = bind(fd, address, size);
		break;
	case ACT_LISTEN:
		r = listen(fd, request->a);
		break;
	case ACT_CONNECT:
		r = connect(fd, address, size);
		break;
	case ACT_CONNECT_LATER:
		fcntl(fd, F_SETFL, O_NONBLOCK);
		r = connect(fd, address, size);
		break;
	case ACT_ACCEPT:
		r = accept(fd, NULL, NULL);
		break;
	case ACT_SET:
		r = setsockopt(fd, request->a, request->b, &request->c, sizeof(request->c));
		break;
	case ACT_SEND:
		r = send(fd, data, (size_t)request->a, MSG_NOSIGNAL);
		break;
	case ACT_SEND_TO:
		r = sendto(fd, data, (size_t)request->a, 0, address, size);
		break;
	case ACT_RECEIVE:
		return receive(fd, request->a);
	case ACT_COOKIE:
		return option_u64(fd, SO_COOKIE);
	case ACT_NETNS:
		return option_u64(fd, SO_NETNS_COOKIE);
	case ACT_PORT:
		return port_of(fd);
	case ACT_UNSHARE:
		r = unshare(CLONE_NEWNET);
		break;
	case ACT_EXEC:
		return execute(strings);
	default:
		return -EINVAL;
	}
	return r < 0 ? -errno : r;
}

static void serve(int strings)
{
	struct request request;
	while (recv(strings, &request, sizeof(request), 0) == sizeof(request)) {
		int64_t result = 0;
		if (request.act == ACT_FORK) {
			result = fork_and_wait();
			if (result == 0)
				continue; /* the child has answered, and is gone */
		} else if (request.act != ACT_EXIT) {
			result = act(strings, &request);
		}
		if (send(strings, &result, sizeof(result), MSG_NOSIGNAL) < 0 || request.act == ACT_EXIT)
			break;
	}
	_exit(0);
}

void puppet_main(int argc, char **argv)
{
	const int64_t ready = 0;
	if (argc != 3 || strcmp(argv[1], "--puppet") != 0)
		return;
	int strings = (int)strtol(argv[2], NULL, 10);
	send(strings, &ready, sizeof(ready), MSG_NOSIGNAL);
	serve(strings);
}

/* Moves to the cgroup first: what a socket is made in stays with it. */
static void become_puppet(int strings, int cgroup_fd, const char *name)
{
	_cleanup_(closep) int procs = openat(cgroup_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	if (procs < 0 || write(procs, "0", 1) < 0)
		_exit(1);
	prctl(PR_SET_NAME, name);
	serve(strings);
}

void puppet_start(struct puppet *puppet, int cgroup_fd, const char *name)
{
	int ends[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	fcntl(ends[0], F_SETFD, FD_CLOEXEC);
	puppet->pid = fork();
	assert_true(puppet->pid >= 0);
	if (puppet->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ends[0]);
		become_puppet(ends[1], cgroup_fd, name);
	}
	close(ends[1]);
	puppet->fd = ends[0];
}

static int64_t pull(const struct puppet *puppet, struct request request)
{
	int64_t result;
	assert_int_equal(send(puppet->fd, &request, sizeof(request), MSG_NOSIGNAL), sizeof(request));
	assert_int_equal(recv(puppet->fd, &result, sizeof(result), 0), sizeof(result));
	return result;
}

void puppet_end(struct puppet *puppet)
{
	int status;
	pull(puppet, (struct request) { ACT_EXIT });
	assert_int_equal(waitpid(puppet->pid, &status, 0), puppet->pid);
	close(puppet->fd);
}

int puppet_socket(const struct puppet *puppet, int family, int type)
{
	return (int)pull(puppet, (struct request) { ACT_SOCKET, .a = family, .b = type });
}

int puppet_close(const struct puppet *puppet, int fd)
{
	return (int)pull(puppet, (struct request) { ACT_CLOSE, fd });
}

int puppet_bind(const struct puppet *puppet, int fd, union address address)
{
	return (int)pull(puppet, (struct request) { ACT_BIND, fd, .address = address });
}

int puppet_listen(const struct puppet *puppet, int fd, int backlog)
{
	return (int)pull(puppet, (struct request) { ACT_LISTEN, fd, backlog });
}

int puppet_connect(const struct puppet *puppet, int fd, union address address)
{
	return (int)pull(puppet, (struct request) { ACT_CONNECT, fd, .address = address });
}

int puppet_connect_later(const struct puppet *puppet, int fd, union address address)
{
	return (int)pull(puppet, (struct request) { ACT_CONNECT_LATER, fd, .address = address });
}

int puppet_accept(const struct puppet *puppet, int fd)
{
	return (int)pull(puppet, (struct request) { ACT_ACCEPT, fd });
}

int puppet_set(const struct puppet *puppet, int fd, int level, int name, int value)
{
	return (int)pull(puppet, (struct request) { ACT_SET, fd, level, name, value });
}

int puppet_send(const struct puppet *puppet, int fd, int size)
{
	return (int)pull(puppet, (struct request) { ACT_SEND, fd, size });
}

int puppet_send_to(const struct puppet *puppet, int fd, int size, union address address)
{
	return (int)pull(puppet, (struct request) { ACT_SEND_TO, fd, size, .address = address });
}

int puppet_receive(const struct puppet *puppet, int fd, int size)
{
	return (int)pull(puppet, (struct request) { ACT_RECEIVE, fd, size });
}

uint64_t puppet_cookie(const struct puppet *puppet, int fd)
{
	return (uint64_t)pull(puppet, (struct request) { ACT_COOKIE, fd });
}

uint64_t puppet_netns_cookie(const struct puppet *puppet, int fd)
{
	return (uint64_t)pull(puppet, (struct request) { ACT_NETNS, fd });
}

uint16_t puppet_port(const struct puppet *puppet, int fd)
{
	return (uint16_t)pull(puppet, (struct request) { ACT_PORT, fd });
}

pid_t puppet_fork(struct puppet *puppet)
{
	puppet->pid = (pid_t)pull(puppet, (struct request) { ACT_FORK });
	assert_true(puppet->pid > 0);
	return puppet->pid;
}

void puppet_unfork(struct puppet *puppet, pid_t parent)
{
	pull(puppet, (struct request) { ACT_EXIT });
	puppet->pid = parent;
}

void puppet_exec(const struct puppet *puppet)
{
	assert_int_equal(pull(puppet, (struct request) { ACT_EXEC }), 0);
}

int puppet_unshare(const struct puppet *puppet)
{
	return (int)pull(puppet, (struct request) { ACT_UNSHARE });
}

union address address_of(const char *text, uint16_t port)
{
	union address address = { 0 };
	bool ip6 = strchr(text, ':') != NULL;

	address.any.sa_family = ip6 ? AF_INET6 : AF_INET;
	if (ip6) {
		assert_int_equal(inet_pton(AF_INET6, text, &address.ip6.sin6_addr), 1);
		address.ip6.sin6_port = htons(port);
	} else {
		assert_int_equal(inet_pton(AF_INET, text, &address.ip4.sin_addr), 1);
		address.ip4.sin_port = htons(port);
	}
	return address;
}
