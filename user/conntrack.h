/* SPDX-License-Identifier: Apache-2.0 */
/* The program that asks the kernel's connection tracking for translated tuples (bpf/conntrack.bpf.c). */
#pragma once

/*
 * Loads it over the maps `details` and `details_request`; -1: over maps of its own, to see whether this kernel has what it
 * calls. *RET_PROGRAM is the caller's to close. 0 or -errno, nothing printed.
 */
int conntrack_load(int details, int request, int *ret_program);
