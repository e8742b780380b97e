// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include "user/log.h"

#define LINE_MAX_BYTES 4096

static _Atomic enum log_level current_level = LOG_INFO;
static _Atomic enum log_format current_format = LOG_LOGFMT;

struct line {
	char text[LINE_MAX_BYTES];
	size_t size;
};

void log_setup(enum log_level level, enum log_format format)
{
	current_level = level;
	current_format = format;
}

enum log_level log_level_get(void)
{
	return current_level;
}

const char *log_text(char *space, size_t size, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(space, size, format, args);
	va_end(args);
	return space;
}

/* Room is kept for the quote, brace and newline that end a line. */
static void put(struct line *line, const char *text, size_t size)
{
	size_t room = sizeof(line->text) - 4 - line->size;
	if (size > room)
		size = room;
	memcpy(line->text + line->size, text, size);
	line->size += size;
}

static void put_text(struct line *line, const char *text)
{
	put(line, text, strlen(text));
}

static void put_quoted(struct line *line, const char *value)
{
	put_text(line, "\"");
	for (; *value; value++) {
		char escaped[8];
		unsigned char c = (unsigned char)*value;
		if (c == '"' || c == '\\')
			snprintf(escaped, sizeof(escaped), "\\%c", c);
		else if (c == '\n')
			snprintf(escaped, sizeof(escaped), "\\n");
		else if (c < 0x20 || c == 0x7f)
			snprintf(escaped, sizeof(escaped), "\\u%04x", c);
		else
			snprintf(escaped, sizeof(escaped), "%c", c);
		/* An escape is written whole or not at all, and none after one that did not fit. */
		if (strlen(escaped) > sizeof(line->text) - 4 - line->size)
			break;
		put_text(line, escaped);
	}
	memcpy(line->text + line->size, "\"", 1);
	line->size++;
}

static bool is_bare(const char *value)
{
	if (!*value)
		return false;
	for (; *value; value++)
		if ((unsigned char)*value <= ' ' || *value == '"' || *value == '=' || *value == '\\' || *value == 0x7f)
			return false;
	return true;
}

static void put_pair(struct line *line, enum log_format format, const char *key, const char *value)
{
	/* A pair is not begun where its quotes could not be closed. */
	if (line->size + strlen(key) + 16 > sizeof(line->text))
		return;
	if (format == LOG_JSON) {
		put_text(line, line->size > 1 ? ",\"" : "\"");
		put_text(line, key);
		put_text(line, "\":");
		put_quoted(line, value);
		return;
	}
	if (line->size)
		put_text(line, " ");
	put_text(line, key);
	put_text(line, "=");
	if (is_bare(value))
		put_text(line, value);
	else
		put_quoted(line, value);
}

void log_write(enum log_level level, const char *message, ...)
{
	static const char *const names[] = { "error", "warn", "info", "debug" };
	if (level > current_level)
		return;

	int saved_errno = errno;
	enum log_format format = current_format;
	struct line line = { .size = 0 };
	struct timespec now;
	struct tm tm;
	char date[32], stamp[48];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(stamp, sizeof(stamp), "%s.%03ldZ", date, now.tv_nsec / 1000000);

	if (format == LOG_JSON)
		put_text(&line, "{");
	put_pair(&line, format, "time", stamp);
	put_pair(&line, format, "level", names[level]);
	put_pair(&line, format, "msg", message);

	va_list args;
	va_start(args, message);
	for (const char *key; (key = va_arg(args, const char *));) {
		const char *value = va_arg(args, const char *);
		if (value)
			put_pair(&line, format, key, value);
	}
	va_end(args);

	if (format == LOG_JSON)
		line.text[line.size++] = '}';
	line.text[line.size++] = '\n';
	/* Nothing is left to tell anybody when stderr does not take it. */
	(void)!write(STDERR_FILENO, line.text, line.size);
	errno = saved_errno;
}
