// SPDX-License-Identifier: Apache-2.0
/* Identity against real cgroups, made for each test below the mounted v2 tree, and a kubelet's directory of its own. */
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
#include <time.h>
#include <cmocka.h>
#include "selftests/identity_fixture.h"
#include "user/identity.h"

#define UID   "6f1d2c3b-4a5e-4f60-8b7c-9d0e1f2a3b4c"
#define UID2  "00000000-1111-4222-8333-444444444444"
#define ID    "3f7c1e0ab95d2468ace013579bdf02468ace13579bdf02468ace13579bdf0246"
#define ID2   "aa17c0de00112233445566778899aabbccddeeff00112233445566778899aabb"
#define POD   "kubepods/besteffort/pod" UID
#define POD2  "kubepods/besteffort/pod" UID2
#define LOGS  "pods/shop_web_" UID
#define LOGS2 "pods/shop_db_" UID2

#define TEXT_SIZE   512
#define PATIENCE_NS (10ULL * 1000000000)

static uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static struct identity *open_identity(const struct identity_fixture *fixture, size_t max_cgroups)
{
	struct identity *identity;
	const struct identity_options options = { .cgroup_root = fixture->tree,
		                                  .pods_dir = fixture->pods,
		                                  .max_cgroups = max_cgroups };
	assert_int_equal(identity_open(&options, &identity), 0);
	return identity;
}

static const char *or_none(const char *name)
{
	return name ? name : "-";
}

/* "namespace/pod/uid/container/id" with "-" for what is not known; "nobody" without an owner. */
static void describe(struct owner *owner, char ret_text[static TEXT_SIZE])
{
	const struct owner_names *names = owner_names(owner);
	if (owner)
		snprintf(ret_text, TEXT_SIZE, "%s/%s/%s/%s/%s", or_none(names->namespace_name),
		         or_none(names->pod_name), or_none(names->pod_uid), or_none(names->container_name),
		         or_none(names->container_id));
	else
		snprintf(ret_text, TEXT_SIZE, "nobody");
}

static void expect(struct identity *identity, uint64_t id, const char *description)
{
	_cleanup_(owner_unrefp) struct owner *owner = identity_lookup(identity, id);
	char text[TEXT_SIZE];
	describe(owner, text);
	assert_string_equal(text, description);
}

/* Until the next time that identity reads the tree, or the kubelet's directory: there is no event to wait for. */
static void expect_soon(struct identity *identity, uint64_t id, const char *description)
{
	char text[TEXT_SIZE] = "";
	for (uint64_t end = now_ns() + PATIENCE_NS; now_ns() < end; poll(NULL, 0, 5)) {
		_cleanup_(owner_unrefp) struct owner *owner = identity_lookup(identity, id);
		describe(owner, text);
		if (!strcmp(text, description))
			return;
	}
	assert_string_equal(text, description);
}

static void expect_misses(const struct identity *identity, uint64_t cgroup, uint64_t pod, uint64_t container)
{
	uint64_t misses[IDENTITY_MISS_MAX];
	identity_misses(identity, misses);
	assert_int_equal(misses[MISS_CGROUP], cgroup);
	assert_int_equal(misses[MISS_POD], pod);
	assert_int_equal(misses[MISS_CONTAINER], container);
}

static void test_root(void **state)
{
	const struct identity_fixture *fixture = identity_fixture_or_skip(state);
	_cleanup_(identity_freep) struct identity *identity = NULL;
	struct identity_options options = { .cgroup_root = "/sys/fs/cgroup",
		                            .pods_dir = fixture->pods,
		                            .max_cgroups = 64 };

	/* v2 alone, or beside v1 in "unified" */
	assert_int_equal(identity_open(&options, &identity), 0);

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

static void test_names(void **state)
{
	const struct identity_fixture *fixture = identity_fixture_or_skip(state);
	uint64_t container = make_path(fixture->tree_fd, POD "/" ID);
	uint64_t inner = make_path(fixture->tree_fd, POD "/" ID "/init.scope");
	uint64_t monitor = make_path(fixture->tree_fd, POD "/crio-conmon-" ID);
	uint64_t pod = make_path(fixture->tree_fd, POD);
	make_path(fixture->log_fd, LOGS "/nginx");

	_cleanup_(identity_freep) struct identity *identity = open_identity(fixture, 64);
	expect(identity, container, "shop/web/" UID "/nginx/" ID);
	expect(identity, inner, "shop/web/" UID "/nginx/" ID);
	expect(identity, monitor, "shop/web/" UID "/-/-");
	expect(identity, pod, "shop/web/" UID "/-/-");
	expect_misses(identity, 0, 0, 0);
}

static void test_neither_pod_nor_container(void **state)
{
	const struct identity_fixture *fixture = identity_fixture_or_skip(state);
	uint64_t service = make_path(fixture->tree_fd, "system.slice/ssh.service");
	uint64_t level = make_path(fixture->tree_fd, "kubepods/besteffort");
	uint64_t docker = make_path(fixture->tree_fd, "docker/" ID);
	struct stat root;
	assert_int_equal(fstat(fixture->tree_fd, &root), 0);

	_cleanup_(identity_freep) struct identity *identity = open_identity(fixture, 64);
	expect(identity, service, "nobody");
	expect(identity, level, "nobody");
	expect(identity, root.st_ino, "nobody");
	expect(identity, 0, "nobody");
	expect(identity, docker, "-/-/-/-/" ID);
	expect_misses(identity, 0, 0, 0);
}

static void test_made_later(void **state)
{
	const struct identity_fixture *fixture = identity_fixture_or_skip(state);
	make_path(fixture->log_fd, LOGS "/nginx");

	uint64_t before = now_ns();
	_cleanup_(identity_freep) struct identity *identity = open_identity(fixture, 64);
	uint64_t container = make_path(fixture->tree_fd, POD "/" ID);
	_cleanup_(owner_unrefp) struct owner *early = identity_lookup(identity, container);
	if (now_ns() - before < 200000000) { /* the tree was read just now and is not read again yet */
		assert_null(early);
		expect_misses(identity, 1, 0, 0);
	}
	expect_soon(identity, container, "shop/web/" UID "/nginx/" ID);
}

static void test_unknown_id(void **state)
{
	const struct identity_fixture *fixture = identity_fixture_or_skip(state);
	_cleanup_(identity_freep) struct identity *identity = open_identity(fixture, 64);
	uint64_t gone = make_path(fixture->tree_fd, "gone");
	assert_int_equal(unlinkat(fixture->tree_fd, "gone", AT_REMOVEDIR), 0);
	for (int i = 0; i < 1000; i++)
		expect(identity, gone, "nobody");
	expect_misses(identity, 1000, 0, 0);
}

static void test_kubelet_comes_later(void **state)
{
	const struct identity_fixture *fixture = identity_fixture_or_skip(state);
	uint64_t container = make_path(fixture->tree_fd, POD "/" ID);

	_cleanup_(identity_freep) struct identity *identity = open_identity(fixture, 64);
	expect(identity, container, "-/-/" UID "/-/" ID);
	expect_misses(identity, 0, 1, 0);

	make_path(fixture->log_fd, LOGS);
	expect_soon(identity, container, "shop/web/" UID "/-/" ID);
	uint64_t misses[IDENTITY_MISS_MAX];
	identity_misses(identity, misses);
	assert_int_equal(misses[MISS_CONTAINER], 1);

	make_path(fixture->log_fd, LOGS "/nginx");
	expect_soon(identity, container, "shop/web/" UID "/nginx/" ID);
}

/* An owner that a record still holds outlives everything; the index keeps what it knew of a cgroup that is gone. */
static void test_stays_resolved(void **state)
{
	const struct identity_fixture *fixture = identity_fixture_or_skip(state);
	uint64_t container = make_path(fixture->tree_fd, POD "/" ID);
	uint64_t half = make_path(fixture->tree_fd, POD2 "/" ID2);
	make_path(fixture->log_fd, LOGS "/nginx");
	make_path(fixture->log_fd, LOGS2);

	struct identity *identity = open_identity(fixture, 64);
	struct owner *owner = identity_lookup(identity, container);
	expect(identity, half, "shop/db/" UID2 "/-/" ID2);

	assert_int_equal(unlinkat(fixture->tree_fd, POD "/" ID, AT_REMOVEDIR), 0);
	assert_int_equal(unlinkat(fixture->log_fd, LOGS "/nginx", AT_REMOVEDIR), 0);
	assert_int_equal(unlinkat(fixture->log_fd, LOGS, AT_REMOVEDIR), 0);
	assert_int_equal(unlinkat(fixture->log_fd, LOGS2, AT_REMOVEDIR), 0);
	uint64_t later = make_path(fixture->tree_fd, "docker/" ID2);
	expect_soon(identity, later, "-/-/-/-/" ID2); /* the tree was read again */
	expect(identity, container, "shop/web/" UID "/nginx/" ID);
	expect(identity, half, "shop/db/" UID2 "/-/" ID2);

	identity_free(identity);
	char text[TEXT_SIZE];
	describe(owner, text);
	assert_string_equal(text, "shop/web/" UID "/nginx/" ID);
	owner_unref(owner);
}

/* What is asked for stays, whatever the size of the tree; the least recently used goes first. */
static void test_bound(void **state)
{
	const struct identity_fixture *fixture = identity_fixture_or_skip(state);
	char path[PATH_MAX];

	uint64_t first = make_path(fixture->tree_fd, POD "/" ID);
	uint64_t second = make_path(fixture->tree_fd, POD2 "/" ID2);
	make_path(fixture->log_fd, LOGS "/nginx");
	make_path(fixture->log_fd, LOGS2 "/postgres");
	_cleanup_(identity_freep) struct identity *identity = open_identity(fixture, 3);
	expect_soon(identity, first, "shop/web/" UID "/nginx/" ID);
	expect_soon(identity, second, "shop/db/" UID2 "/postgres/" ID2);
	assert_int_equal(unlinkat(fixture->tree_fd, POD "/" ID, AT_REMOVEDIR), 0);
	assert_int_equal(unlinkat(fixture->tree_fd, POD2 "/" ID2, AT_REMOVEDIR), 0);

	for (int i = 0; i < 200; i++) {
		snprintf(path, sizeof(path), "crowd/%d", i);
		make_path(fixture->tree_fd, path);
	}
	uint64_t third = make_path(fixture->tree_fd, "docker/" ID);
	expect_soon(identity, third, "-/-/-/-/" ID);
	expect(identity, second, "shop/db/" UID2 "/postgres/" ID2);
	expect(identity, first, "shop/web/" UID "/nginx/" ID);

	uint64_t fourth = make_path(fixture->tree_fd, "docker/" ID2);
	expect_soon(identity, fourth, "-/-/-/-/" ID2);
	expect(identity, first, "shop/web/" UID "/nginx/" ID);
	expect(identity, second, "shop/db/" UID2 "/postgres/" ID2);
	assert_int_equal(unlinkat(fixture->tree_fd, "docker/" ID, AT_REMOVEDIR), 0);
	expect(identity, third, "nobody"); /* it was the one to go */
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
	expect(identity, container, "-/-/-/-/" ID);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, identity_fixture_setup, identity_fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_root),           TEST(test_names),      TEST(test_neither_pod_nor_container),
		TEST(test_made_later),     TEST(test_unknown_id), TEST(test_kubelet_comes_later),
		TEST(test_stays_resolved), TEST(test_bound),      TEST(test_deep_tree),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
