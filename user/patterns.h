/* SPDX-License-Identifier: Apache-2.0 */
/* A list of extended regular expressions that each match a whole name. */
#pragma once

#include <regex.h>
#include <stdbool.h>
#include "user/config.h"

/* Empty: all zero; matches nothing. */
struct patterns {
	regex_t *items;
	size_t n;
};

/* 0, -ENOMEM, or -EINVAL: one of LIST is no extended regular expression. Release with patterns_clear. */
int patterns_compile(const struct config_list *list, struct patterns *ret_patterns);
void patterns_clear(struct patterns *patterns);
void patterns_swap(struct patterns *a, struct patterns *b);

/* True: NAME as a whole matches at least one. */
bool patterns_match(const struct patterns *patterns, const char *name);
