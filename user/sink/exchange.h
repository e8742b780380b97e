/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a connection: conn.c opens, watches and closes it, exchange.c reads its requests and answers them. */
#pragma once

#include <event2/bufferevent.h>
#include "user/sink/address.h"
#include "user/sink/body.h"
#include "user/sink/conn.h"
#include "user/sink/tls.h"

/* Seconds that a client has. */
enum { WAIT_HANDSHAKE = 10, WAIT_IDLE = 120, WAIT_HEAD = 10, WAIT_BODY = 60, WAIT_REPLY = 30, WAIT_LINGER = 3 };

enum conn_state {
	CONN_HANDSHAKE,
	CONN_IDLE, /* between requests */
	CONN_HEAD, /* a part of a head is there */
	CONN_BODY,
	CONN_REPLY,  /* until the answer is on its way */
	CONN_LAST,   /* the same, and it is the last one */
	CONN_LINGER, /* what the client still sends is thrown away: closing at once would take the answer from it */
};

struct conn {
	struct conn_shared *shared;
	struct conn *prev, *next;
	struct bufferevent *bev;
	struct event *deadline;
	enum conn_state state;
	char address[ADDRESS_TEXT_MAX];
	struct tls_peer peer;
	struct http_head head;
	struct http_chunks chunks;
	struct body body;
	uint64_t left; /* of a body with a known length */
};

/* Into a state that lasts so many seconds at most. */
void conn_enter(struct conn *conn, enum conn_state state, int seconds);

/* Uses what has come; a request that follows waits for the answer to the one before it. Never frees CONN. */
void exchange_run(struct conn *conn);
