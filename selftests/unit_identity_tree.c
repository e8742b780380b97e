// SPDX-License-Identifier: Apache-2.0
/* The index of cgroups against real ones, made for each test below the mounted v2 tree: which are met, kept and told of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <cmocka.h>
#include "selftests/identity_expect.h"
#include "user/cgroup_tree.h"
#include "user/clock.h"

#define UID   "6f1d2c3b-4a5e-4f60-8b7c-9d0e1f2a3b4c"
#define UID2  "00000000-1111-4222-8333-444444444444"
#define ID    "3f7c1e0ab95d2468ace013579bdf02468ace13579bdf02468ace13579bdf0246"
#define ID2   "aa17c0de00112233445566778899aabbccddeeff00112233445566778899aabb"
#define POD   "kubepods/besteffort/pod" UID
#define LOGS  "pods/shop_web_" UID
#define LOGS2 "pods/shop_db_" UID2

static void test_root(void **state)
{
	const struct identity_fixture *fixture = identity_fixture_or_skip(state);
	_cleanup_(identity_freep) struct identity *identity = NULL;
	struct identity_options options = { .cgroup_root = "/sys/fs/cgroup",
		                            .pods_dir = fixture->pods,
		                            .max_cgroups = 65536 };

	/* v2 alone, or beside v1 in "unified" */
	assert_int_equal(identity_open(&options, &identity), 0);
	struct stat root;
	assert_int_equal(fstat(identity_tree(identity), &root), 0);
	expect(identity, root.st_ino, "root");

	struct identity *untouched = (struct identity *)0x5a;
	options.cgroup_root = fixture->log;
	assert_int_equal(identity_open(&options, &untouched), -ENOTSUP);
	make_path(fixture->log_fd, "unified");
	assert_int_equal(identity_open(&options, &untouched), -ENOTSUP);
	options.cgroup_root = "/nonexistent";
	assert_int_equal(identity_open(&options, &untouched), -ENOTSUP);
	options.cgroup_root = "/proc/version";
	assert_int_equal(identity_open(&options, &untouched), -ENOTDIR);
	options.cgroup_root = fixture->tree;
	options.max_cgroups = 0;
	assert_int_equal(identity_open(&options, &untouched), -EINVAL);
	assert_ptr_equal(untouched, (struct identity *)0x5a);
}

static void test_made_later(void **state)
{
	const struct identity_fixture *fixture = identity_fixture_or_skip(state);
	make_path(fixture->log_fd, LOGS);
	make_link(fixture, "web_shop_nginx", ID);
	_cleanup_(identity_freep) struct identity *identity = open_identity(fixture, 64);
	struct pollfd event = { .fd = identity_fd(identity), .events = POLLIN };
	assert_int_equal(poll(&event, 1, 0), 0);

	/* Its parents are not watched when it is made. */
	uint64_t container = make_path(fixture->tree_fd, POD "/" ID);
	assert_int_equal(poll(&event, 1, 0), 1);
	expect_told(identity, container, "pod shop/web/" UID "/nginx/" ID);
	assert_int_equal(poll(&event, 1, 0), 0);

	/* Parents are, and a lookup that comes before the event was read takes it in. */
	uint64_t inner = make_path(fixture->tree_fd, POD "/" ID "/inner");
	expect(identity, inner, "pod shop/web/" UID "/nginx/" ID);
	make_path(fixture->log_fd, LOGS2);
	assert_int_equal(poll(&event, 1, 0), 1);
	assert_int_equal(identity_rereads(identity), 0);
	expect_misses(identity, 0, 0, 0);
}

/* What is known of a cgroup that lived for a moment: all, if the event was read in that time; nothing, if not. */
static void test_short_lived(void **state)
{
	const struct identity_fixture *fixture = identity_fixture_or_skip(state);
	make_path(fixture->log_fd, LOGS);
	make_path(fixture->log_fd, "containers");
	make_path(fixture->tree_fd, POD);
	_cleanup_(identity_freep) struct identity *identity = open_identity(fixture, 64);

	uint64_t seen = make_path(fixture->tree_fd, POD "/" ID);
	assert_int_equal(identity_read(identity), 0);
	remove_cgroup(fixture, POD "/" ID);
	make_link(fixture, "web_shop_nginx", ID); /* when the container is over */
	expect_told(identity, seen, "pod shop/web/" UID "/nginx/" ID);

	uint64_t unseen = make_path(fixture->tree_fd, POD "/" ID2);
	remove_cgroup(fixture, POD "/" ID2);
	expect_told(identity, unseen, "unknown");
	expect_misses(identity, 1, 0, 0);
}

/* Events tell of a path, which by then may be another cgroup's. */
static void test_same_path_again(void **state)
{
	const struct identity_fixture *fixture = identity_fixture_or_skip(state);
	make_path(fixture->tree_fd, "docker");
	_cleanup_(identity_freep) struct identity *identity = open_identity(fixture, 64);

	make_path(fixture->tree_fd, "docker/" ID);
	remove_cgroup(fixture, "docker/" ID);
	uint64_t second = make_path(fixture->tree_fd, "docker/" ID);
	uint64_t inner = make_path(fixture->tree_fd, "docker/" ID "/inner");
	expect_told(identity, second, "pod -/-/-/-/" ID);
	expect_told(identity, inner, "pod -/-/-/-/" ID);

	remove_cgroup(fixture, "docker/" ID "/inner");
	remove_cgroup(fixture, "docker/" ID);
	uint64_t third = make_path(fixture->tree_fd, "docker/" ID "/inner");
	expect_told(identity, third, "pod -/-/-/-/" ID);
	expect_told(identity, inner, "pod -/-/-/-/" ID);
	expect_told(identity, second, "pod -/-/-/-/" ID);
	assert_int_not_equal(third, inner);
}

/* Of those that are gone, the least recently used goes first; those that live are never pushed out. */
static void test_bound(void **state)
{
	const struct identity_fixture *fixture = identity_fixture_or_skip(state);
	static const char *const paths[] = { "a", "b", "c" };
	uint64_t ids[ARRAY_SIZE(paths)];
	uint64_t docker = make_path(fixture->tree_fd, "docker/" ID);
	_cleanup_(identity_freep) struct identity *identity =
		open_identity(fixture, 6); /* root, docker, its one, three */

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		ids[i] = make_path(fixture->tree_fd, paths[i]);
		expect_told(identity, ids[i], "host");
		remove_cgroup(fixture, paths[i]);
	}
	expect_told(identity, ids[0], "host"); /* used last */
	uint64_t fourth = make_path(fixture->tree_fd, "d");
	expect_told(identity, fourth, "host");
	expect(identity, ids[1], "unknown");
	expect(identity, ids[2], "host");
	expect(identity, ids[0], "host");

	/* All live: there is no room for the seventh, until one goes. */
	make_path(fixture->tree_fd, "e");
	make_path(fixture->tree_fd, "f");
	assert_int_equal(identity_read(identity), 0);
	uint64_t seventh = make_path(fixture->tree_fd, "g");
	expect_told(identity, seventh, "unknown");
	expect(identity, docker, "pod -/-/-/-/" ID);
	remove_cgroup(fixture, "f");
	assert_int_equal(identity_read(identity), 0);
	for (uint64_t end = clock_monotonic_ns() + 5 * NS_PER_SEC;
	     identity_rereads(identity) == 0 && clock_monotonic_ns() < end; poll(NULL, 0, 5))
		identity_tick(identity);
	expect(identity, seventh, "host");
	expect(identity, docker, "pod -/-/-/-/" ID);
}

static void test_deep_tree(void **state)
{
	const struct identity_fixture *fixture = identity_fixture_or_skip(state);
	char path[2 * 40] = "";
	for (size_t i = 0; i + 1 < sizeof(path); i++)
		path[i] = i % 2 ? '/' : 'd';
	make_path(fixture->tree_fd, path);
	uint64_t container = make_path(fixture->tree_fd, "d/d/d/d/d/d/d/d/docker/" ID);

	_cleanup_(identity_freep) struct identity *identity = open_identity(fixture, 64);
	expect(identity, container, "pod -/-/-/-/" ID);
}

static void test_subscribers(void **state)
{
	const struct identity_fixture *fixture = identity_fixture_or_skip(state);
	char told[IDENTITY_NOTES_SIZE] = "", other[IDENTITY_NOTES_SIZE] = "";
	make_path(fixture->tree_fd, "kubepods/pod" UID);
	_cleanup_(identity_freep) struct identity *identity = open_identity(fixture, 64);
	assert_int_equal(identity_subscribe(identity, note_change, told), 0);
	assert_string_equal(told, "here / none - -\n"
	                          "here /kubepods none - -\n"
	                          "here /kubepods/pod" UID " " UID " - -\n");

	*told = '\0';
	make_path(fixture->log_fd, LOGS);
	make_path(fixture->log_fd, "containers");
	identity_tick(identity);
	make_path(fixture->tree_fd, "kubepods/pod" UID "/" ID);
	assert_int_equal(identity_read(identity), 0);
	make_link(fixture, "web_shop_nginx", ID);
	assert_int_equal(identity_read(identity), 0);
	remove_cgroup(fixture, "kubepods/pod" UID "/" ID);
	assert_int_equal(identity_read(identity), 0);
	assert_int_equal(identity_read(identity), 0);
	assert_string_equal(told, "here /kubepods/pod" UID " " UID " web -\n"
	                          "here /kubepods/pod" UID "/" ID " " UID " web -\n"
	                          "here /kubepods/pod" UID "/" ID " " UID " web nginx\n"
	                          "gone /kubepods/pod" UID "/" ID " " UID " web nginx\n");

	assert_int_equal(identity_subscribe(identity, note_change, other), 0);
	identity_unsubscribe(identity, note_change, told);
	*told = *other = '\0';
	make_path(fixture->tree_fd, "a");
	assert_int_equal(identity_read(identity), 0);
	assert_string_equal(told, "");
	assert_string_equal(other, "here /a none - -\n");
}

#define BURST 300

/* Makes cgroups as fast as it can, each with children at once, in another process. */
static pid_t start_burst(const struct identity_fixture *fixture)
{
	pid_t child = fork();
	assert_true(child >= 0);
	if (child > 0)
		return child;
	for (int i = 0; i < BURST; i++) {
		char path[64];
		for (const char *leaf = "bc"; *leaf; leaf++) {
			snprintf(path, sizeof(path), "burst/%d/a/%c", i, *leaf);
			make_path(fixture->tree_fd, path);
		}
	}
	_exit(0);
}

struct comparison {
	struct identity *identity;
	size_t n, unknown;
};

static void compare_one(uint64_t id, const char *path, void *data)
{
	struct comparison *comparison = data;
	_cleanup_(owner_unrefp) struct owner *owner = NULL;
	comparison->n++;
	comparison->unknown += identity_lookup(comparison->identity, id, &owner) == IDENTITY_UNKNOWN;
}

/* The index knows each cgroup of the tree, which are N. */
static void expect_all_known(struct identity *identity, size_t n)
{
	struct comparison comparison = { identity };
	cgroup_tree_walk(identity_tree(identity), "/", compare_one, &comparison);
	assert_int_equal(comparison.n, n);
	assert_int_equal(comparison.unknown, 0);
}

/* Directories get children before they are watched, and while they are read. */
static void test_burst(void **state)
{
	const struct identity_fixture *fixture = identity_fixture_or_skip(state);
	_cleanup_(identity_freep) struct identity *identity = open_identity(fixture, 4096);
	struct pollfd event = { .fd = identity_fd(identity), .events = POLLIN };
	int status;

	pid_t child = start_burst(fixture);
	while (waitpid(child, &status, WNOHANG) == 0) {
		poll(&event, 1, 10);
		assert_int_equal(identity_read(identity), 0);
	}
	assert_int_equal(status, 0);
	assert_int_equal(identity_read(identity), 0);
	expect_all_known(identity, 2 + 4 * BURST);
	assert_int_equal(identity_rereads(identity), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, identity_fixture_setup, identity_fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_root),  TEST(test_made_later), TEST(test_short_lived), TEST(test_same_path_again),
		TEST(test_bound), TEST(test_deep_tree),  TEST(test_subscribers), TEST(test_burst),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
