/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client's connection: handshake, then requests one after the other. What can be refused is refused on the head,
 * before the body is read; bodies are unpacked as they come, and all of them together are bounded. Each refusal is one
 * line in the log.
 */
#pragma once

#include <event2/event.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <sys/socket.h>
#include "user/sink/ingest.h"

struct conn;

/* What all connections have in common. */
struct conn_shared {
	struct event_base *base;
	struct ingest *ingest;
	struct metrics *metrics;
	uint64_t max_body;
	uint64_t bodies; /* memory of bodies in progress */
	bool stopping;   /* connections end with the request in progress */
	struct {
		time_t second;
		unsigned n;
	} lines;                       /* in the log, of this second */
	struct conn *first;            /* metrics->connections of them */
	void (*on_closed)(void *data); /* after each */
	void *data;
};

/* Owns FD from now on, in any case. 0 or -ENOMEM. */
int conn_new(struct conn_shared *shared, SSL_CTX *context, int fd, const struct sockaddr *peer, socklen_t peer_size);

/* Ends the ones that wait for a request; the others end with theirs. */
void conn_stop_all(struct conn_shared *shared);

/* Ends all at once. */
void conn_close_all(struct conn_shared *shared);
