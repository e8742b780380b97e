// SPDX-License-Identifier: Apache-2.0
/* Where inotify does not tell everything, the index reads the tree of cgroups again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "selftests/identity_expect.h"
#include "user/clock.h"

#define UID  "6f1d2c3b-4a5e-4f60-8b7c-9d0e1f2a3b4c"
#define ID   "3f7c1e0ab95d2468ace013579bdf02468ace13579bdf02468ace13579bdf0246"
#define ID2  "aa17c0de00112233445566778899aabbccddeeff00112233445566778899aabb"
#define POD  "kubepods/besteffort/pod" UID
#define LOGS "pods/shop_web_" UID

/* How many events wait at most. */
static int queue_size(void)
{
	_cleanup_(fclosep) FILE *file = fopen("/proc/sys/fs/inotify/max_queued_events", "re");
	char line[16];
	assert_non_null(file);
	assert_non_null(fgets(line, sizeof(line), file));
	return (int)strtol(line, NULL, 10);
}

/* More events than the queue holds: the tree tells what they would have. */
static void test_cgroups_overflow(void **state)
{
	const struct identity_fixture *fixture = identity_fixture_or_skip(state);
	uint64_t old = make_path(fixture->tree_fd, "docker/" ID);
	_cleanup_(identity_freep) struct identity *identity = open_identity(fixture, 64);
	char told[IDENTITY_NOTES_SIZE] = "";

	for (int i = 0, pairs = queue_size() / 2; i <= pairs; i++) {
		make_path(fixture->tree_fd, "x");
		remove_cgroup(fixture, "x");
	}
	remove_cgroup(fixture, "docker/" ID);
	uint64_t fresh = make_path(fixture->tree_fd, "docker/" ID2 "/inner");
	assert_int_equal(identity_subscribe(identity, note_change, told), 0);
	told[0] = '\0';
	for (uint64_t end = clock_monotonic_ns() + 5 * NS_PER_SEC;
	     identity_rereads(identity) == 0 && clock_monotonic_ns() < end;)
		assert_int_equal(identity_read(identity), 0);
	assert_int_equal(identity_rereads(identity), 1);
	assert_string_equal(told, "here /docker/" ID2 "  - -\n"
	                          "here /docker/" ID2 "/inner  - -\n"
	                          "gone /docker/" ID "  - -\n");
	expect_told(identity, fresh, "pod -/-/-/-/" ID2);
	expect_told(identity, old, "pod -/-/-/-/" ID);
}

/* The same of the kubelet's directories. */
static void test_names_overflow(void **state)
{
	const struct identity_fixture *fixture = identity_fixture_or_skip(state);
	uint64_t container = make_path(fixture->tree_fd, POD "/" ID);
	make_path(fixture->log_fd, "containers");
	_cleanup_(identity_freep) struct identity *identity = open_identity(fixture, 64);
	char text[IDENTITY_TEXT_SIZE];

	for (int i = 0, pairs = queue_size() / 2; i <= pairs; i++) {
		make_path(fixture->log_fd, "pods/x");
		assert_int_equal(unlinkat(fixture->log_fd, "pods/x", AT_REMOVEDIR), 0);
	}
	make_path(fixture->log_fd, LOGS);
	make_link(fixture, "web_shop_nginx", ID);
	for (int i = 0; i < 8; i++)
		assert_int_equal(identity_read(identity), 0);
	/* Pending, unless this took so long that nothing is waited for any more. */
	identity_describe(identity, container, text);
	assert_non_null(strstr(text, " -/-/" UID "/-/" ID));
	identity_tick(identity);
	expect(identity, container, "pod shop/web/" UID "/nginx/" ID);
}

static bool enter_user_namespace(void)
{
	static const struct {
		const char *file, *text;
	} settings[] = { { "/proc/self/uid_map", "0 0 1" },
		         { "/proc/self/setgroups", "deny" },
		         { "/proc/self/gid_map", "0 0 1" } };
	if (unshare(CLONE_NEWUSER) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
		_cleanup_(fclosep) FILE *file = fopen(settings[i].file, "we");
		if (!file || fputs(settings[i].text, file) < 0 || fflush(file) != 0)
			return false;
	}
	return true;
}

/* How many inotify instances or watches this user namespace may have, which is this test's own. */
static void set_limit(const char *of, int value)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/sys/user/max_inotify_%s", of);
	_cleanup_(fclosep) FILE *file = fopen(path, "we");
	assert_non_null(file);
	assert_true(fprintf(file, "%d", value) > 0 && fflush(file) == 0);
}

static int lift_limits(void **state)
{
	set_limit("instances", 128);
	set_limit("watches", 8192);
	return identity_fixture_teardown(state);
}

/* A lookup of what is not known reads the tree, but not each time. */
static void expect_reread(struct identity *identity, uint64_t id, const char *description)
{
	char text[IDENTITY_TEXT_SIZE] = "unknown";
	uint64_t rereads = identity_rereads(identity), lookups = 0;
	for (uint64_t end = clock_monotonic_ns() + 5 * NS_PER_SEC;
	     !strcmp(text, "unknown") && clock_monotonic_ns() < end; lookups++)
		identity_describe(identity, id, text);
	assert_string_equal(text, description);
	assert_int_equal(identity_rereads(identity), rereads + 1);
	assert_true(lookups > 10);
}

static void test_watches_run_out(void **state)
{
	const struct identity_fixture *fixture = identity_fixture_or_skip(state);
	make_path(fixture->tree_fd, "a/b/c");
	set_limit("watches", 3); /* the kubelet's directory, the root, one more */
	_cleanup_(identity_freep) struct identity *identity = open_identity(fixture, 64);
	assert_true(identity_fd(identity) >= 0);

	uint64_t seen = make_path(fixture->tree_fd, "a/d");
	expect_told(identity, seen, "host");
	uint64_t unseen = make_path(fixture->tree_fd, "a/b/c/" ID);
	expect_reread(identity, unseen, "pod -/-/-/-/" ID);

	/* With room for them again, the next reading is the last one. */
	set_limit("watches", 64);
	expect_reread(identity, make_path(fixture->tree_fd, "a/b/c/d"), "host");
	expect_told(identity, make_path(fixture->tree_fd, "a/b/c/d/e"), "host");
}

static void test_no_inotify(void **state)
{
	const struct identity_fixture *fixture = identity_fixture_or_skip(state);
	char told[IDENTITY_NOTES_SIZE] = "";
	set_limit("instances", 0);
	_cleanup_(identity_freep) struct identity *identity = open_identity(fixture, 64);
	assert_int_equal(identity_fd(identity), -1);
	assert_int_equal(identity_subscribe(identity, note_change, told), 0);
	told[0] = '\0';

	uint64_t container = make_path(fixture->tree_fd, "docker/" ID);
	for (uint64_t end = clock_monotonic_ns() + 5 * NS_PER_SEC;
	     identity_rereads(identity) == 0 && clock_monotonic_ns() < end; poll(NULL, 0, 5))
		identity_tick(identity);
	assert_string_equal(told, "here /docker none - -\nhere /docker/" ID "  - -\n");
	expect(identity, container, "pod -/-/-/-/" ID);

	container = make_path(fixture->tree_fd, POD "/" ID);
	expect_reread(identity, container, "pending -/-/" UID "/-/" ID);
	make_path(fixture->log_fd, LOGS);
	make_link(fixture, "web_shop_nginx", ID);
	identity_tick(identity);
	expect(identity, container, "pod shop/web/" UID "/nginx/" ID);
	assert_int_equal(identity_read(identity), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_cgroups_overflow, identity_fixture_setup,
		                                identity_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_names_overflow, identity_fixture_setup, identity_fixture_teardown),
	};
	const struct CMUnitTest limited[] = {
		cmocka_unit_test_setup_teardown(test_watches_run_out, identity_fixture_setup, lift_limits),
		cmocka_unit_test_setup_teardown(test_no_inotify, identity_fixture_setup, lift_limits),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	if (enter_user_namespace())
		failed += cmocka_run_group_tests(limited, NULL, NULL);
	else
		print_message("skipped: no right to make a user namespace, whose limits are the test's own\n");
	return failed;
}
