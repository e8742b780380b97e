/* SPDX-License-Identifier: Apache-2.0 */
/* Records for tests. */
#pragma once

#include "user/record.h"

/* A record between two addresses as text (both IPv4 or both IPv6); a packet has DATA_SIZE bytes: 0, 1, 2, ... */
struct record *make_record(enum record_kind kind, const char *source, const char *destination, uint8_t protocol,
                           uint16_t source_port, uint16_t destination_port, size_t data_size);
