// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
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
