// SPDX-License-Identifier: Apache-2.0
/* Any text as a cgroup path: what comes out is well-formed and was in the text, or the output is untouched. */
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "user/cgroup.h"
#include "user/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t count_hex(const char *text)
{
	size_t n = 0;
	for (; *text; text++)
		n += strchr("0123456789abcdef", *text) != NULL;
	return n;
}

static bool contains_uid(const char *path, const char *uid)
{
	char escaped[sizeof(((struct cgroup_path *)0)->pod_uid)];
	size_t size = strlen(uid);
	for (size_t i = 0; i <= size; i++)
		escaped[i] = uid[i] == '-' ? '_' : uid[i];
	return strstr(path, uid) || strstr(path, escaped);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(freep) char *path = malloc(size + 1);
	struct cgroup_path parsed = { .container_id = "untouched", .pod_uid = "untouched", .qos = QOS_NONE };

	if (!path)
		return 0;
	memcpy(path, data, size);
	path[size] = '\0';
	if (!cgroup_path_parse(path, &parsed)) {
		assert(!strcmp(parsed.container_id, "untouched") && !strcmp(parsed.pod_uid, "untouched"));
		return 0;
	}
	size_t id = strlen(parsed.container_id), uid = strlen(parsed.pod_uid);
	assert(id || uid);
	assert(id == 0 || (id == 64 && count_hex(parsed.container_id) == 64 && strstr(path, parsed.container_id)));
	assert(uid == 0 || uid == 32 || uid == 36);
	assert(uid == 0 || (count_hex(parsed.pod_uid) == 32 && contains_uid(path, parsed.pod_uid)));
	assert(uid ? parsed.qos <= QOS_BESTEFFORT : parsed.qos == QOS_NONE);
	return 0;
}
