/* SPDX-License-Identifier: Apache-2.0 */
/* The sensor's plain HTTP endpoint: /metrics, /healthz, /readyz. */
#pragma once

#include <stdbool.h>
#include <event2/event.h>
#include "user/buf.h"

/* How the pages get their content; called on the event loop. */
struct http_pages {
	int (*metrics)(struct buf *out, void *data); /* 0 or -errno */
	bool (*ready)(void *data);
	void *data;
};

struct http;

/* Listens on "address:port" ("[v6]:port"). 0 or -errno of the socket. Free with http_free. */
int http_open(struct event_base *base, const char *listen, const struct http_pages *pages, struct http **ret_http);
void http_free(struct http *http);
DEFINE_CLEANUP(struct http *, http_free)
