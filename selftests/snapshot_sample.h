/* SPDX-License-Identifier: Apache-2.0 */
/* A snapshot in which every number differs from all others, for tests of what is made of snapshots. */
#pragma once

#include "user/snapshot.h"

#define SAMPLE_IFACES 2

/* Two interfaces, "eth0" (tcx) and one with a name that needs escaping (clsact). Release with snapshot_clear. */
void snapshot_sample(struct snapshot *ret_snapshot);
#define SAMPLE_ODD_NAME "a\"b\\c\xff"
