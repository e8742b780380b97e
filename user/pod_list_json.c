// SPDX-License-Identifier: Apache-2.0
/*
 * From a pod list as the API has it to facts. What the API promises is not believed: a text that is no label or no name must
 * not become an attribute.
 */
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include "user/pod_controller.h"
#include "user/pod_snapshot.h"

#define LABEL_PREFIX   "k8s.pod.label."
#define LABEL_NAME_MAX 63

/* Values of JSON: jansson takes some 100 bytes for each, whatever it has in the text. A pod of a kubelet's has some 500. */
#define VALUES_MAX (2 << 20)

/* A pod's facts before they are copied. */
struct draft {
	struct pod_fact facts[POD_FACTS_MAX];
	size_t n, labels_left_out;
	char maker[POD_NAME_MAX + 1];
	char keys[POD_LABELS_MAX][sizeof(LABEL_PREFIX) + POD_LABEL_KEY_MAX];
};

/* The text of a member; "" where there is none. */
static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text ? text : "";
}

static bool is_alphanumeric(char byte)
{
	return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

/* Letters and digits, and within them bytes of INNER. */
static bool is_word(const char *text, size_t size, size_t max, const char *inner)
{
	if (!size || size > max || !is_alphanumeric(text[0]) || !is_alphanumeric(text[size - 1]))
		return false;
	for (size_t i = 0; i < size; i++)
		if (!is_alphanumeric(text[i]) && !strchr(inner, text[i]))
			return false;
	return true;
}

static bool is_name(const char *text)
{
	return is_word(text, strlen(text), POD_NAME_MAX, "-.");
}

/* "app", "app.kubernetes.io/name". */
static bool is_label_key(const char *key)
{
	const char *slash = strchr(key, '/'), *name = slash ? slash + 1 : key;
	return (!slash || is_word(key, (size_t)(slash - key), POD_NAME_MAX, "-.")) &&
	       is_word(name, strlen(name), LABEL_NAME_MAX, "-_.");
}

static bool is_label_value(const char *value)
{
	return !*value || is_word(value, strlen(value), POD_LABEL_VALUE_MAX, "-_.");
}

/* "2024-02-10T08:00:00Z" as Unix time; 0: it is none. */
static int64_t parse_time(const char *text)
{
	struct tm tm = { 0 };
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return end && !*end ? timegm(&tm) : 0;
}

static void draft_controller(struct draft *draft, const json_t *metadata)
{
	size_t i;
	json_t *reference;
	json_array_foreach(json_object_get(metadata, "ownerReferences"), i, reference)
	{
		if (!json_is_true(json_object_get(reference, "controller")))
			continue;
		const struct pod_controller controller = {
			.api_version = text_of(reference, "apiVersion"),
			.kind = text_of(reference, "kind"),
			.name = text_of(reference, "name"),
			.template_hash = text_of(json_object_get(metadata, "labels"), "pod-template-hash"),
			.created = parse_time(text_of(metadata, "creationTimestamp")),
		};
		if (is_name(controller.name))
			draft->n = pod_controller_facts(&controller, draft->maker, draft->facts);
		/* The API admits no second one. */
		return;
	}
}

static void draft_labels(struct draft *draft, const json_t *metadata)
{
	const char *key;
	json_t *item;
	size_t n = 0;
	json_object_foreach(json_object_get(metadata, "labels"), key, item)
	{
		const char *value = json_string_value(item);
		if (n == POD_LABELS_MAX || !value || !is_label_key(key) || !is_label_value(value)) {
			draft->labels_left_out++;
			continue;
		}
		snprintf(draft->keys[n], sizeof(draft->keys[n]), LABEL_PREFIX "%s", key);
		draft->facts[draft->n++] = (struct pod_fact) { draft->keys[n++], value };
	}
}

/*
 * The kubelet runs a static pod under a uid of its own; the API has a mirror of it, with another uid and this annotation.
 */
static const char *pod_uid(const json_t *metadata)
{
	const char *mirrored = text_of(json_object_get(metadata, "annotations"), "kubernetes.io/config.mirror");
	return *mirrored ? mirrored : text_of(metadata, "uid");
}

static int add_pod(struct pod_snapshot *snapshot, const json_t *metadata, uint64_t now_ns)
{
	struct pod_entry *entry = &snapshot->entries[snapshot->n];
	struct draft draft = { 0 };
	if (pod_key_parse(pod_uid(metadata), &entry->key) < 0)
		return 0;
	draft_controller(&draft, metadata);
	draft_labels(&draft, metadata);
	entry->listed_ns = now_ns;
	entry->facts = pod_facts_new(draft.facts, draft.n);
	if (!entry->facts)
		return -ENOMEM;
	snapshot->n++;
	snapshot->labels_left_out += draft.labels_left_out;
	return 0;
}

static int compare_entries(const void *a, const void *b)
{
	return memcmp(&((const struct pod_entry *)a)->key, &((const struct pod_entry *)b)->key, sizeof(struct pod_key));
}

/* Sorts; of entries with the same key none is left, as nobody can tell which one is right. */
static void sort(struct pod_snapshot *snapshot)
{
	size_t n = 0;
	qsort(snapshot->entries, snapshot->n, sizeof(snapshot->entries[0]), compare_entries);
	for (size_t i = 0, end; i < snapshot->n; i = end) {
		for (end = i + 1; end < snapshot->n; end++)
			if (compare_entries(&snapshot->entries[i], &snapshot->entries[end]) != 0)
				break;
		if (end == i + 1) {
			snapshot->entries[n++] = snapshot->entries[i];
			continue;
		}
		for (size_t twin = i; twin < end; twin++)
			pod_facts_unref(snapshot->entries[twin].facts);
	}
	snapshot->n = n;
}

/* At least as many values as JSON can have in it; separators within its texts count, too. */
static size_t count_values(const char *json, size_t size)
{
	size_t n = 1;
	for (size_t i = 0; i < size; i++)
		n += json[i] == ',' || json[i] == '[' || json[i] == '{';
	return n;
}

static int fail(int error, const char *text, char ret_error[static 256])
{
	snprintf(ret_error, 256, "%s", text);
	return error;
}

static int check_list(const json_t *root, char ret_error[static 256])
{
	const char *kind = text_of(root, "kind");
	const json_t *items = json_object_get(root, "items");
	if (strcmp(kind, "PodList") != 0 && strcmp(kind, "PartialObjectMetadataList") != 0)
		return fail(-EBADMSG,
		            "what node.pods_url answers is not a list of pods: it is /pods at a kubelet, "
		            "/api/v1/pods at an API server",
		            ret_error);
	/* An empty list may be null. */
	if (items && !json_is_null(items) && !json_is_array(items))
		return fail(-EBADMSG, "the list at node.pods_url has no items: check what answers there", ret_error);
	if (*text_of(json_object_get(root, "metadata"), "continue"))
		return fail(-EBADMSG, "the list at node.pods_url is only a part: leave limit= out of node.pods_url",
		            ret_error);
	if (json_array_size(items) > POD_SNAPSHOT_MAX)
		return fail(-EFBIG,
		            "the list at node.pods_url has more than 16384 pods: ask for this node's with "
		            "fieldSelector=spec.nodeName=NAME",
		            ret_error);
	return 0;
}

int pod_snapshot_parse(const char *json, size_t size, uint64_t now_ns, char ret_error[static 256],
                       struct pod_snapshot **ret_snapshot)
{
	json_error_t error;
	if (count_values(json, size) > VALUES_MAX)
		return fail(-EFBIG,
		            "the list at node.pods_url has more in it than can be read: ask for this node's pods with "
		            "fieldSelector=spec.nodeName=NAME",
		            ret_error);
	_cleanup_(json_decrefp) json_t *root = json_loadb(json, size, 0, &error);
	if (!root && json_error_code(&error) == json_error_out_of_memory)
		return fail(-ENOMEM, "out of memory: raise the memory limit", ret_error);
	if (!root)
		return fail(-EBADMSG, "what node.pods_url answers is not JSON: check that it is a list of pods",
		            ret_error);
	int r = check_list(root, ret_error);
	if (r < 0)
		return r;

	size_t i;
	json_t *item;
	const json_t *items = json_object_get(root, "items");
	_cleanup_(pod_snapshot_freep) struct pod_snapshot *snapshot = pod_snapshot_new(json_array_size(items));
	if (!snapshot)
		return fail(-ENOMEM, "out of memory: raise the memory limit", ret_error);
	json_array_foreach(items, i, item) if (add_pod(snapshot, json_object_get(item, "metadata"), now_ns) <
	                                       0) return fail(-ENOMEM, "out of memory: raise the memory limit",
	                                                      ret_error);
	sort(snapshot);
	snapshot->pods = snapshot->n;
	*ret_snapshot = TAKE_PTR(snapshot);
	return 0;
}
