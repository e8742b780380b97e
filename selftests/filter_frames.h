/* SPDX-License-Identifier: Apache-2.0 */
/* Frames to hold the kernel's filter against libpcap's: every shape that expressions speak of, and broken ones. */
#pragma once

#include "selftests/packet.h"

struct frames {
	struct frame *frames;
	size_t n;
};

/* Whether the kernel's test run takes these bytes, whatever the program thinks they are. */
bool filter_is_runnable(const uint8_t *data, size_t size);

/*
 * N frames that the kernel's test run takes: every shape with and without Ethernet header, then random variations of them
 * (bytes changed, cut short, made longer) and random bytes, by SEED. Free frames->frames.
 */
void filter_frames(size_t n, unsigned seed, bool ethernet, struct frames *ret_frames);
