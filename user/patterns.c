// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include "user/patterns.h"

void patterns_clear(struct patterns *patterns)
{
	for (size_t i = 0; i < patterns->n; i++)
		regfree(&patterns->items[i]);
	free(patterns->items);
	*patterns = (struct patterns) { 0 };
}

int patterns_compile(const struct config_list *list, struct patterns *ret_patterns)
{
	_cleanup_(patterns_clear) struct patterns patterns = { .items =
		                                                       calloc(list->n ? list->n : 1, sizeof(regex_t)) };
	if (!patterns.items)
		return -ENOMEM;
	for (; patterns.n < list->n; patterns.n++) {
		char anchored[1024];
		if (snprintf(anchored, sizeof(anchored), "^(%s)$", list->items[patterns.n]) >= (int)sizeof(anchored) ||
		    regcomp(&patterns.items[patterns.n], anchored, REG_EXTENDED | REG_NOSUB) != 0)
			return -EINVAL;
	}
	*ret_patterns = patterns;
	patterns = (struct patterns) { 0 };
	return 0;
}

bool patterns_match(const struct patterns *patterns, const char *name)
{
	for (size_t i = 0; i < patterns->n; i++)
		if (regexec(&patterns->items[i], name, 0, NULL, 0) == 0)
			return true;
	return false;
}

void patterns_swap(struct patterns *a, struct patterns *b)
{
	struct patterns former = *a;
	*a = *b;
	*b = former;
}
