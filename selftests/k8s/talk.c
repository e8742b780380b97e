// SPDX-License-Identifier: Apache-2.0
/*
 * What runs in the pods: serves an echo over TCP and UDP, or asks one. Its first line of output is when it started
 * (Unix time, ns).
 *
 *   talk serve PORT                           until it is told to end
 *   talk ask HOST PORT COUNT INTERVAL FIRST [ROUNDS]
 *                                             COUNT times (0: for ever), TCP and UDP in turns, INTERVAL ms apart:
 *                                             ROUNDS (1) questions in one conversation, each answer being waited for.
 *                                             Source ports are FIRST to FIRST + 2999; 0: the kernel's choice
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 200
#define SOURCE_PORTS    3000
#define ANSWER_MS       1000 /* longest wait for a connection or an answer */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* The first process of a container has no default action for signals. */
static void end(int number)
{
	_exit(0);
}

static struct sockaddr_in address_of(const char *host, unsigned port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };

	inet_pton(AF_INET, host, &address.sin_addr);
	return address;
}

/* A socket at PORT of all addresses, or -1. */
static int bound(int type, unsigned port)
{
	struct sockaddr_in address = address_of("0.0.0.0", port);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int) { 1 }, sizeof(int));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Answers from the address that was asked: a node has several. */
static void echo_datagram(int fd)
{
	struct sockaddr_in from;
	char data[2048], control[CMSG_SPACE(sizeof(struct in_pktinfo))];
	struct iovec part = { .iov_base = data, .iov_len = sizeof(data) };
	struct msghdr message = { .msg_name = &from,
		                  .msg_namelen = sizeof(from),
		                  .msg_iov = &part,
		                  .msg_iovlen = 1,
		                  .msg_control = control,
		                  .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(fd, &message, 0);

	if (n < 0)
		return;
	part.iov_len = (size_t)n;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
		((struct in_pktinfo *)CMSG_DATA(c))->ipi_ifindex = 0; /* by whatever way there is */
	sendmsg(fd, &message, 0);
}

/* False: the connection is over. */
static bool echo_stream(int fd)
{
	char data[2048];
	ssize_t n = recv(fd, data, sizeof(data), 0);

	return n > 0 && send(fd, data, (size_t)n, MSG_NOSIGNAL) == n;
}

static int serve(unsigned port)
{
	struct pollfd fds[CONNECTIONS_MAX + 2] = { { .fd = bound(SOCK_DGRAM, port), .events = POLLIN },
		                                   { .fd = bound(SOCK_STREAM, port), .events = POLLIN } };
	nfds_t n = 2;

	setsockopt(fds[0].fd, IPPROTO_IP, IP_PKTINFO, &(int) { 1 }, sizeof(int));
	if (fds[0].fd < 0 || fds[1].fd < 0 || listen(fds[1].fd, 128) < 0) {
		perror("talk: serve");
		return 1;
	}
	for (;;) {
		fds[1].events = n < CONNECTIONS_MAX + 2 ? POLLIN : 0;
		if (poll(fds, n, -1) < 0)
			return 1;
		if (fds[0].revents)
			echo_datagram(fds[0].fd);
		for (nfds_t i = n; i-- > 2;) {
			if (fds[i].revents && !echo_stream(fds[i].fd)) {
				close(fds[i].fd);
				fds[i] = fds[--n];
			}
		}
		if (fds[1].revents) {
			int fd = accept4(fds[1].fd, NULL, NULL, SOCK_CLOEXEC);

			if (fd >= 0)
				fds[n++] = (struct pollfd) { .fd = fd, .events = POLLIN };
		}
	}
}

/* A socket of a conversation with TO, from a port of the range from FIRST on; -1 with errno. */
static int reach(int type, const struct sockaddr_in *to, unsigned first)
{
	static unsigned next;
	const struct timeval wait = { .tv_sec = ANSWER_MS / 1000, .tv_usec = ANSWER_MS % 1000 * 1000 };

	if (!next) /* a container that starts again does not meet what is left of the ports it had */
		next = (unsigned)(now_ns() / 1000000 % SOURCE_PORTS);
	for (int tries = 0; tries < 100; tries++) {
		int fd = first ? bound(type, first + next++ % SOURCE_PORTS) : socket(AF_INET, type | SOCK_CLOEXEC, 0);

		if (fd < 0)
			continue; /* somebody has that port */
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
		if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) == 0)
			return fd;
		close(fd);
		if (errno != EADDRNOTAVAIL && errno != EADDRINUSE)
			return -1;
	}
	return -1;
}

/* One question and its answer. */
static bool exchange(int fd)
{
	char data[100] = "question";

	return send(fd, data, sizeof(data), MSG_NOSIGNAL) == sizeof(data) &&
	       recv(fd, data, sizeof(data), MSG_WAITALL) == sizeof(data);
}

static bool converse(int type, const struct sockaddr_in *to, unsigned first, unsigned rounds, int interval)
{
	int fd = reach(type, to, first);
	bool ok = fd >= 0;

	for (unsigned n = 0; ok && n < rounds; n++) {
		if (n > 0)
			poll(NULL, 0, interval);
		ok = exchange(fd);
	}
	if (fd >= 0)
		close(fd);
	return ok;
}

static unsigned number(const char *text)
{
	return (unsigned)strtoul(text, NULL, 10);
}

static int ask(char **args, unsigned rounds)
{
	const struct sockaddr_in to = address_of(args[0], number(args[1]));
	const unsigned count = number(args[2]), first = number(args[4]);
	const int interval = (int)number(args[3]);
	unsigned answered = 0, n = 0;

	while (!count || n < count) {
		if (n > 0)
			poll(NULL, 0, interval);
		answered += converse(n++ % 2 ? SOCK_DGRAM : SOCK_STREAM, &to, first, rounds, interval);
	}
	printf("answered %u of %u\n", answered, n);
	return answered == n ? 0 : 1;
}

int main(int argc, char **argv)
{
	signal(SIGTERM, end);
	printf("start %llu\n", (unsigned long long)now_ns());
	fflush(stdout);
	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		return serve(number(argv[2]));
	if ((argc == 7 || argc == 8) && strcmp(argv[1], "ask") == 0)
		return ask(argv + 2, argc == 8 ? number(argv[7]) : 1);
	fputs("usage: talk serve PORT | talk ask HOST PORT COUNT INTERVAL FIRST [ROUNDS]\n", stderr);
	return 2;
}
