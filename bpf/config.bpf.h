/* SPDX-License-Identifier: GPL-2.0-only */
/* The configuration and the clock, as every stage sees them. */
#pragma once

#include "bpf/config.h"

const volatile struct sensor_config sensor = {};

/*
 * CLOCK_MONOTONIC ns, the one clock of flow totals: at tick resolution where the kernel has that (3 ns a call against
 * 27). The branch is a constant when the program loads, so older kernels never see the unknown helper.
 */
static __always_inline __u64 clock_now(void)
{
	return sensor.coarse_clock ? bpf_ktime_get_coarse_ns() : bpf_ktime_get_ns();
}
