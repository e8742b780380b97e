// SPDX-License-Identifier: Apache-2.0
#include <string.h>
#include "user/pod_netns.h"

#define HASH_NONFATAL_OOM 1 /* without, uthash ends the process */
#include <uthash.h>

struct pod {
	uint64_t cookie;
	UT_hash_handle hh;
	char uid[];
};

struct pod_netns {
	struct pod *pods; /* those learnt of first */
	size_t max;
};

struct pod_netns *pod_netns_new(size_t max)
{
	struct pod_netns *pods = calloc(1, sizeof(*pods));
	if (pods)
		pods->max = max;
	return pods;
}

static void pod_remove(struct pod_netns *pods, struct pod *pod)
{
	HASH_DEL(pods->pods, pod);
	free(pod);
}

void pod_netns_free(struct pod_netns *pods)
{
	if (!pods)
		return;
	while (pods->pods)
		pod_remove(pods, pods->pods);
	free(pods);
}

static struct pod *pod_find(const struct pod_netns *pods, const char *uid)
{
	struct pod *pod;
	HASH_FIND_STR(pods->pods, uid, pod);
	return pod;
}

void pod_netns_learn(struct pod_netns *pods, const char *uid, uint64_t cookie)
{
	struct pod *pod = pod_find(pods, uid);
	if (pod) {
		pod->cookie = cookie;
		return;
	}
	if (pods->pods && HASH_COUNT(pods->pods) >= pods->max)
		pod_remove(pods, pods->pods);
	size_t size = strlen(uid);
	pod = malloc(sizeof(*pod) + size + 1);
	if (!pod)
		return;
	pod->cookie = cookie;
	memcpy(pod->uid, uid, size + 1);
	HASH_ADD_KEYPTR(hh, pods->pods, pod->uid, size, pod);
	if (!pod->hh.tbl)
		free(pod);
}

uint64_t pod_netns_find(const struct pod_netns *pods, const char *uid)
{
	const struct pod *pod = uid ? pod_find(pods, uid) : NULL;
	return pod ? pod->cookie : 0;
}
