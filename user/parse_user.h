/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The programs' own parser, built for user space: for the frames of a capture that the kernel's test run refuses. Same
 * source, same verdicts; only how bytes are fetched is another.
 */
#pragma once

#include "bpf/event.h"

/*
 * What parse() says of a frame of which SIZE bytes are at DATA, and which had LENGTH bytes on the wire (LENGTH >= SIZE).
 * VERDICT_OBSERVED, _NOT_IP, _MALFORMED or _UNSUPPORTED.
 */
enum verdict parse_user(enum link_type link_type, const void *data, __u32 size, __u32 length);
