// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <string.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include "user/cleanup.h"
#include "user/http.h"
#include "user/listen.h"

/* 1,024 interfaces need 6 MiB. */
#define PAGE_MAX_BYTES  (16 << 20)
#define REQUEST_SECONDS 10

struct http {
	struct evhttp *server;
	struct http_pages pages;
};

static void reply(struct evhttp_request *request, int code, const char *type, const char *text)
{
	struct evbuffer *body = evhttp_request_get_output_buffer(request);
	evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", type);
	evbuffer_add(body, text, strlen(text));
	evhttp_send_reply(request, code, NULL, NULL);
}

static void on_metrics(struct evhttp_request *request, void *data)
{
	const struct http *http = data;
	_cleanup_(buf_free) struct buf page = BUF_INIT(PAGE_MAX_BYTES);
	if (http->pages.metrics(&page, http->pages.data) < 0)
		reply(request, HTTP_INTERNAL, "text/plain", "the maps could not be read\n");
	else
		reply(request, HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", buf_text(&page));
}

static void on_health(struct evhttp_request *request, void *data)
{
	/* This very answer shows that the event loop turns. */
	reply(request, HTTP_OK, "text/plain", "ok\n");
}

static void on_ready(struct evhttp_request *request, void *data)
{
	const struct http *http = data;
	if (http->pages.ready(http->pages.data))
		reply(request, HTTP_OK, "text/plain", "ready\n");
	else
		reply(request, HTTP_SERVUNAVAIL, "text/plain", "not attached yet\n");
}

int http_open(struct event_base *base, const char *listen, const struct http_pages *pages, struct http **ret_http)
{
	_cleanup_(http_freep) struct http *http = calloc(1, sizeof(*http));
	if (!http)
		return -ENOMEM;
	http->pages = *pages;
	http->server = evhttp_new(base);
	if (!http->server)
		return -ENOMEM;
	evhttp_set_allowed_methods(http->server, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
	evhttp_set_max_headers_size(http->server, 16384);
	evhttp_set_max_body_size(http->server, 0);
	evhttp_set_timeout(http->server, REQUEST_SECONDS);
	evhttp_set_cb(http->server, "/metrics", on_metrics, http);
	evhttp_set_cb(http->server, "/healthz", on_health, http);
	evhttp_set_cb(http->server, "/readyz", on_ready, http);
	_cleanup_(closep) int fd = -1;
	int r = listen_open(listen, &fd);
	if (r < 0)
		return r;
	if (!evhttp_accept_socket_with_handle(http->server, fd))
		return -ENOMEM;
	TAKE_FD(fd);
	*ret_http = TAKE_PTR(http);
	return 0;
}

void http_free(struct http *http)
{
	if (!http)
		return;
	if (http->server)
		evhttp_free(http->server);
	free(http);
}
