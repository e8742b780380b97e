/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The configuration and the clock, as every stage sees them. */
#pragma once

#include "bpf/config.h"

const volatile struct sensor_config sensor = {};

/*
 * CLOCK_MONOTONIC ns, the one clock of flow totals: at tick resolution where the kernel has that (3 ns a call against
 * 27). In a replay it is the capture's own time. The branches are constants when the program loads: older kernels never
 * see the unknown helper, and a live sensor pays nothing.
 */
static __always_inline __u64 clock_now(struct __sk_buff *skb)
{
	if (sensor.replay)
		return skb->tstamp;
	return sensor.coarse_clock ? bpf_ktime_get_coarse_ns() : bpf_ktime_get_ns();
}
