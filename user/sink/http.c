// SPDX-License-Identifier: Apache-2.0
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include "user/sink/http.h"

/* Extensions and trailers of a chunked body say nothing to us; so many bytes of them are put up with. */
#define CHUNK_LINES_MAX 4096

/* A part of the head; not ended by a NUL. */
struct span {
	const char *data;
	size_t size;
};

static bool span_is(struct span span, const char *text)
{
	return span.size == strlen(text) && strncasecmp(span.data, text, span.size) == 0;
}

static struct span span_trim(struct span span)
{
	while (span.size && (span.data[0] == ' ' || span.data[0] == '\t'))
		span.data++, span.size--;
	while (span.size && (span.data[span.size - 1] == ' ' || span.data[span.size - 1] == '\t'))
		span.size--;
	return span;
}

/* Takes what is before the first SEPARATOR, or all, off SPAN. */
static struct span span_next(struct span *span, char separator)
{
	const char *end = span->size ? memchr(span->data, separator, span->size) : NULL;
	struct span head = { span->data, end ? (size_t)(end - span->data) : span->size };
	size_t used = head.size + (end ? 1 : 0);
	span->data += used;
	span->size -= used;
	return head;
}

static void span_copy(struct span span, char *text, size_t size)
{
	size_t n = span.size < size - 1 ? span.size : size - 1;
	memcpy(text, span.data, n);
	text[n] = '\0';
}

static void span_copy_lower(struct span span, char *text, size_t size)
{
	span_copy(span, text, size);
	for (; *text; text++)
		*text = (char)tolower((unsigned char)*text);
}

/* RFC 9110 §5.6.2 */
static bool is_token(struct span span)
{
	static const char marks[15] __attribute__((nonstring)) = "!#$%&'*+-.^_`|~";
	if (!span.size)
		return false;
	for (size_t i = 0; i < span.size; i++)
		if (!isalnum((unsigned char)span.data[i]) && !memchr(marks, span.data[i], sizeof(marks)))
			return false;
	return true;
}

static int parse_length(struct span value, uint64_t *ret_length)
{
	uint64_t length = 0;
	if (!value.size || value.size > 18)
		return -EBADMSG;
	for (size_t i = 0; i < value.size; i++) {
		if (!isdigit((unsigned char)value.data[i]))
			return -EBADMSG;
		length = length * 10 + (uint64_t)(value.data[i] - '0');
	}
	*ret_length = length;
	return 0;
}

static int parse_request_line(struct span line, struct http_head *head)
{
	struct span method = span_next(&line, ' ');
	struct span target = span_next(&line, ' ');
	if (!is_token(method) || !target.size || target.data[0] != '/' || method.size >= sizeof(head->method))
		return -EBADMSG;
	if (span_is(line, "HTTP/1.1"))
		head->keep_alive = true;
	else if (!span_is(line, "HTTP/1.0"))
		return -EBADMSG;

	span_copy(method, head->method, sizeof(head->method));
	span_copy(span_next(&target, '?'), head->path, sizeof(head->path));
	return 0;
}

static void parse_connection(struct span value, struct http_head *head)
{
	while (value.size) {
		struct span option = span_trim(span_next(&value, ','));
		if (span_is(option, "close"))
			head->keep_alive = false;
		else if (span_is(option, "keep-alive"))
			head->keep_alive = true;
	}
}

static int parse_header(struct span line, struct http_head *head)
{
	const char *colon = memchr(line.data, ':', line.size);
	if (!colon)
		return -EBADMSG;
	struct span name = span_next(&line, ':');
	struct span value = span_trim(line);
	if (!is_token(name) || memchr(value.data, '\0', value.size) || memchr(value.data, '\r', value.size))
		return -EBADMSG;

	if (span_is(name, "content-length")) {
		if (head->has_length)
			return -EBADMSG;
		head->has_length = true;
		return parse_length(value, &head->length);
	}
	if (span_is(name, "transfer-encoding")) {
		if (head->chunked)
			return -EBADMSG;
		if (!span_is(value, "chunked"))
			return -ENOSYS;
		head->chunked = true;
	} else if (span_is(name, "content-type")) {
		span_copy_lower(span_trim(span_next(&value, ';')), head->content_type, sizeof(head->content_type));
	} else if (span_is(name, "content-encoding")) {
		/* Two lines would be two codings on top of one another: together they are none that we know. */
		if (*head->content_encoding)
			snprintf(head->content_encoding, sizeof(head->content_encoding), "several");
		else
			span_copy_lower(value, head->content_encoding, sizeof(head->content_encoding));
	} else if (span_is(name, "connection")) {
		parse_connection(value, head);
	} else if (span_is(name, "expect")) {
		head->expect_continue = span_is(value, "100-continue");
	}
	return 0;
}

ssize_t http_parse_head(const char *data, size_t size, struct http_head *ret_head)
{
	const char *end = memmem(data, size, "\r\n\r\n", 4);
	if (!end)
		return size >= HTTP_HEAD_MAX ? -EFBIG : 0;
	size_t total = (size_t)(end - data) + 4;
	if (total > HTTP_HEAD_MAX)
		return -EFBIG;

	struct http_head head = { 0 };
	struct span rest = { data, total - 2 };
	for (bool first = true; rest.size; first = false) {
		struct span line = span_next(&rest, '\n');
		if (!line.size || line.data[line.size - 1] != '\r')
			return -EBADMSG;
		line.size--;
		int r = first ? parse_request_line(line, &head) : line.size ? parse_header(line, &head) : -EBADMSG;
		if (r < 0)
			return r;
	}
	if (head.chunked && head.has_length)
		return -EBADMSG;
	*ret_head = head;
	return (ssize_t)total;
}

static int chunk_size_digit(struct http_chunks *chunks, char c)
{
	if (isxdigit((unsigned char)c)) {
		unsigned digit = isdigit((unsigned char)c) ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
		if (++chunks->digits > 15)
			return -EBADMSG;
		chunks->left = chunks->left << 4 | digit;
		return 0;
	}
	if (!chunks->digits || (c != '\r' && c != ';' && c != ' ' && c != '\t'))
		return -EBADMSG;
	chunks->state = CHUNK_EXTENSION;
	return 0;
}

/* One byte of what is around the chunks' data. */
static int chunk_frame_byte(struct http_chunks *chunks, char c)
{
	switch (chunks->state) {
	case CHUNK_SIZE:
		return chunk_size_digit(chunks, c);
	case CHUNK_EXTENSION:
		if (c == '\n') {
			chunks->state = chunks->left ? CHUNK_DATA : CHUNK_TRAILER;
			chunks->line_is_empty = true;
		}
		return ++chunks->line > CHUNK_LINES_MAX ? -EBADMSG : 0;
	case CHUNK_DATA_END:
		if (c == '\n') {
			chunks->state = CHUNK_SIZE;
			chunks->digits = 0;
			return 0;
		}
		return c == '\r' ? 0 : -EBADMSG;
	case CHUNK_TRAILER:
		if (c == '\n' && chunks->line_is_empty)
			chunks->state = CHUNK_DONE;
		else if (c == '\n')
			chunks->line_is_empty = true;
		else if (c != '\r')
			chunks->line_is_empty = false;
		return ++chunks->line > CHUNK_LINES_MAX ? -EBADMSG : 0;
	default:
		return -EBADMSG;
	}
}

ssize_t http_read_chunk(struct http_chunks *chunks, const char *data, size_t size, size_t *ret_payload)
{
	size_t used = 0;
	while (used < size && chunks->state != CHUNK_DATA && chunks->state != CHUNK_DONE) {
		int r = chunk_frame_byte(chunks, data[used++]);
		if (r < 0)
			return r;
	}

	size_t payload = 0;
	if (chunks->state == CHUNK_DATA) {
		payload = chunks->left < size - used ? (size_t)chunks->left : size - used;
		chunks->left -= payload;
		if (!chunks->left)
			chunks->state = CHUNK_DATA_END;
	}
	*ret_payload = payload;
	return (ssize_t)(used + payload);
}

static const char *status_text(unsigned status)
{
	static const struct {
		unsigned status;
		const char *text;
	} texts[] = {
		{ 200, "OK" },
		{ 400, "Bad Request" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 413, "Content Too Large" },
		{ 415, "Unsupported Media Type" },
		{ 431, "Request Header Fields Too Large" },
		{ 501, "Not Implemented" },
		{ 503, "Service Unavailable" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (texts[i].status == status)
			return texts[i].text;
	return "";
}

int http_put_reply(struct buf *out, const struct http_reply *reply)
{
	char date[64];
	struct tm tm;
	time_t now = time(NULL);
	gmtime_r(&now, &tm);
	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);

	buf_appendf(out, "HTTP/1.1 %u %s\r\nDate: %s\r\nContent-Length: %zu\r\n", reply->status,
	            status_text(reply->status), date, reply->body_size);
	if (reply->content_type)
		buf_appendf(out, "Content-Type: %s\r\n", reply->content_type);
	if (reply->header)
		buf_appendf(out, "%s\r\n", reply->header);
	buf_appendf(out, "Connection: %s\r\n\r\n", reply->keep_alive ? "keep-alive" : "close");
	return buf_append(out, reply->body, reply->body_size);
}
