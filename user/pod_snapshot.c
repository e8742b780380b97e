// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <string.h>
#include "user/pod_snapshot.h"

struct pod_snapshot *pod_snapshot_new(size_t n)
{
	return calloc(1, sizeof(struct pod_snapshot) + n * sizeof(struct pod_entry));
}

void pod_snapshot_free(struct pod_snapshot *snapshot)
{
	if (!snapshot)
		return;
	for (size_t i = 0; i < snapshot->n; i++)
		pod_facts_unref(snapshot->entries[i].facts);
	free(snapshot);
}

static int hex_digit(char byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	if (byte >= 'a' && byte <= 'f')
		return byte - 'a' + 10;
	return byte >= 'A' && byte <= 'F' ? byte - 'A' + 10 : -1;
}

int pod_key_parse(const char *uid, struct pod_key *ret_key)
{
	struct pod_key key = { 0 };
	size_t digits = 0;
	for (; *uid; uid++) {
		int digit = hex_digit(*uid);
		if (*uid == '-')
			continue;
		if (digit < 0 || digits == 2 * sizeof(key.bytes))
			return -EINVAL;
		key.bytes[digits / 2] = (uint8_t)(key.bytes[digits / 2] << 4 | digit);
		digits++;
	}
	if (digits != 2 * sizeof(key.bytes))
		return -EINVAL;
	*ret_key = key;
	return 0;
}

static void add(struct pod_snapshot *snapshot, const struct pod_entry *entry)
{
	struct pod_entry *copy = &snapshot->entries[snapshot->n++];
	*copy = *entry;
	pod_facts_ref(copy->facts);
}

int pod_snapshot_merge(const struct pod_snapshot *newer, const struct pod_snapshot *older, uint64_t since_ns,
                       struct pod_snapshot **ret_snapshot)
{
	size_t n_older = older ? older->n : 0, room = POD_SNAPSHOT_MAX - newer->n;
	struct pod_snapshot *merged = pod_snapshot_new(newer->n + (n_older < room ? n_older : room));
	if (!merged)
		return -ENOMEM;
	merged->pods = newer->pods;
	merged->labels_left_out = newer->labels_left_out;
	for (size_t i = 0, j = 0; i < newer->n || j < n_older;) {
		int order = i == newer->n ? 1
		            : j == n_older
		                    ? -1
		                    : memcmp(&newer->entries[i].key, &older->entries[j].key, sizeof(struct pod_key));
		if (order > 0 && older->entries[j].listed_ns >= since_ns && room) {
			add(merged, &older->entries[j]);
			room--;
		}
		if (order <= 0)
			add(merged, &newer->entries[i++]);
		if (order >= 0)
			j++;
	}
	*ret_snapshot = merged;
	return 0;
}

static int compare_key(const void *key, const void *entry)
{
	return memcmp(key, &((const struct pod_entry *)entry)->key, sizeof(struct pod_key));
}

struct pod_facts *pod_snapshot_find(const struct pod_snapshot *snapshot, const struct pod_key *key)
{
	const struct pod_entry *entry = bsearch(key, snapshot->entries, snapshot->n, sizeof(*entry), compare_key);
	return entry ? entry->facts : NULL;
}
