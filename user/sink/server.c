// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <event2/listener.h>
#include <inttypes.h>
#include "user/listen.h"
#include "user/log.h"
#include "user/sink/address.h"
#include "user/sink/server.h"

#define PAUSE_SECONDS 1 /* when the system has no descriptor or memory for another connection */

struct server {
	struct conn_shared shared;
	struct evconnlistener *listener;
	struct event *pause;
	SSL_CTX *context;
	void (*on_end)(void *data);
	void *data;
};

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *peer, int peer_size,
                      void *data)
{
	struct server *server = data;
	char address[ADDRESS_TEXT_MAX];
	const char *reason = NULL;
	address_text(peer, (socklen_t)peer_size, address);
	if (server->shared.metrics->connections >= SERVER_CONNECTIONS_MAX) {
		close(fd);
		reason = "too many connections";
	} else if (conn_new(&server->shared, server->context, fd, peer, (socklen_t)peer_size) < 0) {
		reason = "out of memory";
	}
	if (!reason)
		return;
	server->shared.metrics->refused[REFUSED_CONNECTIONS]++;
	log_warn("refused a connection", "peer", address, "reason", reason, "connections",
	         LOG_FMT("%" PRIu64, server->shared.metrics->connections));
}

static void on_accept_error(struct evconnlistener *listener, void *data)
{
	struct server *server = data;
	struct timeval wait = { .tv_sec = PAUSE_SECONDS };
	log_error("cannot accept a connection, trying again in 1 s", "error", LOG_ERRNO(-errno));
	evconnlistener_disable(listener);
	event_add(server->pause, &wait);
}

static void on_pause_end(evutil_socket_t fd, short what, void *data)
{
	struct server *server = data;
	if (server->listener)
		evconnlistener_enable(server->listener);
}

static void on_closed(void *data)
{
	struct server *server = data;
	if (server->shared.stopping && !server->shared.first && server->on_end)
		server->on_end(server->data);
}

static int listen_on(struct server *server, const char *listen, uint16_t *ret_port)
{
	struct sockaddr_storage address;
	socklen_t size;
	int r = listen_address(listen, &address, &size);
	if (r < 0)
		return r;
	errno = 0;
	server->listener = evconnlistener_new_bind(server->shared.base, on_accept, server,
	                                           LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE,
	                                           SOMAXCONN, (struct sockaddr *)&address, (int)size);
	if (!server->listener)
		return errno ? -errno : -ENOMEM;
	evconnlistener_set_error_cb(server->listener, on_accept_error);

	size = sizeof(address);
	if (getsockname(evconnlistener_get_fd(server->listener), (struct sockaddr *)&address, &size) < 0)
		return -errno;
	*ret_port = address_port(&address);
	return 0;
}

int server_new(struct event_base *base, const struct server_options *options, struct server **ret_server,
               uint16_t *ret_port)
{
	_cleanup_(server_freep) struct server *server = calloc(1, sizeof(*server));
	if (!server)
		return -ENOMEM;
	server->shared = (struct conn_shared) {
		.base = base,
		.ingest = options->ingest,
		.metrics = options->metrics,
		.max_body = options->max_body,
		.on_closed = on_closed,
		.data = server,
	};
	server_set_context(server, options->context);
	server->pause = evtimer_new(base, on_pause_end, server);
	if (!server->pause)
		return -ENOMEM;
	int r = listen_on(server, options->listen, ret_port);
	if (r < 0)
		return r;
	*ret_server = TAKE_PTR(server);
	return 0;
}

void server_set_context(struct server *server, SSL_CTX *context)
{
	SSL_CTX_up_ref(context);
	SSL_CTX_free(server->context);
	server->context = context;
}

void server_stop(struct server *server, void (*on_end)(void *data), void *data)
{
	/* Closed, not just left alone: who connects now shall be refused, and not wait. */
	evconnlistener_free(server->listener);
	server->listener = NULL;
	conn_stop_all(&server->shared);
	server->on_end = on_end;
	server->data = data;
	on_closed(server);
}

void server_free(struct server *server)
{
	server->on_end = NULL;
	conn_close_all(&server->shared);
	if (server->listener)
		evconnlistener_free(server->listener);
	if (server->pause)
		event_free(server->pause);
	SSL_CTX_free(server->context);
	free(server);
}
