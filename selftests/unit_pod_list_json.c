// SPDX-License-Identifier: Apache-2.0
/* Lists of pods as kubelets and API servers have them, and odd ones: what facts are made of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdbool.h>
#include <string.h>
#include "user/buf.h"
#include "user/pod_snapshot.h"

#define UID      "6f1d2c3b-4a5e-4f60-8b7c-9d0e1f2a3b4c"
#define UID2     "00000000-4a5e-4f60-8b7c-9d0e1f2a3b4c"
#define STATIC   "d41d8cd98f00b204e9800998ecf8427e"
#define NEVER_NS 1000

#define TEN(text)  text text text text text text text text text text
#define LABEL_63   TEN("abcdef") "abc"
#define DOMAIN_253 TEN("abcde.fghij.klmno.") TEN("pqrs.tu") "abc"

static struct pod_snapshot *parse(const char *json)
{
	char error[256] = "";
	struct pod_snapshot *snapshot = NULL;
	if (pod_snapshot_parse(json, strlen(json), NEVER_NS, error, &snapshot) < 0)
		fail_msg("%s: %s", json, error);
	assert_string_equal(error, "");
	return snapshot;
}

/* A list of pods with this METADATA. */
static struct pod_snapshot *parse_pods(const char *metadata)
{
	_cleanup_(buf_free) struct buf json = BUF_INIT(1 << 20);
	buf_appendf(&json, "{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{},\"items\":[%s]}", metadata);
	return parse(buf_text(&json));
}

static struct pod_facts *find(const struct pod_snapshot *snapshot, const char *uid)
{
	struct pod_key key;
	assert_int_equal(pod_key_parse(uid, &key), 0);
	return pod_snapshot_find(snapshot, &key);
}

/* "key=value key=value". */
static void append_facts(struct buf *out, const struct pod_facts *facts)
{
	size_t n;
	const struct pod_fact *all = pod_facts_all(facts, &n);
	for (size_t i = 0; i < n; i++)
		buf_appendf(out, "%s%s=%s", i ? " " : "", all[i].key, all[i].value);
}

static void expect_facts(const struct pod_snapshot *snapshot, const char *uid, const char *expected)
{
	_cleanup_(buf_free) struct buf text = BUF_INIT(65536);
	struct pod_facts *facts = find(snapshot, uid);
	assert_non_null(facts);
	append_facts(&text, facts);
	assert_string_equal(buf_text(&text), expected);
}

#define OWNER(version, kind, name)                                                                    \
	"\"ownerReferences\":[{\"apiVersion\":\"" version "\",\"kind\":\"" kind "\",\"name\":\"" name \
	"\",\"controller\":true,\"blockOwnerDeletion\":true}]"
#define LABELS(labels) "\"labels\":{" labels "}"

#define CREATED(time) "\"creationTimestamp\":\"2024-02-10T" time "Z\""

/* What a pod's metadata holds besides its uid, and "key=value key=value" of it. */
struct row {
	const char *metadata, *facts;
};

static void expect_rows(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		_cleanup_(buf_free) struct buf item = BUF_INIT(65536);
		buf_appendf(&item, "{\"metadata\":{\"uid\":\"%s\",%s},\"spec\":{}}", UID, rows[i].metadata);
		print_message("%s\n", rows[i].metadata);
		_cleanup_(pod_snapshot_freep) struct pod_snapshot *snapshot = parse_pods(buf_text(&item));
		assert_int_equal(snapshot->labels_left_out, 0);
		expect_facts(snapshot, UID, rows[i].facts);
	}
}

static void test_labels(void **state)
{
	static const struct row rows[] = {
		{ LABELS("\"app\":\"web\",\"app.kubernetes.io/name\":\"shop\",\"empty\":\"\""),
		  "k8s.pod.label.app=web k8s.pod.label.app.kubernetes.io/name=shop k8s.pod.label.empty=" },
		{ "\"name\":\"bare\"", "" },
		{ "\"labels\":null,\"ownerReferences\":null", "" },
	};
	expect_rows(rows, ARRAY_SIZE(rows));
}

static void test_deployments(void **state)
{
	static const struct row rows[] = {
		{ OWNER("apps/v1", "ReplicaSet", "web-5d8f7c9b4d") "," LABELS("\"pod-template-hash\":\"5d8f7c9b4d\""),
		  "k8s.deployment.name=web k8s.replicaset.name=web-5d8f7c9b4d "
		  "k8s.pod.label.pod-template-hash=5d8f7c9b4d" },
		{ OWNER("apps/v1", "ReplicaSet", "web-5d8f7c9b4d"), "k8s.replicaset.name=web-5d8f7c9b4d" },
		{ OWNER("apps/v1", "ReplicaSet", "web-x") "," LABELS("\"pod-template-hash\":\"y\""),
		  "k8s.replicaset.name=web-x k8s.pod.label.pod-template-hash=y" },
		{ OWNER("apps/v1", "ReplicaSet", "webx") "," LABELS("\"pod-template-hash\":\"x\""),
		  "k8s.replicaset.name=webx k8s.pod.label.pod-template-hash=x" },
		{ OWNER("apps/v1", "ReplicaSet", "x") "," LABELS("\"pod-template-hash\":\"x\""),
		  "k8s.replicaset.name=x k8s.pod.label.pod-template-hash=x" },
		{ OWNER("apps/v1", "ReplicaSet", "web") "," LABELS("\"pod-template-hash\":\"\""),
		  "k8s.replicaset.name=web k8s.pod.label.pod-template-hash=" },
		{ OWNER("apps/v1", "ReplicaSet", "web-x") "," LABELS("\"rollouts-pod-template-hash\":\"x\""),
		  "k8s.replicaset.name=web-x k8s.pod.label.rollouts-pod-template-hash=x" },
	};
	expect_rows(rows, ARRAY_SIZE(rows));
}

/* Others of Kubernetes' own, and not. */
static void test_controllers(void **state)
{
	static const struct row rows[] = {
		{ OWNER("apps/v1", "StatefulSet", "db"), "k8s.statefulset.name=db" },
		{ OWNER("apps/v1", "DaemonSet", "proxy"), "k8s.daemonset.name=proxy" },
		{ OWNER("batch/v1", "Job", "once"), "k8s.job.name=once" },
		{ OWNER("v1", "ReplicationController", "rc"), "k8s.replicationcontroller.name=rc" },
		{ OWNER("apps.example/v1", "StatefulSet", "db"), "" },
		{ OWNER("v1", "StatefulSet", "db"), "" },
		{ OWNER("app/v1", "StatefulSet", "db"), "" },
		{ OWNER("v1", "Node", "n"), "" },
		{ OWNER("apps/v1", "StatefulSet", "a b"), "" },
		{ OWNER("apps/v1", "StatefulSet", ""), "" },
		{ OWNER("apps/v1", "StatefulSet", "-a"), "" },
		{ "\"ownerReferences\":[{\"apiVersion\":\"apps/v1\",\"kind\":\"StatefulSet\",\"name\":\"db\"}]", "" },
		{ "\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"name\":\"n\",\"controller\":false},"
		  "{\"apiVersion\":\"apps/v1\",\"kind\":\"DaemonSet\",\"name\":\"d\",\"controller\":true}]",
		  "k8s.daemonset.name=d" },
		{ "\"ownerReferences\":[1,{\"controller\":true}]", "" },
		{ "\"ownerReferences\":{\"controller\":true}", "" },
	};
	expect_rows(rows, ARRAY_SIZE(rows));
}

/* 28459200 minutes are 2024-02-10T08:00:00Z. */
static void test_cronjobs(void **state)
{
	static const struct row rows[] = {
		{ OWNER("batch/v1", "Job", "backup-28459200") "," CREATED("08:00:00"),
		  "k8s.cronjob.name=backup k8s.job.name=backup-28459200" },
		{ OWNER("batch/v1", "Job", "backup-28459200") "," CREATED("08:00:01"),
		  "k8s.cronjob.name=backup k8s.job.name=backup-28459200" },
		{ OWNER("batch/v1", "Job", "backup-28459201") "," CREATED("08:00:01"), "k8s.job.name=backup-28459201" },
		{ OWNER("batch/v1", "Job", "backup-28457761") "," CREATED("08:00:01"),
		  "k8s.cronjob.name=backup k8s.job.name=backup-28457761" },
		{ OWNER("batch/v1", "Job", "backup-28457760") "," CREATED("08:00:01"), "k8s.job.name=backup-28457760" },
		{ OWNER("batch/v1", "Job", "backup-1707552000") "," CREATED("08:00:01"),
		  "k8s.job.name=backup-1707552000" },
		{ OWNER("batch/v1", "Job", "backup-20240210") "," CREATED("08:00:01"), "k8s.job.name=backup-20240210" },
		{ OWNER("batch/v1", "Job", "backup-28459200"), "k8s.job.name=backup-28459200" },
		{ OWNER("batch/v1", "Job", "backup-28459200") ",\"creationTimestamp\":\"2024-02-10 08:00:01\"",
		  "k8s.job.name=backup-28459200" },
		{ OWNER("batch/v1", "Job", "-28459200") "," CREATED("08:00:01"), "" },
		{ OWNER("batch/v1", "Job", "28459200") "," CREATED("08:00:01"), "k8s.job.name=28459200" },
		{ OWNER("batch/v1", "Job", TEN("abcde") "xy-28459200") "," CREATED("08:00:01"),
		  "k8s.cronjob.name=" TEN("abcde") "xy k8s.job.name=" TEN("abcde") "xy-28459200" },
		{ OWNER("batch/v1", "Job", TEN("abcde") "xyz-28459200") "," CREATED("08:00:01"),
		  "k8s.job.name=" TEN("abcde") "xyz-28459200" },
	};
	expect_rows(rows, ARRAY_SIZE(rows));
}

static void test_labels_left_out(void **state)
{
	static const struct {
		const char *label;
		bool kept;
	} rows[] = {
		{ "\"" LABEL_63 "\":\"" LABEL_63 "\"", true },
		{ "\"" DOMAIN_253 "/" LABEL_63 "\":\"A_b-c.D\"", true },
		{ "\"a" DOMAIN_253 "/a\":\"a\"", false },
		{ "\"" LABEL_63 "a\":\"a\"", false },
		{ "\"a\":\"" LABEL_63 "a\"", false },
		{ "\"\":\"a\"", false },
		{ "\"/a\":\"a\"", false },
		{ "\"a/\":\"a\"", false },
		{ "\"a/b/c\":\"a\"", false },
		{ "\"a b\":\"a\"", false },
		{ "\"-a\":\"a\"", false },
		{ "\"a\":\"a-\"", false },
		{ "\"a\":\"a b\"", false },
		{ "\"a\":\"\\n\"", false },
		{ "\"\\u00e4\":\"a\"", false },
		{ "\"a\":\"\\u00e4\"", false },
		{ "\"a\":1", false },
		{ "\"a\":null", false },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t n;
		_cleanup_(buf_free) struct buf item = BUF_INIT(65536);
		buf_appendf(&item, "{\"metadata\":{\"uid\":\"%s\",\"labels\":{%s,\"z\":\"z\"}}}", UID, rows[i].label);
		print_message("%s\n", rows[i].label);
		_cleanup_(pod_snapshot_freep) struct pod_snapshot *snapshot = parse_pods(buf_text(&item));
		assert_int_equal(snapshot->labels_left_out, !rows[i].kept);
		const struct pod_fact *facts = pod_facts_all(find(snapshot, UID), &n);
		assert_int_equal(n, 1 + rows[i].kept);
		assert_string_equal(facts[n - 1].key, "k8s.pod.label.z");
	}
	assert_int_equal(strlen(DOMAIN_253), 253);
	assert_int_equal(strlen(LABEL_63), 63);
}

static void test_too_many_labels(void **state)
{
	_cleanup_(buf_free) struct buf item = BUF_INIT(65536);
	buf_appendf(&item, "{\"metadata\":{\"uid\":\"" UID "\"," OWNER("batch/v1", "Job", "b-28459200") "," CREATED(
				   "08:00:00") ",\"labels\":{\"bad key\":\"\"");
	for (int i = 0; i < 40; i++)
		buf_appendf(&item, ",\"l%02d\":\"v%d\"", i, i);
	buf_appendf(&item, "}}}");
	_cleanup_(pod_snapshot_freep) struct pod_snapshot *snapshot = parse_pods(buf_text(&item));
	size_t n;
	const struct pod_fact *facts = pod_facts_all(find(snapshot, UID), &n);
	assert_int_equal(n, POD_FACTS_MAX);
	assert_int_equal(snapshot->labels_left_out, 9);
	assert_string_equal(facts[0].key, "k8s.cronjob.name");
	assert_string_equal(facts[2].key, "k8s.pod.label.l00");
	assert_string_equal(facts[n - 1].key, "k8s.pod.label.l31");
	assert_string_equal(facts[n - 1].value, "v31");
}

static void test_uids(void **state)
{
	_cleanup_(pod_snapshot_freep) struct pod_snapshot *snapshot = parse_pods(
		"{\"metadata\":{\"uid\":\"" UID "\",\"labels\":{\"a\":\"1\"}}},"
		"{\"metadata\":{\"uid\":\"" STATIC "\",\"labels\":{\"a\":\"2\"}}},"
		"{\"metadata\":{\"uid\":\"" UID "0\"}},{\"metadata\":{\"uid\":\"x\"}},{\"metadata\":{\"uid\":7}},"
		"{\"metadata\":{}},{},7");
	assert_int_equal(snapshot->n, 2);
	assert_int_equal(snapshot->pods, 2);
	expect_facts(snapshot, UID, "k8s.pod.label.a=1");
	expect_facts(snapshot, "6F1D2C3B4A5E4F608B7C9D0E1F2A3B4C", "k8s.pod.label.a=1");
	expect_facts(snapshot, STATIC, "k8s.pod.label.a=2");
	assert_null(find(snapshot, UID2));
	assert_int_equal(snapshot->entries[0].listed_ns, NEVER_NS);
}

/* On the node a static pod has the uid in the annotation; the mirror's own is not seen there. */
static void test_mirror_pod(void **state)
{
	_cleanup_(pod_snapshot_freep) struct pod_snapshot *snapshot =
		parse_pods("{\"metadata\":{\"uid\":\"" UID "\",\"labels\":{\"component\":\"etcd\"},\"annotations\":{"
	                   "\"kubernetes.io/config.hash\":\"" STATIC "\",\"kubernetes.io/config.mirror\":\"" STATIC
	                   "\"}," OWNER("v1", "Node", "n") "}}");
	expect_facts(snapshot, STATIC, "k8s.pod.label.component=etcd");
	assert_null(find(snapshot, UID));
}

static void test_same_uid(void **state)
{
	_cleanup_(pod_snapshot_freep) struct pod_snapshot *snapshot =
		parse_pods("{\"metadata\":{\"uid\":\"" UID "\",\"labels\":{\"a\":\"1\"}}},"
	                   "{\"metadata\":{\"uid\":\"" UID2 "\",\"labels\":{\"a\":\"2\"}}},"
	                   "{\"metadata\":{\"uid\":\"" UID "\",\"labels\":{\"a\":\"3\"}}}");
	assert_int_equal(snapshot->n, 1);
	assert_null(find(snapshot, UID));
	expect_facts(snapshot, UID2, "k8s.pod.label.a=2");
}

static void test_lists(void **state)
{
	static const char *const lists[] = {
		"{\"kind\":\"PodList\",\"items\":[]}",
		"{\"kind\":\"PodList\",\"items\":null}",
		"{\"kind\":\"PodList\"}",
		"{\"kind\":\"PartialObjectMetadataList\",\"metadata\":{\"continue\":\"\"},\"items\":[]}\n",
	};
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		_cleanup_(pod_snapshot_freep) struct pod_snapshot *snapshot = parse(lists[i]);
		assert_int_equal(snapshot->n, 0);
		assert_null(find(snapshot, UID));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_labels),
		cmocka_unit_test(test_deployments),
		cmocka_unit_test(test_controllers),
		cmocka_unit_test(test_cronjobs),
		cmocka_unit_test(test_labels_left_out),
		cmocka_unit_test(test_too_many_labels),
		cmocka_unit_test(test_uids),
		cmocka_unit_test(test_mirror_pod),
		cmocka_unit_test(test_same_uid),
		cmocka_unit_test(test_lists),
	};
	return cmocka_run_group_tests_name("pod_list_json", tests, NULL, NULL);
}
