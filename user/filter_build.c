// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include "user/cleanup.h"
#include "user/filter.h"

/* What nothing passes. 0x06: a return of a constant. */
static struct classic_insn nothing = { .code = 0x06 };

int filter_build(const char *expression, enum link_type link_type, const struct filter_maps *maps,
                 struct filter_program *ret_program, struct buf *refused)
{
	_cleanup_(classic_free) struct classic_program classic = { 0 }, ethernet = { 0 };
	_cleanup_(buf_free) struct buf ignored = BUF_INIT(4096);
	const struct classic_program none = { &nothing, 1 };

	int r = filter_compile(expression, link_type, &classic, refused);
	if (r == -EINVAL && link_type != LINK_ETHERNET)
		return filter_compile(expression, LINK_ETHERNET, &ethernet, &ignored) < 0
		               ? r
		               : filter_translate(&none, link_type, maps, ret_program);
	return r < 0 ? r : filter_translate(&classic, link_type, maps, ret_program);
}
