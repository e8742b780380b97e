/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the configuration engine (config*.c) share. Nobody else includes it. */
#pragma once

#include "user/config.h"

#define CONFIG_FILE_MAX  (1024 * 1024) /* bytes */
#define CONFIG_NODES_MAX 1024          /* keys, sections and list items of a file together */
#define CONFIG_DEPTH_MAX 8             /* of nested mappings */
#define CONFIG_NAME_MAX  128           /* bytes of a dotted key */
#define CONFIG_LINE_MAX  8192          /* bytes of one problem's line */

/* Where a value stands. */
struct config_origin {
	enum config_source source;
	unsigned line;    /* FILE; 0: the file as a whole */
	const char *text; /* FILE: its name; ENVIRONMENT: "NAME=value"; FLAG: "key=value". Not owned */
};

/* Lines for the user, each told at once; counted, so that a full buffer is still a failure. */
struct config_problems {
	struct buf *out;
	size_t n;
};

/* Adds "ORIGIN: KEY: reason"; KEY may be NULL. */
void config_problem(struct config_problems *problems, const struct config_origin *origin, const char *key,
                    const char *format, ...) _printf_(4, 5);

void config_vproblem(struct config_problems *problems, const struct config_origin *origin, const char *key,
                     const char *format, va_list args) _printf_(4, 0);

/* Tells how many there were beyond those that were told. */
void config_problems_end(struct config_problems *problems);

/* A load in progress. */
struct config_report {
	const struct config_schema *schema;
	void *config;                  /* the program's struct, being filled */
	struct config_origin *origins; /* one a key: where its value came from */
	struct config_problems problems;
};

const struct config_key *config_find(const struct config_schema *schema, const char *name);

/* The key a misspelt NAME probably means ('_' counts as '.', case does not count), or NULL. */
const struct config_key *config_closest(const struct config_schema *schema, const char *name);

/* Gives KEY the value TEXT, or tells why not. 0 (also when it was told), -ENOMEM. */
int config_apply(struct config_report *report, const struct config_key *key, const char *text,
                 const struct config_origin *origin);

/* config_env.c: "SONDE_FLOWS_MAX" for PREFIX "SONDE_" and NAME "flows.max". */
void config_variable(const char *prefix, const char *name, char ret_variable[static CONFIG_NAME_MAX]);
/* Applies the environment's variables. 0 or -ENOMEM. */
int config_apply_environment(struct config_report *report, char *const *environment);

/*
 * config_value.c: parses TEXT and replaces KEY's value in CONFIG. 0; -ENOMEM; -EINVAL: REASON says what is wrong with
 * it and what would be right; CONFIG is as before.
 */
int config_value_parse(const struct config_key *key, const char *text, void *config, struct buf *reason);

/* Whether TEXT will do as a STRING, as an item of a LIST or as what a rule matches: 0, or -EINVAL and REASON. */
int config_text_check(const struct config_key *key, const char *text, struct buf *reason);

/* TEXT as one of KEY's choices: 0, or -EINVAL and REASON. */
int config_choice_parse(const struct config_key *key, const char *text, int *ret_choice, struct buf *reason);

/* "; try 262144 (16 to 16777216)": what KEY takes. */
void config_expect(const struct config_key *key, struct buf *out);

/* "count", "size", ...: for "takes a %s". */
const char *config_type_name(enum config_type type);

/* TEXT in double quotes for a message: escaped, cut to a length that can be read, without a URL's password. */
void config_quote(const char *text, struct buf *out);
/* The same without the quotes. */
void config_escape(const char *text, struct buf *out);

/* config_list.c: [a, "b,c"] or a,b. 0; -ENOMEM; -EINVAL and REASON. Free with config_list_free. */
int config_list_parse(const char *text, struct config_list *ret_list, struct buf *reason);
/* Appends a copy of SIZE bytes of TEXT. 0, -ENOMEM, -E2BIG: CONFIG_LIST_MAX. */
int config_list_append(struct config_list *list, const char *text, size_t size);
int config_list_format(const struct config_list *list, struct buf *out);
void config_list_free(struct config_list *list);

/* config_yaml.c: a file as a flat sequence of nodes in the order of its text. */
enum config_node_kind {
	CONFIG_NODE_SCALAR,
	CONFIG_NODE_NULL,    /* empty, ~ or null, not quoted */
	CONFIG_NODE_LIST,    /* followed by its items */
	CONFIG_NODE_ITEM,    /* of a list: a text */
	CONFIG_NODE_RECORD,  /* of a list: a mapping, followed by its fields */
	CONFIG_NODE_FIELD,   /* its key is the field's name alone */
	CONFIG_NODE_MAPPING, /* followed by what is in it */
};

struct config_node {
	char *key;  /* dotted */
	char *text; /* SCALAR, ITEM, FIELD; else NULL */
	unsigned line;
	enum config_node_kind kind;
};

struct config_nodes {
	struct config_node *nodes;
	size_t n;
};
void config_nodes_free(struct config_nodes *nodes);

/* Behind a LIST: part of it. */
static inline bool config_node_is_within_list(enum config_node_kind kind)
{
	return kind == CONFIG_NODE_ITEM || kind == CONFIG_NODE_RECORD || kind == CONFIG_NODE_FIELD;
}

/*
 * Reads FILE. 0: *ret_nodes is filled, and what it holds may be judged (anchors, duplicates and the like are told as
 * problems, without being in the way); -EINVAL: not to be read as YAML, told; -errno of the file, told; -ENOMEM.
 */
int config_yaml_read(const char *file, struct config_nodes *ret_nodes, struct config_problems *problems);

/* The same with the value of KEY alone, TEXT, from where ORIGIN says. No nodes: it is empty. */
int config_yaml_read_value(const char *key, const char *text, const struct config_origin *origin,
                           struct config_nodes *ret_nodes, struct config_problems *problems);

/*
 * config_rules.c: NODE, a list, and the nodes behind it up to END become the rules KEY. 0 (told, where they are wrong) or
 * -ENOMEM.
 */
int config_rules_apply(struct config_report *report, const struct config_key *key, const struct config_node *node,
                       const struct config_node *end, const struct config_origin *origin);
int config_rules_format(const struct config_key *key, const struct config_rules *rules, struct buf *out);
bool config_rules_equal(const struct config_rules *a, const struct config_rules *b);
void config_rules_free(struct config_rules *rules);
