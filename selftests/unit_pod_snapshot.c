// SPDX-License-Identifier: Apache-2.0
/* States of the pod list: keys, merging, and who holds what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "user/pod_snapshot.h"

#define UID "6f1d2c3b-4a5e-4f60-8b7c-9d0e1f2a3b4c"

static void test_keys(void **state)
{
	static const char *const same[] = { UID, "6f1d2c3b4a5e4f608b7c9d0e1f2a3b4c",
		                            "6F1D2C3B4A5E4F608B7C9D0E1F2A3B4C" };
	static const char *const wrong[] = { "", "-", "6f1d2c3b", (UID "0"), "6f1d2c3b-4a5e-4f60-8b7c-9d0e1f2a3b4g" };
	const struct pod_key expected = { { 0x6f, 0x1d, 0x2c, 0x3b, 0x4a, 0x5e, 0x4f, 0x60, 0x8b, 0x7c, 0x9d, 0x0e,
		                            0x1f, 0x2a, 0x3b, 0x4c } };
	struct pod_key key;
	for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
		assert_int_equal(pod_key_parse(same[i], &key), 0);
		assert_memory_equal(&key, &expected, sizeof(key));
	}
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(pod_key_parse(wrong[i], &key), -EINVAL);
}

/* Pods 0 .. N-1 of a list got at NOW_NS; their label tells of the list. */
static struct pod_snapshot *make(uint32_t first, uint32_t n, uint64_t now_ns, const char *label)
{
	struct pod_snapshot *snapshot = pod_snapshot_new(n);
	const struct pod_fact fact = { "k8s.pod.label.list", label };
	assert_non_null(snapshot);
	for (uint32_t i = 0; i < n; i++) {
		struct pod_entry *entry = &snapshot->entries[i];
		uint32_t number = first + i;
		for (int byte = 0; byte < 4; byte++)
			entry->key.bytes[byte] = (uint8_t)(number >> (24 - 8 * byte));
		entry->listed_ns = now_ns;
		entry->facts = pod_facts_new(&fact, 1);
	}
	snapshot->n = snapshot->pods = n;
	return snapshot;
}

static const char *list_of(const struct pod_snapshot *snapshot, uint32_t number)
{
	char uid[40];
	size_t n;
	struct pod_key key;
	snprintf(uid, sizeof(uid), "%08x%024d", number, 0);
	assert_int_equal(pod_key_parse(uid, &key), 0);
	const struct pod_fact *facts = pod_facts_all(pod_snapshot_find(snapshot, &key), &n);
	return n ? facts->value : "";
}

static void test_merge(void **state)
{
	_cleanup_(pod_snapshot_freep) struct pod_snapshot *older = make(0, 10, 100, "old"),
							  *newer = make(5, 10, 200, "new"), *merged = NULL,
							  *later = NULL;
	assert_int_equal(pod_snapshot_merge(newer, older, 100, &merged), 0);
	assert_int_equal(merged->n, 15);
	assert_int_equal(merged->pods, 10);
	for (uint32_t i = 0; i < 15; i++)
		assert_string_equal(list_of(merged, i), i < 5 ? "old" : "new");
	assert_string_equal(list_of(merged, 15), "");

	/* Once more, when those of the first list are long gone; and nothing was there before. */
	assert_int_equal(pod_snapshot_merge(newer, merged, 101, &later), 0);
	assert_int_equal(later->n, 10);
	pod_snapshot_free(TAKE_PTR(later));
	assert_int_equal(pod_snapshot_merge(newer, NULL, 0, &later), 0);
	assert_int_equal(later->n, 10);
}

static void test_merge_is_bounded(void **state)
{
	_cleanup_(pod_snapshot_freep) struct pod_snapshot *older = make(0, 20, 100, "old"),
							  *newer = make(20, POD_SNAPSHOT_MAX - 10, 200, "new"),
							  *merged = NULL;
	assert_int_equal(pod_snapshot_merge(newer, older, 0, &merged), 0);
	assert_int_equal(merged->n, POD_SNAPSHOT_MAX);
	assert_string_equal(list_of(merged, 9), "old");
	assert_string_equal(list_of(merged, 10), "");
	assert_string_equal(list_of(merged, 20), "new");
	assert_string_equal(list_of(merged, POD_SNAPSHOT_MAX + 9), "new");
}

static void test_facts_outlive_the_list(void **state)
{
	struct pod_snapshot *snapshot = make(0, 1, 0, "kept");
	_cleanup_(pod_facts_unrefp) struct pod_facts *facts = pod_facts_ref(snapshot->entries[0].facts);
	size_t n;
	pod_snapshot_free(snapshot);
	assert_string_equal(pod_facts_all(facts, &n)->value, "kept");
	assert_int_equal(n, 1);
	assert_string_equal(pod_facts_all(facts, &n)->key, "k8s.pod.label.list");
	assert_string_equal(pod_facts_all(facts, &n)->end_key[0], "source.k8s.pod.label.list");
	assert_string_equal(pod_facts_all(facts, &n)->end_key[1], "destination.k8s.pod.label.list");
	assert_null(pod_facts_all(NULL, &n));
	assert_int_equal(n, 0);
	pod_facts_unref(pod_facts_ref(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_merge_is_bounded),
		cmocka_unit_test(test_facts_outlive_the_list),
	};
	return cmocka_run_group_tests_name("pod_snapshot", tests, NULL, NULL);
}
