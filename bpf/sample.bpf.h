/* SPDX-License-Identifier: GPL-2.0-only */
/* Sample: which packets are worth shipping whole. Totals are exact whatever is decided here. */
#pragma once

#include "bpf/event.h"
#include "bpf/flow.bpf.h"

/* What is said of a packet that is to be shipped. */
struct sample_choice {
	__u32 one_in; /* it stands for so many; 1: it was certain to be chosen */
	__u8 reason;  /* enum sample_reason */
};

/* True: the packet is to be shipped, for what *ret_sample says. The head of each direction: whatever begins within the first head_bytes that its sender sends. */
static __always_inline bool sample_choose(struct __sk_buff *skb, const struct packet *packet,
                                          const struct flow_position *position, struct sample_choice *ret_sample)
{
	if (position->bytes_before >= sensor.head_bytes)
		return false;
	*ret_sample = (struct sample_choice) { .one_in = 1, .reason = SAMPLE_HEAD };
	return true;
}
