// SPDX-License-Identifier: Apache-2.0
/* The table of keys for --help. */
#include <string.h>
#include "user/config_internal.h"

int config_help(const struct config_schema *schema, struct buf *out)
{
	const struct config_key *end = schema->keys + schema->n_keys;
	int name_width = 0, default_width = 0;
	for (const struct config_key *key = schema->keys; key < end; key++) {
		int name = (int)strlen(key->name), fallback = key->fallback ? (int)strlen(key->fallback) : 0;
		name_width = name > name_width ? name : name_width;
		default_width = fallback > default_width ? fallback : default_width;
	}
	for (const struct config_key *key = schema->keys; key < end; key++) {
		const char *empty = key->type == CONFIG_LIST || key->type == CONFIG_RULES ? "[]" : "\"\"";
		const char *fallback = key->fallback && *key->fallback ? key->fallback : empty;
		buf_appendf(out, "  %-*s  %-*s  %-8s  %s\n", name_width, key->name, default_width, fallback,
		            config_type_name(key->type), key->help);
	}
	return out->error;
}
