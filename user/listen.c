// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "user/cleanup.h"
#include "user/listen.h"

static int parse_port(const char *text, uint16_t *ret_port)
{
	size_t digits = strspn(text, "0123456789");
	if (!digits || digits > 5 || text[digits])
		return -EINVAL;
	unsigned long port = strtoul(text, NULL, 10);
	if (port > UINT16_MAX)
		return -EINVAL;
	*ret_port = (uint16_t)port;
	return 0;
}

int listen_split(const char *listen, char ret_host[static 64], uint16_t *ret_port)
{
	char host[64];
	unsigned char address[sizeof(struct in6_addr)];
	uint16_t port;
	bool v6 = *listen == '[';
	const char *start = listen + v6;
	const char *end = strchr(start, v6 ? ']' : ':');
	size_t size = end ? (size_t)(end - start) : sizeof(host);
	if (size >= sizeof(host) || (v6 && end[1] != ':'))
		return -EINVAL;
	memcpy(host, start, size);
	host[size] = '\0';
	if (inet_pton(v6 ? AF_INET6 : AF_INET, host, address) != 1)
		return -EINVAL;
	int r = parse_port(end + v6 + 1, &port);
	if (r < 0)
		return r;
	memcpy(ret_host, host, size + 1);
	*ret_port = port;
	return 0;
}

int listen_address(const char *listen, struct sockaddr_storage *ret_address, socklen_t *ret_size)
{
	char host[64];
	uint16_t port;
	int r = listen_split(listen, host, &port);
	if (r < 0)
		return r;

	struct sockaddr_storage address = { 0 };
	struct sockaddr_in *v4 = (struct sockaddr_in *)&address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address;
	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		*ret_size = sizeof(*v4);
	} else if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		*ret_size = sizeof(*v6);
	} else {
		return -EINVAL;
	}
	*ret_address = address;
	return 0;
}

int listen_open(const char *listen_at, int *ret_fd)
{
	struct sockaddr_storage address;
	socklen_t size;
	int on = 1;
	int r = listen_address(listen_at, &address, &size);
	if (r < 0)
		return r;
	_cleanup_(closep) int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, SOMAXCONN) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}
