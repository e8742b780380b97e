/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One interface's two TC hooks: a tcx link a direction, in front of all others, or a clsact filter with our own handle.
 * Nobody else's program or qdisc is ever touched.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "bpf/iface.h"
#include "bpf/verdict.h"

/* UAPI since 6.6, newer than libbpf 1.1's headers. */
#define ATTACH_TCX_INGRESS 46
#define ATTACH_TCX_EGRESS  47
#define ATTACH_F_BEFORE    (1U << 3)

/*
 * Our clsact filter's handle. It goes to priority 1, where a new filter runs before those of others, or to the next
 * priority that takes it where priority 1 holds another kind of filter.
 */
#define TC_HANDLE       0x50de
#define TC_PRIORITY_MAX 8

/*
 * Attaches PROGRAM to one direction of the interface, or replaces our former program there, atomically for each packet.
 * tcx: the link is pinned at PIN (replaced: the pin is kept). clsact: info->tc_priority (0: choose), owns_qdisc and
 * program_id are filled in. 0 or -errno; -ENODEV: the interface is gone.
 */
int attach_hook(struct iface_info *info, enum direction direction, int program, const char *pin);

/*
 * Removes it: the pinned link at PIN, or our own filter, recognised by handle, priority and program id. 0, also where
 * it is gone already; -errno.
 */
int detach_hook(const struct iface_info *info, enum direction direction, const char *pin);

/* Removes the clsact qdisc if we made it and no filter is left in it. 0 or -errno. */
int detach_qdisc(const struct iface_info *info);
