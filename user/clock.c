// SPDX-License-Identifier: Apache-2.0
#include <time.h>
#include "user/clock.h"

static uint64_t read_clock(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec;
}

uint64_t clock_monotonic_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

uint64_t clock_realtime_ns(void)
{
	return read_clock(CLOCK_REALTIME);
}

uint64_t clock_to_unix_ns(uint64_t monotonic_ns)
{
	return monotonic_ns + (clock_realtime_ns() - clock_monotonic_ns());
}
