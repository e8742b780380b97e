// SPDX-License-Identifier: Apache-2.0
/* Records and lists of them: what they hold, what they weigh, who frees their owners. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "user/naming.h"
#include "user/record.h"

static struct record *packet_of(uint32_t size)
{
	uint8_t *data = NULL;
	struct record *record = record_new(RECORD_PACKET, size, &data);
	assert_non_null(record);
	assert_non_null(data);
	memset(data, 0xaa, size);
	record->packet.data = data;
	record->packet.captured_length = size;
	return record;
}

static struct record *flow_of(uint64_t id)
{
	struct record *record = record_new(RECORD_FLOW, 0, NULL);
	assert_non_null(record);
	record->flow.id = id;
	return record;
}

static void test_new(void **state)
{
	_cleanup_(record_freep) struct record *packet = packet_of(100);
	_cleanup_(record_freep) struct record *flow = flow_of(1);

	assert_int_equal(packet->kind, RECORD_PACKET);
	assert_int_equal(packet->time_ns, 0);
	assert_null(packet->source.owner);
	assert_int_equal(record_size(packet), sizeof(*packet) + 100);
	assert_int_equal(flow->kind, RECORD_FLOW);
	assert_int_equal(record_size(flow), sizeof(*flow));
	record_free(NULL);
}

/* A record's references go with it; those of others stay. */
static void test_owner(void **state)
{
	const struct owner_names names = { .pod_name = "web-1", .namespace_name = "shop" };
	_cleanup_(owner_unrefp) struct owner *owner = owner_new(&names);
	struct record *record = flow_of(1);

	record->source.owner = owner_ref(owner);
	record->destination.owner = owner_ref(owner);
	record_free(record);
	assert_string_equal(owner_names(owner)->pod_name, "web-1");
	assert_string_equal(owner_names(owner)->namespace_name, "shop");
	assert_null(owner_names(owner)->container_id);
	assert_null(owner_names(NULL)->pod_name);
}

/* A record that waits for names weighs more, and takes what it waits with along. */
static void test_unnamed(void **state)
{
	struct record *record = flow_of(1);
	record->unnamed = calloc(1, sizeof(*record->unnamed));
	assert_non_null(record->unnamed);
	assert_int_equal(record_size(record), sizeof(*record) + sizeof(*record->unnamed));
	record_free(record);
}

/* One owner for equal names, as long as it is remembered. */
static void test_owners(void **state)
{
	const struct owner_names names[] = {
		{ .pod_name = "a", .pid = 1 },
		{ .pod_name = "a", .pid = 2 },
		{ .namespace_name = "a", .pid = 1 },
		{ .pod_uid = "", .pid = 1 },
		{ .pid = 1, .uid = 1 },
		{ .executable_name = "a" },
		{ .container_name = "a", "b" },
		{ 0 },
	};
	_cleanup_(owners_freep) struct owners *owners = owners_new(ARRAY_SIZE(names));
	struct owner *first[ARRAY_SIZE(names)];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		first[i] = owners_get(owners, &names[i]);
		for (size_t j = 0; j < i; j++)
			assert_ptr_not_equal(first[i], first[j]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_(owner_unrefp) struct owner *again = owners_get(owners, &names[i]);
		assert_ptr_equal(again, first[i]);
	}
	assert_int_equal(owner_names(first[4])->uid, 1);
	assert_null(owner_names(first[3])->pod_uid);
	assert_string_equal(owner_names(first[5])->executable_name, "a");

	/* A new one takes the place of the one used longest ago: the first. It lives on where it is held. */
	_cleanup_(owner_unrefp) struct owner *new = owners_get(owners, &(struct owner_names) { .pid = 9 });
	_cleanup_(owner_unrefp) struct owner *second = owners_get(owners, &names[1]);
	_cleanup_(owner_unrefp) struct owner *anew = owners_get(owners, &names[0]);
	assert_ptr_equal(second, first[1]);
	assert_ptr_not_equal(anew, first[0]);
	assert_string_equal(owner_names(first[0])->pod_name, "a");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		owner_unref(first[i]);
}

static void test_list(void **state)
{
	_cleanup_(record_list_clear) struct record_list list = { 0 };

	assert_null(record_list_pop(&list));
	record_list_append(&list, flow_of(1));
	record_list_append(&list, packet_of(50));
	record_list_append(&list, flow_of(3));
	assert_int_equal(list.records, 3);
	assert_int_equal(list.bytes, 3 * sizeof(struct record) + 50);

	_cleanup_(record_freep) struct record *first = record_list_pop(&list);
	_cleanup_(record_freep) struct record *second = record_list_pop(&list);
	assert_int_equal(first->flow.id, 1);
	assert_null(first->next);
	assert_int_equal(second->kind, RECORD_PACKET);
	assert_int_equal(list.records, 1);
	assert_int_equal(list.bytes, sizeof(struct record));

	_cleanup_(record_freep) struct record *third = record_list_pop(&list);
	assert_int_equal(third->flow.id, 3);
	assert_null(list.first);
	assert_null(list.last);
	assert_int_equal(list.bytes, 0);
	record_list_append(&list, flow_of(4));
	assert_ptr_equal(list.first, list.last);
}

static void test_splice(void **state)
{
	_cleanup_(record_list_clear) struct record_list list = { 0 }, more = { 0 };

	record_list_splice(&list, &more);
	assert_int_equal(list.records, 0);
	record_list_append(&more, flow_of(1));
	record_list_append(&more, packet_of(10));
	record_list_splice(&list, &more);
	assert_int_equal(list.records, 2);
	assert_null(more.first);
	assert_null(more.last);
	assert_int_equal(more.records + more.bytes, 0);

	record_list_append(&more, flow_of(3));
	record_list_splice(&list, &more);
	record_list_splice(&list, &more);
	assert_int_equal(list.records, 3);
	assert_int_equal(list.bytes, 3 * sizeof(struct record) + 10);
	assert_int_equal(list.last->flow.id, 3);
	assert_ptr_equal(list.first->next->next, list.last);
	record_list_clear(&list);
	assert_int_equal(list.records + list.bytes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new),    cmocka_unit_test(test_owner), cmocka_unit_test(test_unnamed),
		cmocka_unit_test(test_owners), cmocka_unit_test(test_list),  cmocka_unit_test(test_splice),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
