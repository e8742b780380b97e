// SPDX-License-Identifier: Apache-2.0
/* Lists in one line of text: [a, "b,c"], or a,b. Quotes are for items with commas, spaces at their ends, or nothing. */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include "user/config_internal.h"

void config_list_free(struct config_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct config_list) { 0 };
}

int config_list_append(struct config_list *list, const char *text, size_t size)
{
	if (list->n >= CONFIG_LIST_MAX)
		return -E2BIG;
	_cleanup_(freep) char *item = strndup(text, size);
	char **items = reallocarray(list->items, list->n + 1, sizeof(*items));
	if (items)
		list->items = items;
	if (!item || !items)
		return -ENOMEM;
	list->items[list->n++] = TAKE_PTR(item);
	return 0;
}

static const char *skip_space(const char *text, const char *end)
{
	while (text < end && isspace((unsigned char)*text))
		text++;
	return text;
}

/* From behind the opening quote to behind the closing one; NULL: there is none, or a wrong escape. */
static const char *read_quoted(const char *text, const char *end, struct buf *item)
{
	for (; text < end && *text != '"'; text++) {
		if (*text == '\\') {
			text++;
			if (text == end || (*text != '"' && *text != '\\'))
				return NULL;
		}
		buf_append(item, text, 1);
	}
	return text < end ? text + 1 : NULL;
}

static const char *read_bare(const char *text, const char *end, struct buf *item)
{
	const char *comma = memchr(text, ',', (size_t)(end - text));
	const char *stop = comma ? comma : end;
	const char *last = stop;
	while (last > text && isspace((unsigned char)last[-1]))
		last--;
	buf_append(item, text, (size_t)(last - text));
	return stop;
}

/* One item from *TEXT on, which is left at the comma behind it, or at END. */
static int read_item(const char **text, const char *end, struct config_list *list, struct buf *reason)
{
	_cleanup_(buf_free) struct buf item = BUF_INIT((size_t)(end - *text));
	const char *start = skip_space(*text, end), *stop;
	if (start < end && *start == '"') {
		stop = read_quoted(start + 1, end, &item);
		if (!stop) {
			buf_appendf(reason, "has an item that begins with a quote and does not end with one "
			                    "(in quotes, write \\\" and \\\\)");
			return -EINVAL;
		}
		stop = skip_space(stop, end);
		if (stop < end && *stop != ',') {
			buf_appendf(reason, "lacks a comma after a quoted item");
			return -EINVAL;
		}
	} else {
		stop = read_bare(start, end, &item);
		if (stop == start) {
			buf_appendf(reason, "has an empty item; try [a, \"b,c\"]");
			return -EINVAL;
		}
	}
	if (item.error)
		return item.error;
	*text = stop;
	int r = config_list_append(list, buf_text(&item), item.size);
	if (r == -E2BIG) {
		buf_appendf(reason, "has more than %d items", CONFIG_LIST_MAX);
		return -EINVAL;
	}
	return r;
}

int config_list_parse(const char *text, struct config_list *ret_list, struct buf *reason)
{
	_cleanup_(config_list_free) struct config_list list = { 0 };
	const char *end = text + strlen(text);
	text = skip_space(text, end);
	while (end > text && isspace((unsigned char)end[-1]))
		end--;

	if (text < end && *text == '[') {
		if (end[-1] != ']' || end - text < 2) {
			buf_appendf(reason, "begins with [ and does not end with ]; "
			                    "put an item that begins with [ in double quotes");
			return -EINVAL;
		}
		text = skip_space(text + 1, --end);
	}
	while (text < end) {
		int r = read_item(&text, end, &list, reason);
		if (r < 0)
			return r;
		/* A comma with nothing behind it announces an item that is not there: read_item refuses it. */
		if (text < end && ++text == end)
			return read_item(&text, end, &list, reason);
	}
	*ret_list = list;
	list = (struct config_list) { 0 };
	return 0;
}

static bool needs_quotes(const char *item)
{
	size_t size = strlen(item);
	return !size || strpbrk(item, ",\"") || *item == '[' || isspace((unsigned char)*item) ||
	       isspace((unsigned char)item[size - 1]);
}

int config_list_format(const struct config_list *list, struct buf *out)
{
	buf_append(out, "[", 1);
	for (size_t i = 0; i < list->n; i++) {
		const char *item = list->items[i];
		if (i)
			buf_append(out, ", ", 2);
		if (!needs_quotes(item)) {
			buf_append(out, item, strlen(item));
			continue;
		}
		buf_append(out, "\"", 1);
		for (; *item; item++)
			buf_appendf(out, *item == '"' || *item == '\\' ? "\\%c" : "%c", *item);
		buf_append(out, "\"", 1);
	}
	return buf_append(out, "]", 1);
}
