// SPDX-License-Identifier: Apache-2.0
/* Any bytes as a pod list: what comes out keeps to what the headers promise, or there is a sentence that says why not. */
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include "user/pod_snapshot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_label(const struct pod_fact *fact)
{
	return strncmp(fact->key, "k8s.pod.label.", strlen("k8s.pod.label.")) == 0;
}

static void check_text(const char *text, size_t max)
{
	assert(strlen(text) <= max);
	for (; *text; text++)
		assert(*text > ' ' && *text <= '~' && *text != '"');
}

static void check_facts(const struct pod_facts *facts)
{
	size_t n, labels = 0;
	const struct pod_fact *all = pod_facts_all(facts, &n);
	assert(n <= POD_FACTS_MAX);
	for (size_t i = 0; i < n; i++) {
		bool label = is_label(&all[i]);
		labels += label;
		/* Controllers come first. */
		assert(label || (labels == 0 && i < 2 && *all[i].value));
		check_text(all[i].key, strlen("k8s.pod.label.") + POD_LABEL_KEY_MAX);
		check_text(all[i].value, label ? POD_LABEL_VALUE_MAX : POD_NAME_MAX);
		for (size_t j = 0; j < i; j++)
			assert(strcmp(all[i].key, all[j].key) != 0);
	}
	assert(labels <= POD_LABELS_MAX);
}

static void check_snapshot(const struct pod_snapshot *snapshot)
{
	assert(snapshot->n <= POD_SNAPSHOT_MAX);
	for (size_t i = 0; i < snapshot->n; i++) {
		const struct pod_entry *entry = &snapshot->entries[i];
		assert(!i || memcmp(&entry[-1].key, &entry->key, sizeof(entry->key)) < 0);
		assert(pod_snapshot_find(snapshot, &entry->key) == entry->facts);
		check_facts(entry->facts);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char error[256] = "";
	_cleanup_(pod_snapshot_freep) struct pod_snapshot *snapshot = NULL, *merged = NULL;
	int r = pod_snapshot_parse((const char *)data, size, 1, error, &snapshot);
	assert(r == 0 || r == -EBADMSG || r == -EFBIG);
	assert((r == 0) == (*error == '\0') && (r == 0) == (snapshot != NULL));
	if (r < 0)
		return 0;
	check_snapshot(snapshot);
	/* With itself it is the same again. */
	if (pod_snapshot_merge(snapshot, snapshot, 0, &merged) == 0) {
		assert(merged->n == snapshot->n);
		check_snapshot(merged);
	}
	return 0;
}
