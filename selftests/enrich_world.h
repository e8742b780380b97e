/* SPDX-License-Identifier: Apache-2.0 */
/* A small world of cgroups, addresses and sockets, in place of the indexes and maps that enrich asks. */
#pragma once

#include "user/enrich.h"

#define SEC 1000000000ULL
#define NOW (1000 * SEC)

/* Cgroup ids. */
enum { ROOT = 1, CART, CART_POD, CART_LATE, FEED, NAMELESS, BARE, SERVICE, GONE };

/* Cookies. */
enum {
	NGINX = 1,
	NGINX_FEED,
	SSHD,
	BY_CGROUP,
	IN_ROOT,
	CLOSED_TCP,
	CLOSED_UDP,
	LATER,
	OLD,
	DNS_HOST,
	DNS_CART,
	DNS_CLOSED,
	NEVER_SEEN = 100,
};

/* For enrich_open: everything is there. */
struct enrich_options enrich_world(void);

/* TEXT as struct flow_key has addresses. */
void to_bytes(const char *text, uint8_t ret_address[static 16]);
