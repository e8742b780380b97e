// SPDX-License-Identifier: Apache-2.0
/*
 * A known number of datagrams on one UDP flow, each answered before the next is sent: nothing can be lost in between.
 *
 *	exchange serve ADDRESS PORT                       sends back what comes, until it is killed
 *	exchange ask ADDRESS PORT OWN_PORT COUNT SIZE     0: COUNT datagrams of SIZE bytes went there and came back
 */
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

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

static int serve(const char *host, const char *port)
{
	static char data[65536];
	struct addrinfo *own;
	struct sockaddr_storage peer;

	if (!resolve(host, port, AF_UNSPEC, &own))
		return fail(host);
	int fd = socket(own->ai_family, SOCK_DGRAM, 0);
	if (fd < 0 || bind(fd, own->ai_addr, own->ai_addrlen) < 0)
		return fail("bind");
	for (;;) {
		socklen_t length = sizeof(peer);
		ssize_t size = recvfrom(fd, data, sizeof(data), 0, (struct sockaddr *)&peer, &length);
		if (size < 0 || sendto(fd, data, (size_t)size, 0, (struct sockaddr *)&peer, length) != size)
			return fail("exchange");
	}
}

static int ask(const char *host, const char *port, const char *own_port, unsigned long count, size_t size)
{
	static char data[65536], answer[65536];
	const struct timeval patience = { .tv_sec = PATIENCE_S };
	struct addrinfo *peer, *own;

	if (size > sizeof(data) || !resolve(host, port, AF_UNSPEC, &peer) ||
	    !resolve(NULL, own_port, peer->ai_family, &own))
		return fail(host);
	int fd = socket(peer->ai_family, SOCK_DGRAM, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
	    bind(fd, own->ai_addr, own->ai_addrlen) < 0 || connect(fd, peer->ai_addr, peer->ai_addrlen) < 0)
		return fail("connect");
	for (unsigned long i = 0; i < count; i++) {
		snprintf(data, sizeof(data), "%lu", i);
		if (send(fd, data, size, 0) != (ssize_t)size)
			return fail("send");
		if (recv(fd, answer, sizeof(answer), 0) != (ssize_t)size || memcmp(data, answer, size) != 0)
			return fail("answer");
	}
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "serve") == 0)
		return serve(argv[2], argv[3]);
	if (argc == 7 && strcmp(argv[1], "ask") == 0)
		return ask(argv[2], argv[3], argv[4], strtoul(argv[5], NULL, 10), strtoul(argv[6], NULL, 10));
	fprintf(stderr, "usage: exchange serve ADDRESS PORT | ask ADDRESS PORT OWN_PORT COUNT SIZE\n");
	return 2;
}
