/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel tells of a BPF program. */
#pragma once

#include <stdint.h>

/* Time spent in a program, ns; 0 where it is not measured (kernel.bpf_stats_enabled), or PROGRAM is -1. */
uint64_t program_run_ns(int program);
