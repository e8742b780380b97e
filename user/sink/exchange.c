// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <event2/buffer.h>
#include <inttypes.h>
#include "user/log.h"
#include "user/sink/exchange.h"

#define BODIES_LIMIT 4 /* bodies in progress may take so many times max_body */
#define REPLY_MAX    4096

static void log_refusal(const struct conn *conn, const struct outcome *outcome)
{
	conn->shared->metrics->refused[outcome->refusal]++;
	log_warn("refused a request", "peer", conn->address, "subject", conn->peer.subject, "status",
	         LOG_FMT("%u", outcome->status), "reason", outcome->reason);
}

/* Answers. WHOLE: the request was read to its end, so that another one may follow it. */
static void answer(struct conn *conn, const struct outcome *outcome, bool whole)
{
	bool keep_alive = whole && conn->head.keep_alive && !conn->shared->stopping;
	_cleanup_(buf_free) struct buf reply = BUF_INIT(REPLY_MAX);

	conn->shared->bodies -= conn->body.data.capacity;
	body_free(&conn->body);
	if (outcome->status != 200)
		log_refusal(conn, outcome);
	/* Without memory for an answer, the client finds the connection closed and tries again. */
	if (reply_put(outcome, keep_alive, &reply) < 0 || bufferevent_write(conn->bev, reply.data, reply.size) < 0)
		keep_alive = false;
	conn_enter(conn, keep_alive ? CONN_REPLY : CONN_LAST, WAIT_REPLY);
}

static void refuse(struct conn *conn, unsigned status, enum refusal refusal, const char *reason)
{
	struct outcome outcome;
	outcome_set(&outcome, status, refusal, "%s", reason);
	answer(conn, &outcome, false);
}

static void refuse_head(struct conn *conn, int error)
{
	conn->head.keep_alive = false;
	switch (error) {
	case -EFBIG:
		refuse(conn, 431, REFUSED_HTTP, "the head of the request is too large");
		break;
	case -ENOSYS:
		refuse(conn, 501, REFUSED_HTTP, "Transfer-Encoding is not chunked");
		break;
	default:
		refuse(conn, 400, REFUSED_HTTP, "not a request of HTTP/1.1");
	}
}

static void refuse_body(struct conn *conn, int error)
{
	struct outcome outcome;
	switch (error) {
	case -EFBIG:
		outcome_set(&outcome, 413, REFUSED_TOO_LARGE, "the body is longer than max_body (%" PRIu64 " bytes)%s",
		            conn->shared->max_body, conn->body.gzip ? ", packed or unpacked" : "");
		break;
	case -EBADMSG:
		outcome_set(&outcome, 400, REFUSED_GZIP, "the body is not gzip, though Content-Encoding says so");
		break;
	case -EPROTO:
		outcome_set(&outcome, 400, REFUSED_HTTP, "the body is not in chunks, though Transfer-Encoding says so");
		break;
	case -EBUSY:
		outcome_set(&outcome, 503, REFUSED_BUSY, "too many bodies at the same time");
		break;
	default:
		outcome_set(&outcome, 503, REFUSED_BUSY, "out of memory");
	}
	answer(conn, &outcome, false);
}

/* The body is complete. */
static void finish(struct conn *conn)
{
	struct conn_shared *shared = conn->shared;
	struct ingest_result result = { .outcome = { .status = 200 } };
	if (body_end(&conn->body) < 0) {
		outcome_set(&result.outcome, 400, REFUSED_GZIP, "the gzip stream ends too early");
	} else {
		shared->metrics->bytes[STAGE_RECEIVED] += conn->body.received;
		shared->metrics->bytes[STAGE_UNPACKED] += conn->body.data.size;
		ingest_request(shared->ingest, conn->peer.subject, conn->body.data.data, conn->body.data.size, &result);
	}
	if (result.duplicates)
		log_info("batches were stored already, leaving them out", "peer", conn->address, "subject",
		         conn->peer.subject, "batches", LOG_FMT("%" PRIu64, result.duplicates));
	if (result.stored)
		log_debug("stored", "peer", conn->address, "batches", LOG_FMT("%" PRIu64, result.stored), "records",
		          LOG_FMT("%" PRIu64, result.records));
	answer(conn, &result.outcome, true);
}

static int add_to_body(struct conn *conn, const void *data, size_t size)
{
	struct conn_shared *shared = conn->shared;
	size_t before = conn->body.data.capacity;
	int r = body_add(&conn->body, data, size);
	shared->bodies += conn->body.data.capacity - before;
	if (r == 0 && shared->bodies > shared->max_body * BODIES_LIMIT)
		return -EBUSY;
	return r;
}

/* One of these returns true where there may be more to do with what is in the input. */
static bool read_head(struct conn *conn)
{
	struct evbuffer *input = bufferevent_get_input(conn->bev);
	size_t size = evbuffer_get_length(input);
	if (!size)
		return false;
	if (size > HTTP_HEAD_MAX)
		size = HTTP_HEAD_MAX;
	const char *data = (const char *)evbuffer_pullup(input, (ssize_t)size);
	ssize_t r = data ? http_parse_head(data, size, &conn->head) : -ENOMEM;
	if (r == 0) {
		if (conn->state == CONN_IDLE)
			conn_enter(conn, CONN_HEAD, WAIT_HEAD);
		return false;
	}
	if (r < 0) {
		refuse_head(conn, (int)r);
		return false;
	}

	evbuffer_drain(input, (size_t)r);
	struct outcome outcome;
	outcome_of_head(&conn->head, conn->shared->max_body, &outcome);
	if (outcome.status != 200) {
		answer(conn, &outcome, !conn->head.chunked && conn->head.length == 0);
		return false;
	}
	conn->left = conn->head.length;
	conn->chunks = (struct http_chunks) { 0 };
	conn_enter(conn, CONN_BODY, WAIT_BODY);
	int error = body_init(&conn->body, conn->head.content_encoding[0] == 'g', conn->shared->max_body);
	if (error < 0) {
		refuse_body(conn, error);
		return false;
	}
	if (conn->head.expect_continue && !evbuffer_get_length(input))
		bufferevent_write(conn->bev, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	return true;
}

/* Finds the next piece of the body in DATA; *ret_used includes what is around it. */
static int next_piece(struct conn *conn, const char *data, size_t size, const char **ret_piece, size_t *ret_piece_size,
                      size_t *ret_used)
{
	if (conn->head.chunked) {
		size_t payload;
		ssize_t used = http_read_chunk(&conn->chunks, data, size, &payload);
		if (used < 0)
			return -EPROTO;
		*ret_piece = data + (size_t)used - payload;
		*ret_piece_size = payload;
		*ret_used = (size_t)used;
		return 0;
	}
	size_t used = conn->left < size ? (size_t)conn->left : size;
	conn->left -= used;
	*ret_piece = data;
	*ret_piece_size = *ret_used = used;
	return 0;
}

static bool read_body(struct conn *conn)
{
	bool complete = conn->head.chunked ? conn->chunks.state == CHUNK_DONE : conn->left == 0;
	if (complete) {
		finish(conn);
		return false;
	}

	struct evbuffer *input = bufferevent_get_input(conn->bev);
	size_t size = evbuffer_get_contiguous_space(input);
	if (!size)
		return false;
	const char *piece;
	size_t piece_size, used;
	int r = next_piece(conn, (const char *)evbuffer_pullup(input, (ssize_t)size), size, &piece, &piece_size, &used);
	if (r == 0)
		r = add_to_body(conn, piece, piece_size);
	evbuffer_drain(input, r == 0 ? used : size);
	if (r < 0) {
		refuse_body(conn, r);
		return false;
	}
	return true;
}

void exchange_run(struct conn *conn)
{
	for (bool more = true; more;) {
		switch (conn->state) {
		case CONN_IDLE:
		case CONN_HEAD:
			more = read_head(conn);
			break;
		case CONN_BODY:
			more = read_body(conn);
			break;
		case CONN_LAST:
		case CONN_LINGER:
			evbuffer_drain(bufferevent_get_input(conn->bev), SIZE_MAX);
			more = false;
			break;
		default:
			more = false;
		}
	}
}
