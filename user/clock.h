/* SPDX-License-Identifier: Apache-2.0 */
/* From the kernel's CLOCK_MONOTONIC to Unix time. */
#pragma once

#include <stdint.h>

#define NS_PER_SEC 1000000000ULL
#define NS_PER_MS  1000000ULL

uint64_t clock_monotonic_ns(void);
uint64_t clock_realtime_ns(void);

/* The Unix time, in ns, of a CLOCK_MONOTONIC time, by the two clocks' distance now: a step of the clock applies. */
uint64_t clock_to_unix_ns(uint64_t monotonic_ns);
