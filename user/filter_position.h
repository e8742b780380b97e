/* SPDX-License-Identifier: Apache-2.0 */
/* Where in an expression libpcap's complaint belongs: it tells a reason, but no place. */
#pragma once

#include "user/filter.h"

#define FILTER_NEEDS_HANDLE "only a capture on one interface knows this"

/* filter_compile.c: filter_compile, with the bare reason for an error. RET_PROGRAM may be NULL. */
int filter_try(const char *expression, enum link_type link_type, struct classic_program *ret_program,
               struct buf *error);

/* Appends to OUT: REASON, which filter_try gave for EXPRESSION, and the place. */
void filter_explain(const char *expression, enum link_type link_type, const char *reason, struct buf *out);
