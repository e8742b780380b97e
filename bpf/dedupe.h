/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What dedupe counts beyond the verdicts: value of the per-CPU map `dedupe_stats`. */
#pragma once

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

struct dedupe_stats {
	__u64 takeovers; /* a direction went to another hook */
	__u64 ambiguous; /* packets that came by a hook which may be the direction's new way, or a second one of the same */
};
_Static_assert(sizeof(struct dedupe_stats) == 16, "dedupe_stats layout");
