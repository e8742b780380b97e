// SPDX-License-Identifier: Apache-2.0
/*
 * YAML, a file or the value of one key: libyaml's events as a flat sequence of dotted keys with line numbers. Knows nothing
 * of the keys' meaning.
 */
#include <errno.h>
#include <string.h>
#include <yaml.h>
#include "user/config_internal.h"

struct reader {
	yaml_parser_t parser;
	struct config_origin origin; /* of the text as a whole */
	const char *key;             /* whose value the text is; NULL: a file */
	struct config_nodes *nodes;
	struct config_problems *problems;
};

void config_nodes_free(struct config_nodes *nodes)
{
	for (size_t i = 0; i < nodes->n; i++) {
		free(nodes->nodes[i].key);
		free(nodes->nodes[i].text);
	}
	free(nodes->nodes);
	*nodes = (struct config_nodes) { 0 };
}

static unsigned line_of(const yaml_event_t *event)
{
	return (unsigned)event->start_mark.line + 1;
}

/* Tells what is wrong where EVENT stands. Always -EINVAL, for those who stop there; the others go on. */
_printf_(4, 5) static int tell(const struct reader *reader, const yaml_event_t *event, const char *key,
                               const char *format, ...)
{
	struct config_origin origin = reader->origin;
	va_list args;
	origin.line = line_of(event);
	va_start(args, format);
	config_vproblem(reader->problems, &origin, key, format, args);
	va_end(args);
	return -EINVAL;
}

static int syntax_error(struct reader *reader)
{
	const yaml_parser_t *parser = &reader->parser;
	if (parser->error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	struct config_origin origin = reader->origin;
	if (parser->error != YAML_READER_ERROR)
		origin.line = (unsigned)parser->problem_mark.line + 1;
	config_problem(reader->problems, &origin, reader->key, "this is not YAML: %s%s%s", parser->problem,
	               parser->context ? " " : "", parser->context ? parser->context : "");
	return -EINVAL;
}

/* Release EVENT with yaml_event_delete. */
static int next_event(struct reader *reader, yaml_event_t *event)
{
	return yaml_parser_parse(&reader->parser, event) ? 0 : syntax_error(reader);
}

static bool is_null(const yaml_event_t *event)
{
	static const char *const nulls[] = { "", "~", "null", "Null", "NULL" };
	for (size_t i = 0; i < ARRAY_SIZE(nulls); i++)
		if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
		    !strcmp((const char *)event->data.scalar.value, nulls[i]))
			return true;
	return false;
}

static bool is_repeated(const struct reader *reader, const char *key, const yaml_event_t *event)
{
	for (size_t i = 0; i < reader->nodes->n; i++) {
		const struct config_node *node = &reader->nodes->nodes[i];
		if (!config_node_is_within_list(node->kind) && !strcmp(node->key, key)) {
			tell(reader, event, key, "was set before, on line %u; keep one", node->line);
			return true;
		}
	}
	return false;
}

static int add_node(struct reader *reader, const yaml_event_t *event, const char *key, enum config_node_kind kind)
{
	struct config_nodes *nodes = reader->nodes;
	bool has_text = kind == CONFIG_NODE_SCALAR || kind == CONFIG_NODE_ITEM || kind == CONFIG_NODE_FIELD;
	if (nodes->n >= CONFIG_NODES_MAX)
		return tell(reader, event, NULL, "more than %d keys and list items", CONFIG_NODES_MAX);
	if (has_text && strlen((const char *)event->data.scalar.value) != event->data.scalar.length) {
		tell(reader, event, key, "has a NUL character");
		return 0;
	}
	if (!config_node_is_within_list(kind) && is_repeated(reader, key, event))
		return 0;

	_cleanup_(freep) char *key_copy = strdup(key);
	_cleanup_(freep) char *text = has_text ? strdup((const char *)event->data.scalar.value) : NULL;
	struct config_node *grown = reallocarray(nodes->nodes, nodes->n + 1, sizeof(*grown));
	if (grown)
		nodes->nodes = grown;
	if (!grown || !key_copy || (has_text && !text))
		return -ENOMEM;
	nodes->nodes[nodes->n++] = (struct config_node) { TAKE_PTR(key_copy), TAKE_PTR(text), line_of(event), kind };
	return 0;
}

static void refuse_decoration(struct reader *reader, const yaml_event_t *event, const char *key,
                              const yaml_char_t *anchor, const yaml_char_t *tag)
{
	if (anchor)
		tell(reader, event, key, "anchors (&%.32s) are not supported; write the value out where it is used",
		     anchor);
	if (tag)
		tell(reader, event, key, "tags (%.32s) are not supported; write the value alone", tag);
}

/* Reads to the end of the collection that EVENT began. */
static int skip_collection(struct reader *reader)
{
	for (int depth = 1; depth;) {
		_cleanup_(yaml_event_delete) yaml_event_t event = { 0 };
		int r = next_event(reader, &event);
		if (r < 0)
			return r;
		if (event.type == YAML_SEQUENCE_START_EVENT || event.type == YAML_MAPPING_START_EVENT)
			depth++;
		if (event.type == YAML_SEQUENCE_END_EVENT || event.type == YAML_MAPPING_END_EVENT)
			depth--;
	}
	return 0;
}

/* A field NAME of an item of list KEY. */
static int read_field(struct reader *reader, const char *key, const yaml_event_t *name)
{
	_cleanup_(yaml_event_delete) yaml_event_t value = { 0 };
	int r = next_event(reader, &value);
	if (r < 0)
		return r;
	if (name->type != YAML_SCALAR_EVENT)
		return tell(reader, name, key, "the name of an item's field is a plain word");
	if (value.type != YAML_SCALAR_EVENT) {
		tell(reader, &value, key, "%.32s takes a text", name->data.scalar.value);
		return value.type == YAML_ALIAS_EVENT ? 0 : skip_collection(reader);
	}
	refuse_decoration(reader, &value, key, value.data.scalar.anchor, value.data.scalar.tag);
	return add_node(reader, &value, (const char *)name->data.scalar.value, CONFIG_NODE_FIELD);
}

/* An item of list KEY, begun by EVENT, that is a mapping: of texts, no deeper. */
static int read_record(struct reader *reader, const char *key, const yaml_event_t *event)
{
	refuse_decoration(reader, event, key, event->data.mapping_start.anchor, event->data.mapping_start.tag);
	int r = add_node(reader, event, key, CONFIG_NODE_RECORD);
	while (r == 0) {
		_cleanup_(yaml_event_delete) yaml_event_t name = { 0 };
		r = next_event(reader, &name);
		if (r < 0 || name.type == YAML_MAPPING_END_EVENT)
			return r;
		r = read_field(reader, key, &name);
	}
	return r;
}

static int read_list(struct reader *reader, const char *key)
{
	for (;;) {
		_cleanup_(yaml_event_delete) yaml_event_t event = { 0 };
		int r = next_event(reader, &event);
		if (r < 0 || event.type == YAML_SEQUENCE_END_EVENT)
			return r;
		if (event.type == YAML_MAPPING_START_EVENT) {
			r = read_record(reader, key, &event);
		} else if (event.type != YAML_SCALAR_EVENT) {
			tell(reader, &event, key, "an item is neither a text nor a mapping");
			if (event.type != YAML_ALIAS_EVENT)
				r = skip_collection(reader);
		} else if (is_null(&event)) {
			tell(reader, &event, key, "an item is empty; take it out, or write \"\"");
		} else {
			refuse_decoration(reader, &event, key, event.data.scalar.anchor, event.data.scalar.tag);
			r = add_node(reader, &event, key, CONFIG_NODE_ITEM);
		}
		if (r < 0)
			return r;
	}
}

static int read_mapping(struct reader *reader, const char *path, int depth);

/* The value EVENT of KEY. */
static int read_value(struct reader *reader, const yaml_event_t *event, const char *key, int depth)
{
	int r;
	switch (event->type) {
	case YAML_ALIAS_EVENT:
		tell(reader, event, key, "aliases (*%.32s) are not supported; write the value out",
		     event->data.alias.anchor);
		return 0;
	case YAML_SCALAR_EVENT:
		refuse_decoration(reader, event, key, event->data.scalar.anchor, event->data.scalar.tag);
		return add_node(reader, event, key, is_null(event) ? CONFIG_NODE_NULL : CONFIG_NODE_SCALAR);
	case YAML_SEQUENCE_START_EVENT:
		refuse_decoration(reader, event, key, event->data.sequence_start.anchor,
		                  event->data.sequence_start.tag);
		r = add_node(reader, event, key, CONFIG_NODE_LIST);
		return r < 0 ? r : read_list(reader, key);
	case YAML_MAPPING_START_EVENT:
		refuse_decoration(reader, event, key, event->data.mapping_start.anchor, event->data.mapping_start.tag);
		if (depth == CONFIG_DEPTH_MAX)
			return tell(reader, event, key, "nested deeper than %d levels", CONFIG_DEPTH_MAX);
		r = add_node(reader, event, key, CONFIG_NODE_MAPPING);
		return r < 0 ? r : read_mapping(reader, key, depth + 1);
	default:
		return tell(reader, event, key, "a value is expected here");
	}
}

static int read_mapping(struct reader *reader, const char *path, int depth)
{
	for (;;) {
		_cleanup_(yaml_event_delete) yaml_event_t name = { 0 }, value = { 0 };
		char key[CONFIG_NAME_MAX];
		int r = next_event(reader, &name);
		if (r < 0 || name.type == YAML_MAPPING_END_EVENT)
			return r;
		if (name.type != YAML_SCALAR_EVENT)
			return tell(reader, &name, path, "a key is a plain name, such as \"log\"");
		const char *text = (const char *)name.data.scalar.value;
		int size = snprintf(key, sizeof(key), "%s%s%s", path ? path : "", path ? "." : "", text);
		if (size >= CONFIG_NAME_MAX || strlen(text) != name.data.scalar.length)
			return tell(reader, &name, path, "a key is a plain name of less than %d characters",
			            CONFIG_NAME_MAX);
		if (strchr(text, '.'))
			tell(reader, &name, key,
			     "in a file, keys are nested: \"flows: { max: 1000 }\", not \"flows.max: 1000\"");
		refuse_decoration(reader, &name, key, name.data.scalar.anchor, name.data.scalar.tag);

		r = next_event(reader, &value);
		if (r == 0)
			r = read_value(reader, &value, key, depth);
		if (r < 0)
			return r;
	}
}

/* The document's root, EVENT: nothing, or a mapping. */
static int read_root(struct reader *reader, const yaml_event_t *event)
{
	if (event->type == YAML_SCALAR_EVENT && is_null(event))
		return 0;
	if (event->type != YAML_MAPPING_START_EVENT)
		return tell(reader, event, NULL, "the file is not a mapping of keys, such as \"log: { level: info }\"");
	refuse_decoration(reader, event, NULL, event->data.mapping_start.anchor, event->data.mapping_start.tag);
	return read_mapping(reader, NULL, 1);
}

static int read_stream(struct reader *reader)
{
	bool seen = false;
	for (;;) {
		_cleanup_(yaml_event_delete) yaml_event_t event = { 0 };
		int r = next_event(reader, &event);
		if (r < 0 || event.type == YAML_STREAM_END_EVENT)
			return r;
		switch (event.type) {
		case YAML_DOCUMENT_START_EVENT:
			if (seen)
				return tell(reader, &event, NULL, "a second document begins here; one is read");
			seen = true;
			break;
		case YAML_STREAM_START_EVENT:
		case YAML_DOCUMENT_END_EVENT:
			break;
		default:
			r = reader->key ? read_value(reader, &event, reader->key, 1) : read_root(reader, &event);
			if (r < 0)
				return r;
		}
	}
}

static int read_text(const char *file, struct buf *text, struct config_problems *problems)
{
	struct config_origin origin = { CONFIG_FROM_FILE, .text = file };
	_cleanup_(fclosep) FILE *stream = fopen(file, "re");
	size_t size = stream ? SIZE_MAX : 0;
	while (size) {
		void *space;
		int r = buf_reserve(text, 16384, &space);
		if (r < 0)
			return r;
		size = fread(space, 1, 16384, stream);
		buf_commit(text, size);
		if (text->size > CONFIG_FILE_MAX) {
			config_problem(problems, &origin, NULL, "larger than 1 MiB; is it the right file?");
			return -EFBIG;
		}
	}
	if (!stream || ferror(stream)) {
		int r = -errno;
		config_problem(problems, &origin, NULL, "cannot be read: %s", strerrordesc_np(-r));
		return r;
	}
	return 0;
}

static int read_nodes(struct reader *reader, const char *text, size_t size, struct config_nodes *ret_nodes)
{
	_cleanup_(config_nodes_free) struct config_nodes nodes = { 0 };
	reader->nodes = &nodes;
	if (!yaml_parser_initialize(&reader->parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&reader->parser, (const unsigned char *)text, size);
	int r = read_stream(reader);
	yaml_parser_delete(&reader->parser);
	if (r < 0)
		return r;
	*ret_nodes = nodes;
	nodes = (struct config_nodes) { 0 };
	return 0;
}

int config_yaml_read(const char *file, struct config_nodes *ret_nodes, struct config_problems *problems)
{
	_cleanup_(buf_free) struct buf text = BUF_INIT(CONFIG_FILE_MAX + 16384);
	struct reader reader = { .origin = { CONFIG_FROM_FILE, .text = file }, .problems = problems };
	int r = read_text(file, &text, problems);
	return r < 0 ? r : read_nodes(&reader, buf_text(&text), text.size, ret_nodes);
}

int config_yaml_read_value(const char *key, const char *text, const struct config_origin *origin,
                           struct config_nodes *ret_nodes, struct config_problems *problems)
{
	struct reader reader = { .origin = *origin, .key = key, .problems = problems };
	return read_nodes(&reader, text, strlen(text), ret_nodes);
}
