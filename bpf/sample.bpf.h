/* SPDX-License-Identifier: GPL-2.0-only */
/* Sample: which packets are worth shipping whole. Totals are exact whatever is decided here. */
#pragma once

#include "bpf/flow.bpf.h"

/* The head of each direction: whatever begins within the first head_bytes that its sender sends. */
static __always_inline bool sample_wants(const struct flow_position *position)
{
	return position->bytes_before < sensor.head_bytes;
}
