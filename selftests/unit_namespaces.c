// SPDX-License-Identifier: Apache-2.0
/* The rules of `namespaces` on names, and on real cgroups with a kubelet's directory; the kernel's map is a plain one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>
#include <bpf/bpf.h>
#include "selftests/identity_fixture.h"
#include "user/clock.h"
#include "user/namespaces.h"
#include "user/settings.h"

#define UID  "6f1d2c3b-4a5e-4f60-8b7c-9d0e1f2a3b4c"
#define UID2 "00000000-1111-4222-8333-444444444444"
#define ID   "3f7c1e0ab95d2468ace013579bdf02468ace13579bdf02468ace13579bdf0246"

#define RULES(...)                                                                                  \
	(struct config_rules)                                                                       \
	{                                                                                           \
		(struct config_rule[]) { __VA_ARGS__ },                                             \
			sizeof((struct config_rule[]) { __VA_ARGS__ }) / sizeof(struct config_rule) \
	}

static void test_order(void **state)
{
	static const struct {
		const char *name;
		enum flow_policy policy;
	} cases[] = {
		{ "kube-system", POLICY_DENIED }, { "kube-public", POLICY_ALLOWED },
		{ "kube", POLICY_ALLOWED },       { "xkube-system", POLICY_ALLOWED },
		{ "shop", POLICY_ALLOWED },       { "dev-1", POLICY_DENIED },
		{ "dev-x", POLICY_ALLOWED },      { "", POLICY_ALLOWED },
	};
	const struct config_rules rules = RULES({ "kube-public", NAMESPACE_ALLOW }, { "kube-*", NAMESPACE_DENY },
	                                        { "dev-[0-9]", NAMESPACE_DENY });
	const struct config_rules all = RULES({ "shop", NAMESPACE_ALLOW }, { "*", NAMESPACE_DENY });
	const struct config_rules none = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (namespace_policy(&rules, cases[i].name) != cases[i].policy)
			fail_msg("\"%s\" is not decided as %d", cases[i].name, cases[i].policy);
	assert_int_equal(namespace_policy(&all, "shop"), POLICY_ALLOWED);
	assert_int_equal(namespace_policy(&all, "other"), POLICY_DENIED);
	assert_int_equal(namespace_policy(&none, "shop"), POLICY_ALLOWED);
}

static struct identity *open_identity(const struct identity_fixture *fixture)
{
	const struct identity_options options = { fixture->tree, fixture->pods, 1024 };
	struct identity *identity;
	assert_int_equal(identity_open(&options, &identity), 0);
	return identity;
}

static struct namespaces *open_namespaces(struct identity *identity, int map, const struct config_rules *rules)
{
	const struct namespaces_options options = { identity, map, rules };
	struct namespaces *namespaces;
	assert_int_equal(namespaces_open(&options, &namespaces), 0);
	return namespaces;
}

static int make_map(uint32_t max_entries)
{
	int map = bpf_map_create(BPF_MAP_TYPE_HASH, "verdicts", sizeof(uint64_t), sizeof(uint8_t), max_entries, NULL);
	if (map < 0) {
		print_message("skipped: no right to make a BPF map\n");
		skip();
	}
	return map;
}

static enum flow_policy policy_of(int map, uint64_t id)
{
	uint8_t policy;
	return bpf_map_lookup_elem(map, &id, &policy) < 0 ? POLICY_PENDING : policy;
}

static void test_life(void **state)
{
	const struct identity_fixture *fixture = identity_fixture_or_skip(state);
	_cleanup_(closep) int map = make_map(64);
	const struct config_rules deny = RULES({ "shop", NAMESPACE_DENY }), allow = RULES({ "*", NAMESPACE_ALLOW });
	const uint64_t stranger = 1ULL << 40;
	const uint8_t denied = POLICY_DENIED;
	uint64_t host = make_path(fixture->tree_fd, "system.slice");
	uint64_t docker = make_path(fixture->tree_fd, "docker/" ID);
	uint64_t container = make_path(fixture->tree_fd, "kubepods/besteffort/pod" UID "/" ID);
	uint64_t late = make_path(fixture->tree_fd, "kubepods/besteffort/pod" UID2);
	make_path(fixture->log_fd, "pods/shop_web_" UID);
	assert_int_equal(bpf_map_update_elem(map, &stranger, &denied, BPF_ANY), 0);

	_cleanup_(identity_freep) struct identity *identity = open_identity(fixture);
	_cleanup_(namespaces_freep) struct namespaces *namespaces = open_namespaces(identity, map, &deny);
	assert_int_equal(policy_of(map, host), POLICY_ALLOWED);
	assert_int_equal(policy_of(map, docker), POLICY_ALLOWED);
	assert_int_equal(policy_of(map, container), POLICY_DENIED);
	assert_int_equal(policy_of(map, late), POLICY_PENDING);
	assert_int_equal(policy_of(map, stranger), POLICY_PENDING); /* a former loader's */

	make_path(fixture->log_fd, "pods/shop_db_" UID2);
	uint64_t second = make_path(fixture->tree_fd, "kubepods/besteffort/pod" UID2 "/" ID);
	assert_int_equal(identity_read(identity), 0);
	assert_int_equal(policy_of(map, late), POLICY_DENIED);
	assert_int_equal(policy_of(map, second), POLICY_DENIED);

	namespaces_apply(namespaces, &allow);
	assert_int_equal(policy_of(map, container), POLICY_ALLOWED);
	assert_int_equal(policy_of(map, second), POLICY_ALLOWED);

	assert_int_equal(unlinkat(fixture->tree_fd, "kubepods/besteffort/pod" UID "/" ID, AT_REMOVEDIR), 0);
	assert_int_equal(identity_read(identity), 0);
	assert_int_equal(policy_of(map, container), POLICY_PENDING);
	assert_int_equal(namespaces_unknown(namespaces), 0);
	assert_int_equal(namespaces_left_out(namespaces), 0);
}

/* Rules may end and begin again while the index lives on: the map is left alone in between. */
static void test_ends(void **state)
{
	const struct identity_fixture *fixture = identity_fixture_or_skip(state);
	_cleanup_(closep) int map = make_map(64);
	const struct config_rules deny = RULES({ "*", NAMESPACE_DENY });
	make_path(fixture->log_fd, "pods/shop_web_" UID);

	_cleanup_(identity_freep) struct identity *identity = open_identity(fixture);
	for (int i = 0; i < 8; i++) { /* more often than there is room for subscribers */
		struct namespaces *namespaces = open_namespaces(identity, map, &deny);
		namespaces_free(namespaces);
	}
	uint64_t container = make_path(fixture->tree_fd, "kubepods/besteffort/pod" UID "/" ID);
	assert_int_equal(identity_read(identity), 0);
	assert_int_equal(policy_of(map, container), POLICY_PENDING);
	_cleanup_(namespaces_freep) struct namespaces *namespaces = open_namespaces(identity, map, &deny);
	assert_int_equal(policy_of(map, container), POLICY_DENIED);
}

static void test_no_room(void **state)
{
	const struct identity_fixture *fixture = identity_fixture_or_skip(state);
	_cleanup_(closep) int map = make_map(1);
	const struct config_rules rules = RULES({ "*", NAMESPACE_DENY });
	make_path(fixture->tree_fd, "a/b/c");

	_cleanup_(identity_freep) struct identity *identity = open_identity(fixture);
	_cleanup_(namespaces_freep) struct namespaces *namespaces = open_namespaces(identity, map, &rules);
	assert_int_equal(namespaces_left_out(namespaces), 3); /* of the root, a, b and c */
	namespaces_tick(namespaces);
	assert_int_equal(namespaces_left_out(namespaces), 3);

	assert_int_equal(unlinkat(fixture->tree_fd, "a/b/c", AT_REMOVEDIR), 0);
	assert_int_equal(unlinkat(fixture->tree_fd, "a/b", AT_REMOVEDIR), 0);
	assert_int_equal(identity_read(identity), 0);
	assert_int_equal(namespaces_left_out(namespaces), 1);
}

/* Forgetting must not blind the sensor: after ten seconds a pod that nobody knows is observed. */
static void test_unknown_namespace(void **state)
{
	const struct identity_fixture *fixture = identity_fixture_or_skip(state);
	_cleanup_(closep) int map = make_map(64);
	const struct config_rules rules = RULES({ "*", NAMESPACE_DENY });
	uint64_t pod = make_path(fixture->tree_fd, "kubepods/besteffort/pod" UID);

	_cleanup_(identity_freep) struct identity *identity = open_identity(fixture);
	_cleanup_(namespaces_freep) struct namespaces *namespaces = open_namespaces(identity, map, &rules);
	uint64_t start = clock_monotonic_ns(), ns = 0;
	for (; policy_of(map, pod) == POLICY_PENDING && ns < 20 * NS_PER_SEC; ns = clock_monotonic_ns() - start) {
		namespaces_tick(namespaces);
		poll(NULL, 0, 50);
	}
	assert_int_equal(policy_of(map, pod), POLICY_ALLOWED);
	assert_true(ns >= 10 * NS_PER_SEC && ns < 12 * NS_PER_SEC);
	assert_int_equal(namespaces_unknown(namespaces), 1);

	make_path(fixture->log_fd, "pods/shop_web_" UID);
	assert_int_equal(identity_read(identity), 0);
	assert_int_equal(policy_of(map, pod), POLICY_DENIED);
	assert_int_equal(namespaces_unknown(namespaces), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, identity_fixture_setup, identity_fixture_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order), TEST(test_life), TEST(test_ends), TEST(test_no_room),
		TEST(test_unknown_namespace),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
