// SPDX-License-Identifier: Apache-2.0
/*
 * A path is read from its root, component by component. The outermost pod counts: it is the one that this node's
 * kubelet knows (a cluster inside a pod has pods of its own further down), and its container is the component right
 * below it. Without a pod the outermost container counts. Components that only resemble a pod or a container are
 * nothing: a name is better missing than wrong.
 */
#include <string.h>
#include "user/cgroup.h"
#include "user/cleanup.h"

#define CONTAINER_ID_SIZE 64
#define UUID_SIZE         36
#define STATIC_UID_SIZE   32 /* the kubelet's hash of a static pod's manifest */

/* A piece of the path, not terminated. */
struct word {
	const char *text;
	size_t size;
};

static const struct {
	const char *name;
	enum cgroup_qos qos;
} qos_levels[] = { { "besteffort", QOS_BESTEFFORT }, { "burstable", QOS_BURSTABLE } };

/* Monitors have similar names (crio-conmon-<id>, libpod-conmon-<id>), so the whole prefix must match. */
static const char *const runtimes[] = { "cri-containerd", "crio", "docker", "libpod", "libpod-payload", "nerdctl" };

static bool word_is(struct word word, const char *text)
{
	return word.size == strlen(text) && !memcmp(word.text, text, word.size);
}

static bool take_prefix(struct word *word, const char *prefix)
{
	size_t size = strlen(prefix);
	if (word->size < size || memcmp(word->text, prefix, size))
		return false;
	word->text += size;
	word->size -= size;
	return true;
}

static bool take_suffix(struct word *word, const char *suffix)
{
	size_t size = strlen(suffix);
	if (word->size < size || memcmp(word->text + word->size - size, suffix, size))
		return false;
	word->size -= size;
	return true;
}

/* Splits WORD at the first BYTE: *ret_head is what is before it, WORD what is after. Without one, nothing changes. */
static bool take_until(struct word *word, char byte, struct word *ret_head)
{
	const char *end = memchr(word->text, byte, word->size);
	if (!end)
		return false;
	*ret_head = (struct word) { word->text, (size_t)(end - word->text) };
	word->size -= ret_head->size + 1;
	word->text = end + 1;
	return true;
}

static bool next_component(struct word *path, struct word *ret_component)
{
	while (take_prefix(path, "/"))
		;
	if (!path->size)
		return false;
	if (!take_until(path, '/', ret_component)) {
		*ret_component = *path;
		path->size = 0;
	}
	return true;
}

static bool is_hex(char byte)
{
	return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f');
}

static bool all_hex(struct word word)
{
	for (size_t i = 0; i < word.size; i++)
		if (!is_hex(word.text[i]))
			return false;
	return true;
}

/* systemd's names cannot hold the dashes of a UUID, so that driver writes SEPARATOR '_'. */
static bool parse_uid(struct word word, char separator, char ret_uid[static UUID_SIZE + 1])
{
	char uid[UUID_SIZE + 1] = "";

	if (word.size == STATIC_UID_SIZE && all_hex(word)) {
		memcpy(uid, word.text, word.size);
	} else if (word.size == UUID_SIZE) {
		for (size_t i = 0; i < UUID_SIZE; i++) {
			bool dash = i == 8 || i == 13 || i == 18 || i == 23;
			if (dash ? word.text[i] != separator : !is_hex(word.text[i]))
				return false;
			uid[i] = dash ? '-' : word.text[i];
		}
	} else {
		return false;
	}
	memcpy(ret_uid, uid, sizeof(uid));
	return true;
}

static bool parse_container_id(struct word word, char ret_id[static CONTAINER_ID_SIZE + 1])
{
	if (word.size != CONTAINER_ID_SIZE || !all_hex(word))
		return false;
	memcpy(ret_id, word.text, CONTAINER_ID_SIZE);
	ret_id[CONTAINER_ID_SIZE] = '\0';
	return true;
}

static bool is_runtime(struct word word)
{
	for (size_t i = 0; i < ARRAY_SIZE(runtimes); i++)
		if (word_is(word, runtimes[i]))
			return true;
	return false;
}

/* <id>, <runtime>-<id>, <runtime>-<id>.scope, or <slice>:<runtime>:<id> (runc without systemd, told a systemd path). */
static bool parse_container(struct word word, char ret_id[static CONTAINER_ID_SIZE + 1])
{
	struct word slice, runtime;

	if (parse_container_id(word, ret_id))
		return true;
	if (take_until(&word, ':', &slice))
		return take_suffix(&slice, ".slice") && take_until(&word, ':', &runtime) && is_runtime(runtime) &&
		       parse_container_id(word, ret_id);

	take_suffix(&word, ".scope");
	if (word.size <= CONTAINER_ID_SIZE + 1)
		return false;
	runtime = (struct word) { word.text, word.size - CONTAINER_ID_SIZE - 1 };
	struct word id = { word.text + runtime.size + 1, CONTAINER_ID_SIZE };
	return runtime.text[runtime.size] == '-' && is_runtime(runtime) && parse_container_id(id, ret_id);
}

/*
 * pod<uid> below kubepods/[<qos>/]. In a path that begins above the reader's cgroup namespace, ".." stands for parents
 * that cannot be seen, and no level above the pod does not mean "guaranteed" there.
 */
static bool parse_cgroupfs_pod(struct word word, struct word parent, struct word grandparent,
                               struct cgroup_path *ret_parsed)
{
	enum cgroup_qos qos = word_is(parent, "kubepods") ? QOS_GUARANTEED : QOS_NONE;

	for (size_t i = 0; i < ARRAY_SIZE(qos_levels); i++)
		if (word_is(parent, qos_levels[i].name) &&
		    (word_is(grandparent, "kubepods") || word_is(grandparent, "..")))
			qos = qos_levels[i].qos;
	if (qos == QOS_NONE && !word_is(parent, ".."))
		return false;
	if (!take_prefix(&word, "pod") || !parse_uid(word, '-', ret_parsed->pod_uid))
		return false;
	ret_parsed->qos = qos;
	return true;
}

/* [<parent slices>-]kubepods[-<qos>]-pod<uid>.slice; what stands above it is repeated in its name. */
static bool parse_systemd_pod(struct word word, struct cgroup_path *ret_parsed)
{
	struct word slice, parent;
	enum cgroup_qos qos = QOS_GUARANTEED;

	if (take_until(&word, ':', &slice))
		word = slice;
	if (!take_suffix(&word, ".slice"))
		return false;
	while (!take_prefix(&word, "kubepods-"))
		if (!take_until(&word, '-', &parent))
			return false;
	for (size_t i = 0; i < ARRAY_SIZE(qos_levels); i++)
		if (take_prefix(&word, qos_levels[i].name)) {
			if (!take_prefix(&word, "-"))
				return false;
			qos = qos_levels[i].qos;
			break;
		}
	if (!take_prefix(&word, "pod") || !parse_uid(word, '_', ret_parsed->pod_uid))
		return false;
	ret_parsed->qos = qos;
	return true;
}

bool cgroup_path_parse(const char *path, struct cgroup_path *ret_parsed)
{
	struct word rest = { path, strlen(path) }, word, parent = { "", 0 }, grandparent = { "", 0 };
	struct cgroup_path parsed = { .qos = QOS_NONE };

	if (path[0] != '/')
		return false;
	take_suffix(&rest, " (deleted)"); /* how /proc/PID/cgroup marks a cgroup that is gone but for this process */

	while (next_component(&rest, &word)) {
		if (parse_systemd_pod(word, &parsed) || parse_cgroupfs_pod(word, parent, grandparent, &parsed)) {
			parsed.container_id[0] = '\0';
			if (!parse_container(word, parsed.container_id) && next_component(&rest, &word))
				parse_container(word, parsed.container_id);
			break;
		}
		if (!parsed.container_id[0])
			parse_container(word, parsed.container_id);
		grandparent = parent;
		parent = word;
	}
	if (!parsed.pod_uid[0] && !parsed.container_id[0])
		return false;
	*ret_parsed = parsed;
	return true;
}
