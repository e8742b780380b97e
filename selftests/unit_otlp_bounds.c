// SPDX-License-Identifier: Apache-2.0
/* A batch of the longest records there can be stays below what otlp.h says of their sizes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include "selftests/record_sample.h"
#include "user/otlp.h"

#define BATCH_MAX (16 << 20)

static const struct otlp_resource resource = {
	.service_version = "1.2.3",
	.host_name = "worker-7",
	.node_name = "node-7",
	.stream_id = "00112233445566778899aabbccddeeff",
};

/* As many and as long ones as there can be. */
static struct pod_facts *longest_facts(void)
{
	static char keys[POD_FACTS_MAX][POD_LABEL_KEY_MAX + sizeof("k8s.pod.label.")], value[POD_NAME_MAX + 1];
	struct pod_fact facts[POD_FACTS_MAX];
	memset(value, 'v', POD_NAME_MAX);
	for (int i = 0; i < POD_FACTS_MAX; i++) {
		snprintf(keys[i], sizeof(keys[i]), "k8s.pod.label.%0*d", POD_LABEL_KEY_MAX, i);
		facts[i] = (struct pod_fact) { .key = keys[i], .value = value };
	}
	return pod_facts_new(facts, POD_FACTS_MAX);
}

static struct owner *longest_owner(char *space)
{
	memset(space, 'x', 253);
	space[253] = '\0';
	return owner_new(&(struct owner_names) { space, space, space, space, space, space, UINT32_MAX, UINT32_MAX });
}

/* No batch is larger than the bounds of its records say, and what does not fit is refused. */
static void test_bounds(void **state)
{
	char space[254];
	struct buf out = BUF_INIT(BATCH_MAX);
	size_t bound = OTLP_ENVELOPE_SIZE;
	_cleanup_(record_list_clear) struct record_list list = { 0 };
	for (size_t i = 0; i < 64; i++) {
		const char *address = "1111:2222:3333:4444:5555:6666:7777:8888";
		struct record *record = make_record(i % 2 ? RECORD_PACKET : RECORD_FLOW, address, address,
		                                    i % 4 < 2 ? IPPROTO_TCP : 132, 65535, 65535, i % 2 ? i * 100 : 0);
		memcpy(record->interface, "abcdefghijklmno", sizeof(record->interface));
		record->time_ns = record->observed_ns = UINT64_MAX;
		record->source.owner = longest_owner(space);
		record->destination.owner = i % 8 ? longest_owner(space) : NULL;
		record->destination.facts = i % 4 ? longest_facts() : NULL;
		if (record->kind == RECORD_PACKET) {
			record->packet.flow_id = UINT64_MAX;
			record->packet.original_length = UINT32_MAX;
		} else {
			memset(&record->flow, 0xff, sizeof(record->flow));
			record->flow.reason = FLOW_TABLE_FULL;
			record->flow.health.known = true;
		}
		record->segment_kind = SEGMENT_VXLAN;
		record->segment = UINT32_MAX;
		bound += otlp_record_size(record);
		record_list_append(&list, record);
	}
	assert_int_equal(otlp_encode(&resource, UINT64_MAX >> 1, &list, &out), 0);
	assert_in_range(out.size, bound / 2, bound);
	struct buf tight = BUF_INIT(out.size - 1);
	assert_int_equal(otlp_encode(&resource, UINT64_MAX >> 1, &list, &tight), -EFBIG);
	struct buf fits = BUF_INIT(out.size);
	assert_int_equal(otlp_encode(&resource, UINT64_MAX >> 1, &list, &fits), 0);
	buf_free(&tight);
	buf_free(&fits);
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_bounds) };
	return cmocka_run_group_tests_name("otlp_bounds", tests, NULL, NULL);
}
