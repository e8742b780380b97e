/* SPDX-License-Identifier: Apache-2.0 */
/* A small table of keys, one a type and a section, and how the tests of the configuration engine load it. */
#pragma once

#include "user/config.h"

struct sample {
	bool on;
	char *name, *path;
	uint64_t count, any, size, wait;
	int mode;
	struct config_list words;
	struct config_rules rules;
	struct {
		uint64_t deep;
	} outer;
};

enum sample_key {
	SAMPLE_ON,
	SAMPLE_NAME,
	SAMPLE_PATH,
	SAMPLE_COUNT,
	SAMPLE_ANY,
	SAMPLE_SIZE,
	SAMPLE_WAIT,
	SAMPLE_MODE,
	SAMPLE_WORDS,
	SAMPLE_RULES,
	SAMPLE_OUTER_DEEP,
	SAMPLE_KEYS,
};

/* Variables: T_COUNT, ...; T_OTHER_* are somebody else's. */
extern const struct config_schema sample_schema;

/* NULL: nothing of this kind. */
struct source {
	const char *yaml;
	size_t yaml_size; /* 0: YAML is a C string */
	const char *set[3];
	char *environment[4];
};

/* config_load of SOURCE; in what is told, the file is called FILE. Fails the test where it cannot be tried. */
int sample_load(const struct source *source, struct sample *ret_sample, enum config_source *ret_sources,
                struct buf *error);
