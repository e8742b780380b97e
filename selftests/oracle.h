/* SPDX-License-Identifier: Apache-2.0 */
/* libpcap's own answer to an expression. In a file of its own: its struct bpf_insn is not the kernel's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "bpf/event.h"
#include "user/cleanup.h"

struct oracle;

/* NULL: libpcap refuses the expression for this link type. */
struct oracle *oracle_open(const char *expression, enum link_type link_type);
void oracle_free(struct oracle *oracle);
DEFINE_CLEANUP(struct oracle *, oracle_free)

/* pcap_offline_filter. */
bool oracle_matches(const struct oracle *oracle, const uint8_t *frame, size_t size);
