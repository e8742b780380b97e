// SPDX-License-Identifier: Apache-2.0
/* Rules, {match: GLOB, action: CHOICE}, from YAML's nodes and back. */
#include <errno.h>
#include <string.h>
#include "user/config_internal.h"

void config_rules_free(struct config_rules *rules)
{
	for (size_t i = 0; i < rules->n; i++)
		free(rules->items[i].match);
	free(rules->items);
	*rules = (struct config_rules) { 0 };
}

bool config_rules_equal(const struct config_rules *a, const struct config_rules *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (a->items[i].action != b->items[i].action || strcmp(a->items[i].match, b->items[i].match))
			return false;
	return true;
}

int config_rules_format(const struct config_key *key, const struct config_rules *rules, struct buf *out)
{
	buf_append(out, "[", 1);
	for (size_t i = 0; i < rules->n; i++) {
		buf_appendf(out, "%s{match: \"", i ? ", " : "");
		for (const char *c = rules->items[i].match; *c; c++)
			buf_appendf(out, *c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
		buf_appendf(out, "\", action: %s}", key->choices[rules->items[i].action]);
	}
	return buf_append(out, "]", 1);
}

/* What a rule is made from, and where to tell of it. */
struct reading {
	struct config_report *report;
	const struct config_key *key;
	const struct config_origin *origin; /* of the whole list */
	const struct config_node *record;
	const struct config_node *match, *action; /* NULL: not there */
	bool wrong;
};

_printf_(3, 4) static void tell(struct reading *reading, const struct config_node *node, const char *format, ...)
{
	struct config_origin origin = *reading->origin;
	va_list args;
	origin.line = node->line;
	va_start(args, format);
	config_vproblem(&reading->report->problems, &origin, reading->key->name, format, args);
	va_end(args);
	reading->wrong = true;
}

static void take_field(struct reading *reading, const struct config_node *node)
{
	_cleanup_(buf_free) struct buf name = BUF_INIT(CONFIG_LINE_MAX);
	const struct config_node **field = !strcmp(node->key, "match")    ? &reading->match
	                                   : !strcmp(node->key, "action") ? &reading->action
	                                                                  : NULL;
	config_quote(node->key, &name);
	if (!field)
		tell(reading, node, "a rule has match and action, no %s", buf_text(&name));
	else if (*field)
		tell(reading, node, "a rule has %s twice; keep one", node->key);
	else
		*field = node;
}

/* Appends the rule whose fields were taken. 0, told or not, or -ENOMEM. */
static int add_rule(struct reading *reading, struct config_rules *rules)
{
	_cleanup_(buf_free) struct buf match = BUF_INIT(CONFIG_LINE_MAX), action = BUF_INIT(CONFIG_LINE_MAX);
	struct config_rule rule;

	if (!reading->match)
		tell(reading, reading->record, "a rule lacks its match; try {match: \"a*\", action: %s}",
		     reading->key->choices[0]);
	else if (config_text_check(reading->key, reading->match->text, &match) < 0)
		tell(reading, reading->match, "%s", buf_text(&match));
	if (!reading->action)
		tell(reading, reading->record, "a rule lacks its action; try {match: \"a*\", action: %s}",
		     reading->key->choices[0]);
	else if (config_choice_parse(reading->key, reading->action->text, &rule.action, &action) < 0)
		tell(reading, reading->action, "%s", buf_text(&action));
	if (!reading->wrong && rules->n == CONFIG_LIST_MAX)
		tell(reading, reading->record, "has more than %d rules", CONFIG_LIST_MAX);
	if (reading->wrong)
		return 0;

	struct config_rule *items = reallocarray(rules->items, rules->n + 1, sizeof(*items));
	if (items)
		rules->items = items;
	rule.match = strdup(reading->match->text);
	if (!items || !rule.match) {
		free(rule.match);
		return -ENOMEM;
	}
	rules->items[rules->n++] = rule;
	return 0;
}

int config_rules_apply(struct config_report *report, const struct config_key *key, const struct config_node *node,
                       const struct config_node *end, const struct config_origin *origin)
{
	_cleanup_(config_rules_free) struct config_rules rules = { 0 };
	struct config_rules *value = (struct config_rules *)((char *)report->config + key->offset);
	struct reading whole = { report, key, origin };
	_cleanup_(buf_free) struct buf hint = BUF_INIT(CONFIG_LINE_MAX);

	config_expect(key, &hint);
	if (node < end && node->kind != CONFIG_NODE_LIST && node->kind != CONFIG_NODE_NULL) {
		tell(&whole, node, "takes a list of rules%s", buf_text(&hint));
		return 0;
	}
	for (node = node < end ? node + 1 : end; node < end && config_node_is_within_list(node->kind);) {
		struct reading reading = { report, key, origin, .record = node };
		if (node->kind == CONFIG_NODE_ITEM) {
			_cleanup_(buf_free) struct buf text = BUF_INIT(CONFIG_LINE_MAX);
			config_quote(node->text, &text);
			tell(&reading, node++, "%s is no rule%s", buf_text(&text), buf_text(&hint));
			continue;
		}
		for (node++; node < end && node->kind == CONFIG_NODE_FIELD; node++)
			take_field(&reading, node);
		int r = add_rule(&reading, &rules);
		if (r < 0)
			return r;
	}
	struct config_rules old = *value;
	*value = rules;
	rules = old;
	return 0;
}
