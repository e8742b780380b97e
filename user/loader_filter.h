/* SPDX-License-Identifier: Apache-2.0 */
/* The filter's programs, loaded, on their way into `filters`. */
#pragma once

#include "user/filter.h"

struct loaded_filter {
	struct {
		int fd; /* -1: every packet goes to the main program */
		uint32_t instructions;
	} programs[LINK_TYPE_MAX];
	struct buf refused; /* see filter_build */
};
#define LOADED_FILTER_NONE ((struct loaded_filter) { .programs = { { -1, 0 }, { -1, 0 } }, .refused = BUF_INIT(4096) })

/*
 * EXPRESSION may be NULL or empty. 0, or -errno of filter_build or the kernel, and LOG gets what they say about it: the
 * verifier's reason is at its end.
 */
int loaded_filter_load(const char *expression, const struct filter_maps *maps, struct buf *log,
                       struct loaded_filter *ret_filter);
void loaded_filter_close(struct loaded_filter *filter);
