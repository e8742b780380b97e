// SPDX-License-Identifier: Apache-2.0
/*
 * Flows of which it is known to the packet what they are made of. Datagrams are answered before the next is sent:
 * nothing can be lost in between. Of a connection the kernel tells how many segments it took.
 *
 *	exchange serve ADDRESS PORT                       sends back what comes over UDP and TCP, until it is killed
 *	exchange ask ADDRESS PORT OWN_PORT COUNT SIZE     0: COUNT datagrams of SIZE bytes went there and came back
 *	exchange connect ADDRESS PORT OWN_PORT SIZE       0: so many bytes went there and came back over one connection,
 *	                                                  closed by both ends; prints the segments sent and received,
 *	                                                  and its own process id
 *	exchange hold ADDRESS PORT OWN_PORT SIZE          the same over a connection that is held in between: prints
 *	                                                  "held", and waits for SIGUSR1 before as many bytes go once more
 */
#include <linux/tcp.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_S 10

static int fail(const char *what)
{
	perror(what);
	return EXIT_FAILURE;
}

/* HOST NULL: any address of FAMILY. */
static bool resolve(const char *host, const char *port, int family, struct addrinfo **ret_address)
{
	const struct addrinfo hints = { .ai_family = family,
		                        .ai_socktype = SOCK_DGRAM,
		                        .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | (host ? 0 : AI_PASSIVE) };
	return getaddrinfo(host, port, &hints, ret_address) == 0;
}

/* A socket of TYPE bound to OWN; -1: errno tells. */
static int open_socket(int type, const struct addrinfo *own)
{
	const int yes = 1;
	int fd = socket(own->ai_family, type, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) < 0 ||
	    bind(fd, own->ai_addr, own->ai_addrlen) < 0)
		return -1;
	return fd;
}

/* A socket of TYPE from OWN_PORT to HOST and PORT, whose waits end; -1: said why. */
static int open_connected(int type, const char *host, const char *port, const char *own_port)
{
	const struct timeval patience = { .tv_sec = PATIENCE_S };
	struct addrinfo *peer, *own;

	if (!resolve(host, port, AF_UNSPEC, &peer) || !resolve(NULL, own_port, peer->ai_family, &own)) {
		fail(host);
		return -1;
	}
	int fd = open_socket(type, own);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
	    connect(fd, peer->ai_addr, peer->ai_addrlen) < 0) {
		fail("connect");
		return -1;
	}
	return fd;
}

static int answer_datagram(int fd)
{
	static char data[65536];
	struct sockaddr_storage peer;
	socklen_t length = sizeof(peer);

	ssize_t size = recvfrom(fd, data, sizeof(data), 0, (struct sockaddr *)&peer, &length);
	return size >= 0 && sendto(fd, data, (size_t)size, 0, (struct sockaddr *)&peer, length) == size ? 0 : -1;
}

/* One connection until its other end is closed. */
static int answer_connection(int listener)
{
	static char data[65536];
	ssize_t size;

	int fd = accept(listener, NULL, NULL);
	if (fd < 0)
		return -1;
	while ((size = recv(fd, data, sizeof(data), 0)) > 0) {
		if (send(fd, data, (size_t)size, MSG_NOSIGNAL) != size)
			break;
	}
	return close(fd);
}

static int serve(const char *host, const char *port)
{
	struct addrinfo *own;

	if (!resolve(host, port, AF_UNSPEC, &own))
		return fail(host);
	int datagrams = open_socket(SOCK_DGRAM, own), listener = open_socket(SOCK_STREAM, own);
	if (datagrams < 0 || listener < 0 || listen(listener, 16) < 0)
		return fail("bind");
	struct pollfd waits[] = { { datagrams, POLLIN, 0 }, { listener, POLLIN, 0 } };
	for (;;) {
		if (poll(waits, 2, -1) < 0 || (waits[0].revents && answer_datagram(datagrams) < 0) ||
		    (waits[1].revents && answer_connection(listener) < 0))
			return fail("exchange");
	}
}

static int ask(const char *host, const char *port, const char *own_port, unsigned long count, size_t size)
{
	static char data[65536], answer[65536];

	if (size > sizeof(data))
		return fail("size");
	int fd = open_connected(SOCK_DGRAM, host, port, own_port);
	if (fd < 0)
		return EXIT_FAILURE;
	for (unsigned long i = 0; i < count; i++) {
		snprintf(data, sizeof(data), "%lu", i);
		if (send(fd, data, size, 0) != (ssize_t)size)
			return fail("send");
		if (recv(fd, answer, sizeof(answer), 0) != (ssize_t)size || memcmp(data, answer, size) != 0)
			return fail("answer");
	}
	return EXIT_SUCCESS;
}

/* SIZE bytes to the other end of FD, and back. */
static bool bounce(int fd, size_t size)
{
	static char data[65536], answer[65536];

	if (size > sizeof(data))
		return false;
	memset(data, 'x', size);
	return send(fd, data, size, 0) == (ssize_t)size && recv(fd, answer, size, MSG_WAITALL) == (ssize_t)size &&
	       memcmp(data, answer, size) == 0;
}

/* Blocked, so that it is not lost before the wait, nor for the first process of a pid namespace. */
static bool hold(void)
{
	sigset_t set;
	int signal;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 || puts("held") < 0 || fflush(stdout) < 0)
		return false;
	return sigwait(&set, &signal) == 0;
}

static int connect_once(const char *host, const char *port, const char *own_port, size_t size, bool held)
{
	struct tcp_info info = { 0 };
	socklen_t length = sizeof(info);
	char end;

	int fd = open_connected(SOCK_STREAM, host, port, own_port);
	if (fd < 0)
		return EXIT_FAILURE;
	if (!bounce(fd, size) || (held && (!hold() || !bounce(fd, size))))
		return fail("answer");
	/* With the other end's FIN here the last segment has been sent, too. */
	if (shutdown(fd, SHUT_WR) < 0 || recv(fd, &end, 1, 0) != 0 ||
	    getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0)
		return fail("close");
	printf("%u %u %d\n", info.tcpi_segs_out, info.tcpi_segs_in, getpid());
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "serve") == 0)
		return serve(argv[2], argv[3]);
	if (argc == 7 && strcmp(argv[1], "ask") == 0)
		return ask(argv[2], argv[3], argv[4], strtoul(argv[5], NULL, 10), strtoul(argv[6], NULL, 10));
	bool held = argc == 6 && strcmp(argv[1], "hold") == 0;
	if (held || (argc == 6 && strcmp(argv[1], "connect") == 0))
		return connect_once(argv[2], argv[3], argv[4], strtoul(argv[5], NULL, 10), held);
	fprintf(stderr, "usage: exchange serve ADDRESS PORT | ask ADDRESS PORT OWN_PORT COUNT SIZE |\n"
	                "       connect|hold ADDRESS PORT OWN_PORT SIZE\n");
	return 2;
}
