/* SPDX-License-Identifier: Apache-2.0 */
/* Accepts connections of clients, a bounded number of them. */
#pragma once

#include "user/sink/conn.h"

#define SERVER_CONNECTIONS_MAX 1024

struct server;

struct server_options {
	const char *listen; /* "address:port" */
	SSL_CTX *context;   /* a reference of its own is taken */
	struct ingest *ingest;
	struct metrics *metrics;
	uint64_t max_body;
};

/* Listens. What OPTIONS points to outlives it. 0 or -errno; *ret_port is where it listens. */
int server_new(struct event_base *base, const struct server_options *options, struct server **ret_server,
               uint16_t *ret_port);

/* New certificates, from the next connection on. */
void server_set_context(struct server *server, SSL_CTX *context);

/* Accepts no more; ON_END is called when the last request in progress is answered, perhaps at once. */
void server_stop(struct server *server, void (*on_end)(void *data), void *data);

/* Closes all that is still open. */
void server_free(struct server *server);
DEFINE_CLEANUP(struct server *, server_free)
