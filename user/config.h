/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration from all its sources through one table of keys. Later sources win: the table's defaults, the YAML file,
 * the environment, --set flags. Unknown keys are errors everywhere; units are part of a value ("30s", "64MiB").
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "user/buf.h"

enum config_type {
	CONFIG_BOOL,     /* bool: true, false */
	CONFIG_STRING,   /* char *, never NULL */
	CONFIG_COUNT,    /* uint64_t: 0, 262144 */
	CONFIG_BYTES,    /* uint64_t: 512, 64KiB, 16MiB, 1GiB (a bare number is bytes) */
	CONFIG_DURATION, /* uint64_t, ns: 500ms, 10s, 5m, 1h (the unit is obligatory, but for 0) */
	CONFIG_ENUM,     /* int: the index into choices */
	CONFIG_LIST,     /* struct config_list: YAML sequence of strings; --set and environment: [a, "b,c"] or a,b */
	CONFIG_RULES, /* struct config_rules: YAML sequence of {match: GLOB, action: CHOICE}, the same text everywhere */
};

struct config_list {
	char **items;
	size_t n;
};

/* In order: the first that matches counts. */
struct config_rules {
	struct config_rule {
		char *match; /* a glob, fnmatch(3) */
		int action;  /* the index into choices */
	} * items;
	size_t n;
};

struct config_key {
	const char *name; /* dotted: "flows.idle_timeout" */
	enum config_type type;
	size_t offset;              /* of the member in the program's struct */
	const char *fallback;       /* the default, as a value in text; lists and rules: "" is empty */
	uint64_t min, max;          /* inclusive; STRING, LIST, RULES: max is one string's length, 0: CONFIG_TEXT_MAX */
	const char *const *choices; /* ENUM, RULES' actions: names, ended by NULL */
	/*
	 * STRING, LIST item, what a rule matches; may be NULL. 0, or -EINVAL and what follows the value in the line ("must be absolute").
	 * The default is checked too, unless another source gives a value: refusing it makes the key a required one.
	 */
	int (*check)(const char *value, struct buf *error);
	bool lines;       /* STRING: may have several lines, and tabs */
	bool live;        /* may change on SIGHUP */
	const char *help; /* one line */
};

enum config_source { CONFIG_FROM_DEFAULT, CONFIG_FROM_FILE, CONFIG_FROM_ENVIRONMENT, CONFIG_FROM_FLAG };

#define CONFIG_TEXT_MAX 4096 /* bytes in a string, where its key does not say */
#define CONFIG_LIST_MAX 256  /* items in a list, rules */

struct config_report;

struct config_schema {
	const char *env_prefix;        /* "SONDE_": flows.idle_timeout is SONDE_FLOWS_IDLE_TIMEOUT */
	const char *const *env_ignore; /* prefixes of variables that are somebody else's, ended by NULL; may be NULL */
	const struct config_key *keys;
	size_t n_keys;
	size_t size; /* of the program's struct */
	/* Looks at several keys together, once each is right by itself, and tells by config_conflict; may be NULL. */
	void (*check)(const void *config, struct config_report *report);
};

/* Where values come from; all may be empty. */
struct config_input {
	const char *file;        /* NULL: none */
	const char *const *sets; /* "key=value" */
	size_t n_sets;
	char *const *environment; /* environ, or NULL */
};

/*
 * Fills *ret_config (the program's struct, schema->size bytes) and, unless NULL, ret_sources (n_keys). On failure
 *-EINVAL (or -errno of the file), the outputs are untouched, and ERROR holds one line a problem, all problems at once,
 *each with file and line (or the variable or flag), the key, the value, and what would be right:
 *
 *	/etc/sonde.yaml:7: flows.max: "many" is not a count; try 262144 (16 to 16777216)
 *	--set flow.max=3: unknown key "flow.max"; did you mean "flows.max"?
 *
 * Variables that Kubernetes injects for services (SONDE_SINK_SERVICE_HOST, SONDE_PORT_4318_TCP, ...) are not ours.
 */
int config_load(const struct config_schema *schema, const struct config_input *input, void *ret_config,
                enum config_source *ret_sources, struct buf *error);

/*
 * For a schema's check: KEY's value does not go with OTHER's (NULL: does not do by itself); FORMAT is what follows
 * KEY's value in the line. The line tells where KEY was set, or, where it has its default, where OTHER was.
 */
void config_conflict(struct config_report *report, const char *key, const char *other, const char *format, ...)
	_printf_(4, 5);

/* Frees what the strings and lists hold; CONFIG itself stays the caller's. */
void config_free(const struct config_schema *schema, void *config);

bool config_equal(const struct config_schema *schema, const struct config_key *key, const void *a, const void *b);

/* Exchanges the key's value between two configs (a reload moves what is live). */
void config_swap(const struct config_schema *schema, const struct config_key *key, void *a, void *b);

/* The value as text, in the syntax the key takes. 0 or -errno of OUT. */
int config_format(const struct config_schema *schema, const struct config_key *key, const void *config,
                  struct buf *out);

/* The table of keys for --help: name, default, unit, help. */
int config_help(const struct config_schema *schema, struct buf *out);
