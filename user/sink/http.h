/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 (RFC 9112) as far as an OTLP receiver needs it: the head of a request, chunked bodies, replies. Nothing in
 * here reads or writes a socket. libevent's evhttp does not serve here: it answers a bad head or a long body by itself
 * and in silence, holds each body in memory before anybody may refuse it, and falls back to plain text where the
 * function that makes its TLS connections returns NULL.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "user/buf.h"

#define HTTP_HEAD_MAX 16384

/* Values are cut off from parameters and white space, and in lower case, but method and path. */
struct http_head {
	char method[16];
	char path[128]; /* without its query; a longer one is cut, and so no path that we know */
	char content_type[64];
	char content_encoding[64];
	bool keep_alive;
	bool chunked;
	bool expect_continue;
	bool has_length;
	uint64_t length;
};

/*
 * Parses the head at the begin of DATA. Returns its size, the empty line included; 0: not complete yet; -EBADMSG: not
 * HTTP/1, or ambiguous (RFC 9112 §6.3: two lengths, a length with chunks, folded lines); -EFBIG: more than
 * HTTP_HEAD_MAX; -ENOSYS: a transfer coding other than chunked.
 */
ssize_t http_parse_head(const char *data, size_t size, struct http_head *ret_head);

/* Where a reader of a chunked body is. Begin with all zero. */
struct http_chunks {
	enum { CHUNK_SIZE, CHUNK_EXTENSION, CHUNK_DATA, CHUNK_DATA_END, CHUNK_TRAILER, CHUNK_DONE } state;
	uint64_t left;      /* of the chunk */
	unsigned digits;    /* of its size */
	unsigned line;      /* bytes of the extension or trailer so far: all of them together are bounded */
	bool line_is_empty; /* of the trailer */
};

/*
 * Takes the next piece of a chunked body: returns how many bytes of DATA were used, of which the last *ret_payload are
 * the body's (they end at the returned position). 0: all is read (state CHUNK_DONE), or DATA is empty. -EBADMSG: no
 * chunks.
 */
ssize_t http_read_chunk(struct http_chunks *chunks, const char *data, size_t size, size_t *ret_payload);

struct http_reply {
	unsigned status;
	const char *content_type; /* NULL: without a body */
	const char *header;       /* one more line, "Name: value"; NULL: none */
	bool keep_alive;
	const void *body;
	size_t body_size;
};

/* Appends head and body. 0 or OUT's error. */
int http_put_reply(struct buf *out, const struct http_reply *reply);
