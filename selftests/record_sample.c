// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <string.h>
#include "selftests/record_sample.h"

struct record *make_record(enum record_kind kind, const char *source, const char *destination, uint8_t protocol,
                           uint16_t source_port, uint16_t destination_port, size_t data_size)
{
	uint8_t *data;
	struct record *record = record_new(kind, data_size, &data);
	struct endpoint *ends[] = { &record->source, &record->destination };
	const char *addresses[] = { source, destination };
	assert_non_null(record);
	record->protocol = protocol;
	record->ip_version = strchr(source, ':') ? 6 : 4;
	for (int i = 0; i < 2; i++) {
		if (record->ip_version == 4) {
			memset(ends[i]->address + 10, 0xff, 2);
			assert_int_equal(inet_pton(AF_INET, addresses[i], ends[i]->address + 12), 1);
		} else {
			assert_int_equal(inet_pton(AF_INET6, addresses[i], ends[i]->address), 1);
		}
	}
	record->source.port = source_port;
	record->destination.port = destination_port;
	if (kind == RECORD_PACKET) {
		record->packet.data = data;
		record->packet.captured_length = (uint32_t)data_size;
		record->packet.one_in = 1;
		for (size_t i = 0; i < data_size; i++)
			data[i] = (uint8_t)i;
	}
	return record;
}
