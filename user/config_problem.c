// SPDX-License-Identifier: Apache-2.0
/* What the user is told when something is wrong with the configuration: one line a problem. */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include "user/config_internal.h"

#define QUOTE_MAX    72 /* bytes of a value that a message shows */
#define PROBLEMS_MAX 50 /* lines; more are only counted */

/* The end of "user:password@" in what follows "://", or TEXT where there is none. */
static const char *skip_userinfo(const char *text)
{
	size_t authority = strcspn(text, "/?#");
	const char *at = memrchr(text, '@', authority);
	return at ? at : text;
}

void config_escape(const char *text, struct buf *out)
{
	const char *start = text;
	for (size_t shown = 0; *text; text++, shown++) {
		unsigned char c = (unsigned char)*text;
		/* Not cut within a character of UTF-8. */
		if (shown >= QUOTE_MAX && (c & 0xc0) != 0x80) {
			buf_appendf(out, "...");
			return;
		}
		if (text - start >= 3 && !memcmp(text - 3, "://", 3)) {
			const char *host = skip_userinfo(text);
			if (host != text) {
				buf_appendf(out, "***@");
				text = host;
				continue;
			}
		}
		if (c == '"' || c == '\\')
			buf_appendf(out, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			buf_appendf(out, "\\x%02x", c);
		else
			buf_append(out, text, 1);
	}
}

void config_quote(const char *text, struct buf *out)
{
	buf_append(out, "\"", 1);
	config_escape(text, out);
	buf_append(out, "\"", 1);
}

static void put_origin(const struct config_origin *origin, struct buf *line)
{
	switch (origin->source) {
	case CONFIG_FROM_DEFAULT:
		break;
	case CONFIG_FROM_FILE:
		buf_appendf(line, "%s:", origin->text);
		if (origin->line)
			buf_appendf(line, "%u:", origin->line);
		buf_append(line, " ", 1);
		break;
	case CONFIG_FROM_ENVIRONMENT:
		buf_append(line, origin->text, strcspn(origin->text, "="));
		buf_appendf(line, ": ");
		break;
	case CONFIG_FROM_FLAG:
		buf_appendf(line, "--set ");
		config_escape(origin->text, line);
		buf_appendf(line, ": ");
		break;
	}
}

/* Built beside OUT, so that a line gets there whole or not at all. */
static void put_line(struct config_problems *problems, const struct config_origin *origin, const char *key,
                     const char *reason)
{
	_cleanup_(buf_free) struct buf line = BUF_INIT(CONFIG_LINE_MAX);
	if (++problems->n > PROBLEMS_MAX)
		return;
	put_origin(origin, &line);
	if (key) {
		config_escape(key, &line);
		buf_appendf(&line, ": ");
	}
	buf_appendf(&line, "%s\n", reason);
	buf_append(problems->out, buf_text(&line), line.size);
}

void config_vproblem(struct config_problems *problems, const struct config_origin *origin, const char *key,
                     const char *format, va_list args)
{
	_cleanup_(buf_free) struct buf reason = BUF_INIT(CONFIG_LINE_MAX);
	buf_vappendf(&reason, format, args);
	put_line(problems, origin, key, buf_text(&reason));
}

void config_problem(struct config_problems *problems, const struct config_origin *origin, const char *key,
                    const char *format, ...)
{
	va_list args;
	va_start(args, format);
	config_vproblem(problems, origin, key, format, args);
	va_end(args);
}

void config_problems_end(struct config_problems *problems)
{
	if (problems->n > PROBLEMS_MAX)
		buf_appendf(problems->out, "and %zu more problems\n", problems->n - PROBLEMS_MAX);
}

static void put_value(const struct config_report *report, const struct config_key *key, struct buf *line)
{
	_cleanup_(buf_free) struct buf value = BUF_INIT(CONFIG_LINE_MAX);
	config_format(report->schema, key, report->config, &value);
	config_quote(buf_text(&value), line);
}

void config_conflict(struct config_report *report, const char *key_name, const char *other_name, const char *format,
                     ...)
{
	_cleanup_(buf_free) struct buf reason = BUF_INIT(CONFIG_LINE_MAX);
	const struct config_key *key = config_find(report->schema, key_name);
	const struct config_key *other = other_name ? config_find(report->schema, other_name) : NULL;
	const struct config_origin *origin = &report->origins[key - report->schema->keys];
	if (other && origin->source == CONFIG_FROM_DEFAULT)
		origin = &report->origins[other - report->schema->keys];

	put_value(report, key, &reason);
	buf_append(&reason, " ", 1);
	va_list args;
	va_start(args, format);
	buf_vappendf(&reason, format, args);
	va_end(args);
	if (other) {
		buf_appendf(&reason, " (%s is ", other_name);
		put_value(report, other, &reason);
		buf_append(&reason, ")", 1);
	}
	put_line(&report->problems, origin, key_name, buf_text(&reason));
}

/* One letter for all ways to spell it. */
static char fold(char c)
{
	return c == '_' ? '.' : (char)tolower((unsigned char)c);
}

/* Levenshtein's distance, by rows of his matrix; both texts are shorter than CONFIG_NAME_MAX. */
static size_t edit_distance(const char *a, const char *b)
{
	size_t row[CONFIG_NAME_MAX + 1];
	size_t width = strlen(b);
	for (size_t j = 0; j <= width; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= width; j++) {
			size_t above = row[j];
			size_t best = diagonal + (fold(a[i - 1]) != fold(b[j - 1]));
			if (above + 1 < best)
				best = above + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
			diagonal = above;
		}
	}
	return row[width];
}

const struct config_key *config_closest(const struct config_schema *schema, const char *name)
{
	const struct config_key *closest = NULL;
	/* Typing errors are few, and seldom in the first letter; what differs more is another word. */
	size_t distance = strlen(name) < 5 ? 2 : 3;
	if (strlen(name) >= CONFIG_NAME_MAX)
		return NULL;
	for (const struct config_key *key = schema->keys; key < schema->keys + schema->n_keys; key++) {
		size_t d = fold(*key->name) == fold(*name) ? edit_distance(name, key->name) : SIZE_MAX;
		if (d < distance) {
			closest = key;
			distance = d;
		}
	}
	return closest;
}
