// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <inttypes.h>
#include <string.h>
#include "user/cleanup.h"
#include "user/listen.h"
#include "user/sink/address.h"
#include "user/sink/metrics.h"
#include "user/version.h"

#define PAGE_MAX 65536

struct metrics_server {
	struct evhttp *http;
	struct metrics *metrics;
	void (*refresh)(struct metrics *metrics, void *data);
	void *data;
};

static const char *const refusal_names[] = REFUSAL_NAMES;
_Static_assert(ARRAY_SIZE(refusal_names) == REFUSALS, "a name for each refusal");

const char *refusal_name(enum refusal refusal)
{
	return refusal_names[refusal];
}

static void put_head(struct buf *out, const char *name, const char *type, const char *help)
{
	buf_appendf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_family(struct buf *out, const char *name, const char *label, const char *help,
                       const char *const *values, const uint64_t *counts, size_t n)
{
	put_head(out, name, "counter", help);
	for (size_t i = 0; i < n; i++)
		buf_appendf(out, "%s{%s=\"%s\"} %" PRIu64 "\n", name, label, values[i], counts[i]);
}

static void put_single(struct buf *out, const char *name, const char *type, const char *help, uint64_t value)
{
	put_head(out, name, type, help);
	buf_appendf(out, "%s %" PRIu64 "\n", name, value);
}

int metrics_put(const struct metrics *metrics, struct buf *out)
{
	static const char *const results[] = BATCH_RESULT_NAMES;
	static const char *const kinds[] = STORED_KIND_NAMES;
	static const char *const stages[] = BYTE_STAGE_NAMES;
	_Static_assert(ARRAY_SIZE(results) == BATCH_RESULTS, "a name for each result");
	_Static_assert(ARRAY_SIZE(kinds) == KINDS, "a name for each kind");
	_Static_assert(ARRAY_SIZE(stages) == STAGES, "a name for each stage");

	put_family(out, "sonde_sink_batches_total", "result", "Batches received, by what became of them.", results,
	           metrics->batches, BATCH_RESULTS);
	put_family(out, "sonde_sink_records_total", "kind", "Records stored.", kinds, metrics->records, KINDS);
	put_single(out, "sonde_sink_duplicates_total", "counter", "Batches that were stored already.",
	           metrics->batches[BATCH_DUPLICATE]);
	put_family(out, "sonde_sink_refused_total", "reason", "Connections and requests refused.", refusal_names,
	           metrics->refused, REFUSALS);
	put_family(out, "sonde_sink_bytes_total", "stage",
	           "Bytes of bodies received and unpacked, and of files written.", stages, metrics->bytes, STAGES);
	put_single(out, "sonde_sink_connections", "gauge", "Open connections.", metrics->connections);
	put_single(out, "sonde_sink_streams", "gauge", "Streams whose batches are known.", metrics->streams);
	put_head(out, "sonde_sink_build_info", "gauge", "The program's version.");
	return buf_appendf(out, "sonde_sink_build_info{version=\"%s\"} 1\n", SONDE_VERSION);
}

static void reply_text(struct evhttp_request *request, const char *type, const void *text, size_t size)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
	evhttp_add_header(headers, "Content-Type", type);
	if (evbuffer_add(evhttp_request_get_output_buffer(request), text, size) < 0)
		evhttp_send_error(request, HTTP_INTERNAL, NULL);
	else
		evhttp_send_reply(request, HTTP_OK, NULL, NULL);
}

static void on_metrics(struct evhttp_request *request, void *data)
{
	struct metrics_server *server = data;
	_cleanup_(buf_free) struct buf page = BUF_INIT(PAGE_MAX);
	server->refresh(server->metrics, server->data);
	if (metrics_put(server->metrics, &page) < 0)
		evhttp_send_error(request, HTTP_INTERNAL, NULL);
	else
		reply_text(request, "text/plain; version=0.0.4; charset=utf-8", page.data, page.size);
}

static void on_health(struct evhttp_request *request, void *data)
{
	reply_text(request, "text/plain; charset=utf-8", "ok\n", 3);
}

static int listen_on(struct evhttp *http, const char *listen, uint16_t *ret_port)
{
	_cleanup_(closep) int fd = -1;
	int r = listen_open(listen, &fd);
	if (r < 0)
		return r;

	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	if (getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		return -errno;
	if (!evhttp_accept_socket_with_handle(http, fd))
		return -ENOMEM;
	TAKE_FD(fd);
	*ret_port = address_port(&address);
	return 0;
}

int metrics_server_new(struct event_base *base, const char *listen, struct metrics *metrics,
                       void (*refresh)(struct metrics *metrics, void *data), void *data,
                       struct metrics_server **ret_server, uint16_t *ret_port)
{
	_cleanup_(metrics_server_freep) struct metrics_server *server = calloc(1, sizeof(*server));
	if (!server)
		return -ENOMEM;
	*server = (struct metrics_server) { .metrics = metrics, .refresh = refresh, .data = data };
	server->http = evhttp_new(base);
	if (!server->http)
		return -ENOMEM;

	evhttp_set_allowed_methods(server->http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
	evhttp_set_max_headers_size(server->http, 8192);
	evhttp_set_max_body_size(server->http, 0);
	evhttp_set_timeout(server->http, 10);
	if (evhttp_set_cb(server->http, "/metrics", on_metrics, server) < 0 ||
	    evhttp_set_cb(server->http, "/healthz", on_health, server) < 0)
		return -ENOMEM;

	int r = listen_on(server->http, listen, ret_port);
	if (r < 0)
		return r;
	*ret_server = TAKE_PTR(server);
	return 0;
}

void metrics_server_free(struct metrics_server *server)
{
	if (server->http)
		evhttp_free(server->http);
	free(server);
}
