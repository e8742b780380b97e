// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <utlist.h>
#include "user/log.h"
#include "user/sink/exchange.h"

#define READ_AHEAD 65536 /* bytes taken off the socket before they are used */
#define LINES_MAX  20    /* a second, in the log, of connections refused before we know who it is */

static void conn_free(struct conn *conn)
{
	struct conn_shared *shared = conn->shared;
	shared->bodies -= conn->body.data.capacity;
	body_free(&conn->body);
	if (conn->deadline)
		event_free(conn->deadline);
	if (conn->bev)
		bufferevent_free(conn->bev);
	DL_DELETE(shared->first, conn);
	shared->metrics->connections--;
	free(conn);
	shared->on_closed(shared->data);
}

void conn_enter(struct conn *conn, enum conn_state state, int seconds)
{
	struct timeval wait = { .tv_sec = seconds };
	conn->state = state;
	event_add(conn->deadline, &wait);
}

static void on_read(struct bufferevent *bev, void *data)
{
	exchange_run(data);
}

/* All that was written is with the kernel. */
static void on_written(struct bufferevent *bev, void *data)
{
	struct conn *conn = data;
	if (conn->state == CONN_REPLY) {
		conn_enter(conn, CONN_IDLE, WAIT_IDLE);
		exchange_run(conn);
	} else if (conn->state == CONN_LAST) {
		SSL_shutdown(bufferevent_openssl_get_ssl(bev));
		shutdown(bufferevent_getfd(bev), SHUT_WR);
		conn_enter(conn, CONN_LINGER, WAIT_LINGER);
		exchange_run(conn);
	}
}

/*
 * Anybody can make these lines: there are so many of them a second, and then one that tells how many are missing. All
 * are counted.
 */
static bool may_log(struct conn_shared *shared)
{
	struct timeval now;
	event_base_gettimeofday_cached(shared->base, &now);
	if (now.tv_sec != shared->lines.second) {
		if (shared->lines.n > LINES_MAX)
			log_warn("refused more connections, not telling of each", "connections",
			         LOG_FMT("%u", shared->lines.n - LINES_MAX));
		shared->lines.second = now.tv_sec;
		shared->lines.n = 0;
	}
	return ++shared->lines.n <= LINES_MAX;
}

static void refuse_handshake(struct conn *conn, unsigned long error)
{
	char reason[512];
	conn->shared->metrics->refused[REFUSED_TLS]++;
	if (!may_log(conn->shared))
		return;
	tls_explain(&conn->peer, error, reason);
	log_warn("refused a connection", "peer", conn->address, "subject",
	         *conn->peer.subject ? conn->peer.subject : NULL, "reason", reason);
}

static void on_connected(struct conn *conn)
{
	if (tls_peer_verified(bufferevent_openssl_get_ssl(conn->bev), &conn->peer) < 0) {
		conn->shared->metrics->refused[REFUSED_TLS]++;
		log_error("refused a connection without a verified certificate", "peer", conn->address);
		conn_free(conn);
		return;
	}
	log_debug("connected", "peer", conn->address, "subject", conn->peer.subject);
	conn_enter(conn, CONN_IDLE, WAIT_IDLE);
}

static void on_event(struct bufferevent *bev, short what, void *data)
{
	struct conn *conn = data;
	if (what & BEV_EVENT_CONNECTED) {
		on_connected(conn);
		return;
	}
	if (conn->state == CONN_HANDSHAKE) {
		refuse_handshake(conn, bufferevent_get_openssl_error(bev));
	} else if (conn->state == CONN_HEAD || conn->state == CONN_BODY) {
		log_info("a client hung up amid a request, nothing of it is stored", "peer", conn->address, "subject",
		         conn->peer.subject);
	}
	conn_free(conn);
}

static void on_deadline(evutil_socket_t fd, short what, void *data)
{
	static const char *const waits[] = {
		[CONN_HANDSHAKE] = "no TLS handshake in time",
		[CONN_HEAD] = "the head of a request is not complete in time",
		[CONN_BODY] = "the body of a request is not complete in time",
		[CONN_REPLY] = "the client does not read the answer",
		[CONN_LAST] = "the client does not read the answer",
		[CONN_LINGER] = NULL,
	};
	struct conn *conn = data;
	if (waits[conn->state]) {
		conn->shared->metrics->refused[REFUSED_TIMEOUT]++;
		log_warn("closing a connection", "peer", conn->address, "subject",
		         *conn->peer.subject ? conn->peer.subject : NULL, "reason", waits[conn->state]);
	}
	conn_free(conn);
}

int conn_new(struct conn_shared *shared, SSL_CTX *context, int fd, const struct sockaddr *peer, socklen_t peer_size)
{
	struct conn *conn = calloc(1, sizeof(*conn));
	if (!conn) {
		close(fd);
		return -ENOMEM;
	}
	conn->shared = shared;
	DL_APPEND(shared->first, conn);
	shared->metrics->connections++;
	address_text(peer, peer_size, conn->address);

	SSL *ssl = tls_accept_new(context, &conn->peer);
	conn->deadline = evtimer_new(shared->base, on_deadline, conn);
	if (ssl && conn->deadline)
		conn->bev = bufferevent_openssl_socket_new(shared->base, fd, ssl, BUFFEREVENT_SSL_ACCEPTING,
		                                           BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	if (!conn->bev) {
		SSL_free(ssl);
		close(fd);
		conn_free(conn);
		return -ENOMEM;
	}
	bufferevent_setcb(conn->bev, on_read, on_written, on_event, conn);
	bufferevent_setwatermark(conn->bev, EV_READ, 0, READ_AHEAD);
	bufferevent_enable(conn->bev, EV_READ | EV_WRITE);
	conn_enter(conn, CONN_HANDSHAKE, WAIT_HANDSHAKE);
	return 0;
}

void conn_stop_all(struct conn_shared *shared)
{
	struct conn *conn, *next;
	shared->stopping = true;
	DL_FOREACH_SAFE(shared->first, conn, next)
	{
		if (conn->state == CONN_HANDSHAKE || conn->state == CONN_IDLE || conn->state == CONN_LINGER)
			conn_free(conn);
	}
}

void conn_close_all(struct conn_shared *shared)
{
	struct conn *conn, *next;
	DL_FOREACH_SAFE(shared->first, conn, next)
	{
		conn_free(conn);
	}
}
