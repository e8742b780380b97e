// SPDX-License-Identifier: Apache-2.0
/*
 * libpcap's parser stops at the first token that cannot be. So the place is where the shortest part of the expression
 * that goes wrong ends, counted in tokens: found by trying beginnings of the expression.
 */
#include <ctype.h>
#include <string.h>
#include "user/cleanup.h"
#include "user/filter_position.h"

/*
 * An unfinished beginning is a syntax error, too. What tells the two apart is a number that libpcap's scanner refuses: the
 * parser comes to it, and says so, only if all before may go on.
 */
#define REFUSED_TOKEN " 99999999999"

struct token {
	size_t begin, end;
};

/* The token at FROM or behind it, about as libpcap's scanner cuts them. False: there is none. */
static bool next_token(const char *text, size_t from, struct token *ret_token)
{
	size_t begin = from + strspn(text + from, " \t\r\n");
	size_t length = strcspn(text + begin, " \t\r\n()[]!<>=&|+-*/%^");
	if (!text[begin])
		return false;
	if (!length) {
		length = 1;
		if (text[begin + 1] && strchr("<>=&|", text[begin]) && strchr("<>=&|", text[begin + 1]))
			length = 2;
	}
	/* A name or a number with dashes, a port range: one token. */
	while (isalnum((unsigned char)text[begin]) && text[begin + length] == '-' &&
	       isalnum((unsigned char)text[begin + length + 1]))
		length += 1 + strcspn(text + begin + length + 1, " \t\r\n()[]!<>=&|+-*/%^");
	*ret_token = (struct token) { begin, begin + length };
	return true;
}

static size_t split(const char *text, struct token *tokens, size_t max)
{
	size_t n = 0, from = 0;
	while (n < max && next_token(text, from, &tokens[n]))
		from = tokens[n++].end;
	return n;
}

/* Whether the first SIZE bytes of EXPRESSION are wrong by themselves, for REASON. */
static bool is_wrong(const char *expression, size_t size, enum link_type link_type, const char *reason)
{
	_cleanup_(buf_free) struct buf part = BUF_INIT(FILTER_TEXT_MAX + 16), said = BUF_INIT(4096);
	bool syntax = strstr(reason, "syntax error");
	buf_append(&part, expression, size);
	if (syntax)
		buf_appendf(&part, REFUSED_TOKEN);
	if (part.error || filter_try(buf_text(&part), link_type, NULL, &said) == 0)
		return false;
	return strcmp(buf_text(&said), reason) == 0;
}

/* The first token with which the expression is wrong; N: none, so it ends too early. */
static size_t find_wrong(const char *expression, const struct token *tokens, size_t n, enum link_type link_type,
                         const char *reason)
{
	size_t good = 0, bad = n + 1; /* so many tokens are not wrong; so many are */
	while (bad - good > 1) {
		size_t middle = good + (bad - good) / 2;
		if (is_wrong(expression, tokens[middle - 1].end, link_type, reason))
			bad = middle;
		else
			good = middle;
	}
	return bad - 1;
}

void filter_explain(const char *expression, enum link_type link_type, const char *reason, struct buf *out)
{
	const size_t max = strlen(expression);
	_cleanup_(freep) struct token *tokens = calloc(max + 1, sizeof(*tokens));
	size_t n = tokens ? split(expression, tokens, max) : 0;

	buf_appendf(out, "%s", reason);
	if (!n)
		return;
	size_t wrong = find_wrong(expression, tokens, n, link_type, reason);
	if (wrong == n) {
		buf_appendf(out, " at the end: something is missing");
		return;
	}
	int length = (int)(tokens[wrong].end - tokens[wrong].begin);
	buf_appendf(out, " at character %zu, \"%.*s\"", tokens[wrong].begin + 1, length < 64 ? length : 64,
	            expression + tokens[wrong].begin);
}
