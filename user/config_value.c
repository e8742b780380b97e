// SPDX-License-Identifier: Apache-2.0
/* Values from text and back, per type. */
#include <errno.h>
#include <string.h>
#include "user/config_internal.h"

struct unit {
	const char *name;
	uint64_t factor;
};

/* Largest first: formatting takes the first that divides. */
static const struct unit count_units[] = { { "", 1 }, { NULL, 0 } };
static const struct unit byte_units[] = { { "TiB", 1ULL << 40 },
	                                  { "GiB", 1ULL << 30 },
	                                  { "MiB", 1ULL << 20 },
	                                  { "KiB", 1ULL << 10 },
	                                  { "", 1 },
	                                  { NULL, 0 } };
static const struct unit duration_units[] = {
	{ "d", 86400000000000 }, { "h", 3600000000000 }, { "m", 60000000000 }, { "s", 1000000000 },
	{ "ms", 1000000 },       { "us", 1000 },         { "ns", 1 },          { NULL, 0 }
};

static const struct {
	const char *name;  /* "takes a %s" */
	const char *wrong; /* "... is not %s" */
	const struct unit *units;
	size_t size;
} types[] = {
	[CONFIG_BOOL] = { "boolean", "a boolean", NULL, sizeof(bool) },
	[CONFIG_STRING] = { "text", "a text", NULL, sizeof(char *) },
	[CONFIG_COUNT] = { "count", "a count", count_units, sizeof(uint64_t) },
	[CONFIG_BYTES] = { "size", "a size (such as 512, 64KiB, 16MiB, 1GiB)", byte_units, sizeof(uint64_t) },
	[CONFIG_DURATION] = { "duration", "a duration (such as 500ms, 10s, 5m, 1h)", duration_units, sizeof(uint64_t) },
	[CONFIG_ENUM] = { "choice", "a choice", NULL, sizeof(int) },
	[CONFIG_LIST] = { "list", "a list", NULL, sizeof(struct config_list) },
	[CONFIG_RULES] = { "rules", "a list of rules", NULL, sizeof(struct config_rules) },
};

const char *config_type_name(enum config_type type)
{
	return types[type].name;
}

static void *member(const struct config_key *key, void *config)
{
	return (char *)config + key->offset;
}

static const void *member_const(const struct config_key *key, const void *config)
{
	return (const char *)config + key->offset;
}

static void number_format(uint64_t number, const struct unit *units, struct buf *out)
{
	if (!number) {
		buf_append(out, "0", 1);
		return;
	}
	while (number % units->factor)
		units++;
	buf_appendf(out, "%llu%s", (unsigned long long)(number / units->factor), units->name);
}

static void expect_choice(const struct config_key *key, struct buf *out)
{
	for (const char *const *choice = key->choices; *choice; choice++)
		buf_appendf(out, "%s%s", choice == key->choices ? "; try " : choice[1] ? ", " : " or ", *choice);
}

void config_expect(const struct config_key *key, struct buf *out)
{
	const struct unit *units = types[key->type].units;
	if (key->type == CONFIG_BOOL) {
		buf_appendf(out, "; try true or false (as in YAML 1.2; yes, no, on and off are only text)");
	} else if (key->type == CONFIG_LIST) {
		buf_appendf(out, "; try [a, b]");
	} else if (key->type == CONFIG_RULES) {
		buf_appendf(out, "; try [{match: \"a*\", action: %s}]", key->choices[0]);
	} else if (key->type == CONFIG_ENUM) {
		expect_choice(key, out);
	} else if (units) {
		buf_appendf(out, "; try %s (", key->fallback);
		number_format(key->min, units, out);
		if (key->max == UINT64_MAX) {
			buf_appendf(out, " or more)");
			return;
		}
		buf_appendf(out, " to ");
		number_format(key->max, units, out);
		buf_appendf(out, ")");
	}
}

/* "10" is no duration, and "1 s", "+1s", "01s" and "1.5s" are not either. -EINVAL, -ERANGE: beyond 64 bits. */
static int number_parse(const char *text, const struct unit *units, uint64_t *ret_number)
{
	size_t digits = strspn(text, "0123456789");
	if (!digits || (digits > 1 && *text == '0'))
		return -EINVAL;
	errno = 0;
	uint64_t number = strtoull(text, NULL, 10);
	bool overflow = errno == ERANGE;
	text += digits;
	if (number || *text) {
		while (units->name && strcmp(units->name, text))
			units++;
		if (!units->name)
			return -EINVAL;
		if (overflow || __builtin_mul_overflow(number, units->factor, &number))
			return -ERANGE;
	}
	*ret_number = number;
	return 0;
}

static int set_number(const struct config_key *key, const char *text, uint64_t *ret_number, struct buf *reason)
{
	uint64_t number = 0;
	int r = number_parse(text, types[key->type].units, &number);
	if (r == 0 && number >= key->min && number <= key->max) {
		*ret_number = number;
		return 0;
	}
	config_quote(text, reason);
	if (r == -ERANGE || (r == 0 && number > key->max))
		buf_appendf(reason, " is too much");
	else if (r == 0)
		buf_appendf(reason, " is too little");
	else if (key->type == CONFIG_DURATION && *text && !text[strspn(text, "0123456789")])
		buf_appendf(reason, " has no unit (ns, us, ms, s, m, h, d)");
	else
		buf_appendf(reason, " is not %s", types[key->type].wrong);
	config_expect(key, reason);
	return -EINVAL;
}

int config_choice_parse(const struct config_key *key, const char *text, int *ret_choice, struct buf *reason)
{
	for (int i = 0; key->choices[i]; i++) {
		if (!strcmp(key->choices[i], text)) {
			*ret_choice = i;
			return 0;
		}
	}
	config_quote(text, reason);
	buf_appendf(reason, " is not a choice");
	expect_choice(key, reason);
	return -EINVAL;
}

static int set_bool(const struct config_key *key, const char *text, bool *ret_value, struct buf *reason)
{
	if (strcmp(text, "true") && strcmp(text, "false")) {
		config_quote(text, reason);
		buf_appendf(reason, " is not a boolean");
		config_expect(key, reason);
		return -EINVAL;
	}
	*ret_value = *text == 't';
	return 0;
}

int config_text_check(const struct config_key *key, const char *text, struct buf *reason)
{
	size_t max = key->max ? key->max : CONFIG_TEXT_MAX;
	config_quote(text, reason);
	if (strlen(text) > max) {
		buf_appendf(reason, " is too long; up to %zu characters", max);
		return -EINVAL;
	}
	for (const char *c = text; *c; c++) {
		if (((unsigned char)*c < 0x20 || *c == 0x7f) && !(key->lines && strchr("\n\t", *c))) {
			buf_appendf(reason, " has a control character");
			return -EINVAL;
		}
	}
	buf_append(reason, " ", 1);
	int r = key->check ? key->check(text, reason) : 0;
	if (r == 0)
		buf_reset(reason);
	return r;
}

static int set_string(const struct config_key *key, const char *text, char **value, struct buf *reason)
{
	int r = config_text_check(key, text, reason);
	if (r < 0)
		return r;
	char *copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	free(*value);
	*value = copy;
	return 0;
}

static int set_list(const struct config_key *key, const char *text, struct config_list *value, struct buf *reason)
{
	_cleanup_(config_list_free) struct config_list list = { 0 };
	_cleanup_(buf_free) struct buf wrong = BUF_INIT(CONFIG_LINE_MAX);
	int r = config_list_parse(text, &list, &wrong);
	if (r == -EINVAL) {
		config_quote(text, reason);
		buf_appendf(reason, " %s", buf_text(&wrong));
	}
	for (size_t i = 0; r == 0 && i < list.n; i++)
		r = config_text_check(key, list.items[i], reason);
	if (r < 0)
		return r;
	struct config_list old = *value;
	*value = list;
	list = old;
	return 0;
}

int config_value_parse(const struct config_key *key, const char *text, void *config, struct buf *reason)
{
	void *value = member(key, config);
	switch (key->type) {
	case CONFIG_BOOL:
		return set_bool(key, text, value, reason);
	case CONFIG_STRING:
		return set_string(key, text, value, reason);
	case CONFIG_COUNT:
	case CONFIG_BYTES:
	case CONFIG_DURATION:
		return set_number(key, text, value, reason);
	case CONFIG_ENUM:
		return config_choice_parse(key, text, value, reason);
	case CONFIG_LIST:
		return set_list(key, text, value, reason);
	case CONFIG_RULES: /* needs to tell where in the text something is wrong: config_apply does it */
		break;
	}
	return -EINVAL;
}

int config_format(const struct config_schema *schema, const struct config_key *key, const void *config, struct buf *out)
{
	const void *value = member_const(key, config);
	switch (key->type) {
	case CONFIG_BOOL:
		return buf_appendf(out, "%s", *(const bool *)value ? "true" : "false");
	case CONFIG_STRING:
		return buf_appendf(out, "%s", *(char *const *)value);
	case CONFIG_COUNT:
	case CONFIG_BYTES:
	case CONFIG_DURATION:
		number_format(*(const uint64_t *)value, types[key->type].units, out);
		return out->error;
	case CONFIG_ENUM:
		return buf_appendf(out, "%s", key->choices[*(const int *)value]);
	case CONFIG_LIST:
		return config_list_format(value, out);
	case CONFIG_RULES:
		return config_rules_format(key, value, out);
	}
	return -EINVAL;
}

bool config_equal(const struct config_schema *schema, const struct config_key *key, const void *a, const void *b)
{
	const void *left = member_const(key, a), *right = member_const(key, b);
	if (key->type == CONFIG_STRING)
		return !strcmp(*(char *const *)left, *(char *const *)right);
	if (key->type == CONFIG_RULES)
		return config_rules_equal(left, right);
	if (key->type != CONFIG_LIST)
		return !memcmp(left, right, types[key->type].size);

	const struct config_list *one = left, *other = right;
	if (one->n != other->n)
		return false;
	for (size_t i = 0; i < one->n; i++)
		if (strcmp(one->items[i], other->items[i]))
			return false;
	return true;
}

void config_swap(const struct config_schema *schema, const struct config_key *key, void *a, void *b)
{
	char left[sizeof(struct config_list) > sizeof(struct config_rules) ? sizeof(struct config_list)
	                                                                   : sizeof(struct config_rules)];
	size_t size = types[key->type].size;
	memcpy(left, member(key, a), size);
	memcpy(member(key, a), member(key, b), size);
	memcpy(member(key, b), left, size);
}

void config_free(const struct config_schema *schema, void *config)
{
	for (const struct config_key *key = schema->keys; key < schema->keys + schema->n_keys; key++) {
		char **string = member(key, config);
		if (key->type == CONFIG_LIST) {
			config_list_free(member(key, config));
		} else if (key->type == CONFIG_RULES) {
			config_rules_free(member(key, config));
		} else if (key->type == CONFIG_STRING) {
			free(*string);
			*string = NULL;
		}
	}
}
