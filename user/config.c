// SPDX-License-Identifier: Apache-2.0
/* Merges the sources: file, environment, flags, and defaults for what none of them gave. */
#include <errno.h>
#include <string.h>
#include "user/config_internal.h"

const struct config_key *config_find(const struct config_schema *schema, const char *name)
{
	for (const struct config_key *key = schema->keys; key < schema->keys + schema->n_keys; key++)
		if (!strcmp(key->name, name))
			return key;
	return NULL;
}

static struct config_origin *origin_of(struct config_report *report, const struct config_key *key)
{
	return &report->origins[key - report->schema->keys];
}

/* TEXT, YAML in one line, as the rules KEY. */
static int apply_rules_text(struct config_report *report, const struct config_key *key, const char *text,
                            const struct config_origin *origin)
{
	_cleanup_(config_nodes_free) struct config_nodes nodes = { 0 };
	int r = config_yaml_read_value(key->name, text, origin, &nodes, &report->problems);
	*origin_of(report, key) = *origin;
	if (r < 0)
		return r == -EINVAL ? 0 : r;
	return config_rules_apply(report, key, nodes.nodes, nodes.nodes + nodes.n, origin);
}

int config_apply(struct config_report *report, const struct config_key *key, const char *text,
                 const struct config_origin *origin)
{
	if (key->type == CONFIG_RULES)
		return apply_rules_text(report, key, text, origin);
	_cleanup_(buf_free) struct buf reason = BUF_INIT(CONFIG_LINE_MAX);
	int r = config_value_parse(key, text, report->config, &reason);
	*origin_of(report, key) = *origin;
	if (r != -EINVAL)
		return r;
	config_problem(&report->problems, origin, key->name, "%s", buf_text(&reason));
	return 0;
}

static bool begins_section(const char *key, const char *section)
{
	size_t size = strlen(section);
	return !strncmp(key, section, size) && key[size] == '.';
}

static bool is_section(const struct config_schema *schema, const char *name)
{
	for (const struct config_key *key = schema->keys; key < schema->keys + schema->n_keys; key++)
		if (begins_section(key->name, name))
			return true;
	return false;
}

static void unknown_key(struct config_report *report, const char *name, const struct config_origin *origin)
{
	_cleanup_(buf_free) struct buf quoted = BUF_INIT(CONFIG_LINE_MAX);
	const struct config_key *closest = config_closest(report->schema, name);
	config_quote(name, &quoted);
	if (is_section(report->schema, name))
		config_problem(&report->problems, origin, NULL, "%s is a section, its keys are below it",
		               buf_text(&quoted));
	else if (closest)
		config_problem(&report->problems, origin, NULL, "unknown key %s; did you mean \"%s\"?",
		               buf_text(&quoted), closest->name);
	else
		config_problem(&report->problems, origin, NULL, "unknown key %s", buf_text(&quoted));
}

/* NODE and the items behind it become KEY's value. */
static int apply_items(struct config_report *report, const struct config_key *key, const struct config_node *node,
                       const struct config_node *end, const struct config_origin *origin)
{
	struct config_list *value = (struct config_list *)((char *)report->config + key->offset);
	_cleanup_(config_list_free) struct config_list list = { 0 };
	*origin_of(report, key) = *origin;
	for (node++; node < end && config_node_is_within_list(node->kind); node++) {
		_cleanup_(buf_free) struct buf reason = BUF_INIT(CONFIG_LINE_MAX);
		struct config_origin line = { CONFIG_FROM_FILE, .line = node->line, .text = origin->text };
		if (node->kind == CONFIG_NODE_RECORD)
			config_problem(&report->problems, &line, key->name, "a list's items are texts; try [a, b]");
		if (node->kind != CONFIG_NODE_ITEM)
			continue;
		int r = config_text_check(key, node->text, &reason);
		if (r == -EINVAL)
			config_problem(&report->problems, &line, key->name, "%s", buf_text(&reason));
		r = config_list_append(&list, node->text, strlen(node->text));
		if (r == -E2BIG) {
			config_problem(&report->problems, &line, key->name, "has more than %d items", CONFIG_LIST_MAX);
			return 0;
		}
		if (r < 0)
			return r;
	}
	struct config_list old = *value;
	*value = list;
	list = old;
	return 0;
}

static int apply_known(struct config_report *report, const struct config_key *key, const struct config_node *node,
                       const struct config_node *end, const struct config_origin *origin)
{
	static const char *const kinds[] = {
		[CONFIG_NODE_SCALAR] = "text", [CONFIG_NODE_LIST] = "list", [CONFIG_NODE_MAPPING] = "mapping"
	};
	if (key->type == CONFIG_RULES) {
		*origin_of(report, key) = *origin;
		return config_rules_apply(report, key, node, end, origin);
	}
	if (node->kind == CONFIG_NODE_NULL)
		return config_apply(report, key, "", origin);
	if (node->kind == CONFIG_NODE_SCALAR && key->type != CONFIG_LIST)
		return config_apply(report, key, node->text, origin);
	if (node->kind == CONFIG_NODE_LIST && key->type == CONFIG_LIST)
		return apply_items(report, key, node, end, origin);

	_cleanup_(buf_free) struct buf hint = BUF_INIT(CONFIG_LINE_MAX);
	config_expect(key, &hint);
	config_problem(&report->problems, origin, key->name, "takes a %s, not a %s%s", config_type_name(key->type),
	               kinds[node->kind], buf_text(&hint));
	*origin_of(report, key) = *origin;
	return 0;
}

static int apply_node(struct config_report *report, const struct config_node *node, const struct config_node *end,
                      const char *file)
{
	struct config_origin origin = { CONFIG_FROM_FILE, .line = node->line, .text = file };
	const struct config_key *key = config_find(report->schema, node->key);
	bool is_empty = node + 1 == end || !begins_section(node[1].key, node->key);
	bool is_known = is_section(report->schema, node->key);

	if (config_node_is_within_list(node->kind))
		return 0;
	if (key)
		return apply_known(report, key, node, end, &origin);
	/* What stands below an unknown section is told key by key; an empty one has nobody else to tell of it. */
	if (node->kind == CONFIG_NODE_MAPPING && (is_known || !is_empty))
		return 0;
	if (node->kind == CONFIG_NODE_NULL && is_known)
		return 0;
	unknown_key(report, node->key, &origin);
	return 0;
}

static int apply_file(struct config_report *report, const char *file)
{
	_cleanup_(config_nodes_free) struct config_nodes nodes = { 0 };
	int r = config_yaml_read(file, &nodes, &report->problems);
	for (size_t i = 0; r == 0 && i < nodes.n; i++)
		r = apply_node(report, &nodes.nodes[i], nodes.nodes + nodes.n, file);
	return r;
}

static int apply_set(struct config_report *report, const char *set)
{
	struct config_origin origin = { CONFIG_FROM_FLAG, .text = set };
	const char *value = strchr(set, '=');
	if (!value) {
		config_problem(&report->problems, &origin, NULL, "has no value; write --set key=value");
		return 0;
	}
	_cleanup_(freep) char *name = strndup(set, (size_t)(value - set));
	if (!name)
		return -ENOMEM;
	const struct config_key *key = config_find(report->schema, name);
	if (key)
		return config_apply(report, key, value + 1, &origin);
	unknown_key(report, name, &origin);
	return 0;
}

static int apply_defaults(struct config_report *report)
{
	static const struct config_origin origin = { CONFIG_FROM_DEFAULT };
	const struct config_schema *schema = report->schema;
	int r = 0;
	for (const struct config_key *key = schema->keys; r == 0 && key < schema->keys + schema->n_keys; key++)
		if (origin_of(report, key)->source == CONFIG_FROM_DEFAULT)
			r = config_apply(report, key, key->fallback ? key->fallback : "", &origin);
	return r;
}

static int apply_all(struct config_report *report, const struct config_input *input)
{
	/* The other sources' problems are told even where the file cannot be read. */
	int file_error = input->file ? apply_file(report, input->file) : 0;
	int r = input->environment ? config_apply_environment(report, input->environment) : 0;
	for (size_t i = 0; r == 0 && i < input->n_sets; i++)
		r = apply_set(report, input->sets[i]);
	if (r == 0)
		r = apply_defaults(report);
	return r < 0 ? r : file_error;
}

int config_load(const struct config_schema *schema, const struct config_input *input, void *ret_config,
                enum config_source *ret_sources, struct buf *error)
{
	_cleanup_(freep) struct config_origin *origins = calloc(schema->n_keys, sizeof(*origins));
	_cleanup_(freep) void *config = calloc(1, schema->size);
	struct config_report report = { schema, config, origins, { .out = error } };
	if (!origins || !config)
		return -ENOMEM;

	int r = apply_all(&report, input);
	if (r == 0 && !report.problems.n && schema->check)
		schema->check(config, &report);
	config_problems_end(&report.problems);
	if (r == 0 && report.problems.n)
		r = -EINVAL;
	if (r < 0) {
		config_free(schema, config);
		return r;
	}
	memcpy(ret_config, config, schema->size);
	for (size_t i = 0; ret_sources && i < schema->n_keys; i++)
		ret_sources[i] = origins[i].source;
	return 0;
}
