// SPDX-License-Identifier: Apache-2.0
/* The names of real cgroups, made for each test below the mounted v2 tree, by a kubelet's directories of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <cmocka.h>
#include "selftests/identity_expect.h"
#include "user/clock.h"

#define UID    "6f1d2c3b-4a5e-4f60-8b7c-9d0e1f2a3b4c"
#define UID2   "00000000-1111-4222-8333-444444444444"
#define STATIC "d41d8cd98f00b204e9800998ecf8427e"
#define ID     "3f7c1e0ab95d2468ace013579bdf02468ace13579bdf02468ace13579bdf0246"
#define ID2    "aa17c0de00112233445566778899aabbccddeeff00112233445566778899aabb"
#define ID3    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define POD    "kubepods/besteffort/pod" UID
#define POD2   "kubepods/besteffort/pod" UID2
#define LOGS   "pods/shop_web_" UID
#define LOGS2  "pods/shop_db_" UID2

static void test_names(void **state)
{
	const struct identity_fixture *fixture = identity_fixture_or_skip(state);
	uint64_t container = make_path(fixture->tree_fd, POD "/" ID);
	uint64_t inner = make_path(fixture->tree_fd, POD "/" ID "/init.scope");
	uint64_t monitor = make_path(fixture->tree_fd, POD "/crio-conmon-" ID);
	uint64_t pod = make_path(fixture->tree_fd, POD);
	make_path(fixture->log_fd, LOGS);
	make_link(fixture, "web_shop_nginx", ID);

	_cleanup_(identity_freep) struct identity *identity = open_identity(fixture, 64);
	expect(identity, container, "pod shop/web/" UID "/nginx/" ID);
	expect(identity, inner, "pod shop/web/" UID "/nginx/" ID);
	expect(identity, monitor, "pod shop/web/" UID "/-/-");
	expect(identity, pod, "pod shop/web/" UID "/-/-");
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
	expect(identity, service, "host");
	expect(identity, level, "host");
	expect(identity, root.st_ino, "root");
	expect(identity, 0, "unknown");
	expect(identity, docker, "pod -/-/-/-/" ID);
	expect_misses(identity, 0, 0, 0);
}

/* The kubelet makes the directory after the pod's cgroup, and the link after the container's. */
static void test_kubelet_comes_later(void **state)
{
	const struct identity_fixture *fixture = identity_fixture_or_skip(state);
	uint64_t container = make_path(fixture->tree_fd, POD "/" ID);
	uint64_t other = make_path(fixture->tree_fd, POD2 "/" ID2);

	_cleanup_(identity_freep) struct identity *identity = open_identity(fixture, 64);
	expect(identity, container, "pending -/-/" UID "/-/" ID);
	expect_misses(identity, 0, 1, 0);
	make_path(fixture->log_fd, LOGS);
	expect_told(identity, container, "pending shop/web/" UID "/-/" ID);
	expect_misses(identity, 0, 1, 1);

	make_path(fixture->log_fd, "containers"); /* the node's first container: this directory is new */
	identity_tick(identity);
	make_link(fixture, "web_shop_nginx", ID);
	expect_told(identity, container, "pod shop/web/" UID "/nginx/" ID);
	make_link(fixture, "db_shop_postgres", ID2); /* before its pod */
	expect_told(identity, other, "pending -/-/" UID2 "/-/" ID2);
	make_path(fixture->log_fd, LOGS2);
	expect_told(identity, other, "pod shop/db/" UID2 "/postgres/" ID2);
}

static void test_patience(void **state)
{
	const struct identity_fixture *fixture = identity_fixture_or_skip(state);
	uint64_t start = clock_monotonic_ns();
	uint64_t container = make_path(fixture->tree_fd, POD "/" ID);
	char text[IDENTITY_TEXT_SIZE] = "pending";

	_cleanup_(identity_freep) struct identity *identity = open_identity(fixture, 64);
	for (; text[1] == 'e' && clock_monotonic_ns() < start + 2 * NAMES_PATIENCE_NS; poll(NULL, 0, 20))
		identity_describe(identity, container, text);
	assert_string_equal(text, "pod -/-/" UID "/-/" ID);
	assert_true(clock_monotonic_ns() >= start + NAMES_PATIENCE_NS);
	make_path(fixture->log_fd, LOGS); /* which is late, but true */
	expect_told(identity, container, "pod shop/web/" UID "/-/" ID);
}

static void test_restart(void **state)
{
	const struct identity_fixture *fixture = identity_fixture_or_skip(state);
	make_path(fixture->log_fd, LOGS);
	make_link(fixture, "web_shop_nginx", ID);
	uint64_t first = make_path(fixture->tree_fd, POD "/" ID);
	_cleanup_(identity_freep) struct identity *identity = open_identity(fixture, 64);

	remove_cgroup(fixture, POD "/" ID);
	uint64_t second = make_path(fixture->tree_fd, POD "/" ID2);
	make_link(fixture, "web_shop_nginx", ID2);
	expect_told(identity, second, "pod shop/web/" UID "/nginx/" ID2);
	expect(identity, first, "pod shop/web/" UID "/nginx/" ID);

	/* A stateful set's pod, deleted and made again: same name, another uid. */
	make_path(fixture->log_fd, "pods/shop_web_" UID2);
	uint64_t again = make_path(fixture->tree_fd, POD2 "/" ID3);
	make_link(fixture, "web_shop_nginx", ID3);
	expect_told(identity, again, "pod shop/web/" UID2 "/nginx/" ID3);
	expect(identity, second, "pod shop/web/" UID "/nginx/" ID2);
}

static void test_static_pod(void **state)
{
	const struct identity_fixture *fixture = identity_fixture_or_skip(state);
	_cleanup_(identity_freep) struct identity *identity = open_identity(fixture, 64);
	make_path(fixture->log_fd, "pods/kube-system_etcd-node.example.com_" STATIC);
	make_link(fixture, "etcd-node.example.com_kube-system_etcd", ID);
	identity_tick(identity);
	uint64_t container =
		make_path(fixture->tree_fd, "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" STATIC
	                                    ".slice/cri-containerd-" ID ".scope");
	expect_told(identity, container, "pod kube-system/etcd-node.example.com/" STATIC "/etcd/" ID);
}

static void test_two_claim_one_uid(void **state)
{
	const struct identity_fixture *fixture = identity_fixture_or_skip(state);
	make_path(fixture->log_fd, LOGS);
	make_path(fixture->log_fd, "pods/bank_vault_" UID);
	_cleanup_(identity_freep) struct identity *identity = open_identity(fixture, 64);
	uint64_t container = make_path(fixture->tree_fd, POD "/" ID);
	expect_told(identity, container, "pending -/-/" UID "/-/" ID);
	assert_int_equal(unlinkat(fixture->log_fd, "pods/bank_vault_" UID, AT_REMOVEDIR), 0);
	expect_told(identity, container, "pending -/-/" UID "/-/" ID);
}

/* It is a container with an id as others are, in a pod with a directory for one container only, which is not it. */
static void test_sandbox_has_no_name(void **state)
{
	const struct identity_fixture *fixture = identity_fixture_or_skip(state);
	_cleanup_(identity_freep) struct identity *identity = open_identity(fixture, 64);
	make_path(fixture->log_fd, LOGS);
	uint64_t sandbox = make_path(fixture->tree_fd, POD "/" ID);
	make_path(fixture->log_fd, LOGS "/nginx");
	expect_told(identity, sandbox, "pending shop/web/" UID "/-/" ID);

	uint64_t container = make_path(fixture->tree_fd, POD "/" ID2);
	make_link(fixture, "web_shop_nginx", ID2);
	identity_tick(identity);
	expect_told(identity, sandbox, "pending shop/web/" UID "/-/" ID);
	expect(identity, container, "pod shop/web/" UID "/nginx/" ID2);
}

/* An owner that a record still holds outlives everything; the index keeps what it knew of a cgroup that is gone. */
static void test_stays_resolved(void **state)
{
	const struct identity_fixture *fixture = identity_fixture_or_skip(state);
	uint64_t container = make_path(fixture->tree_fd, POD "/" ID);
	uint64_t half = make_path(fixture->tree_fd, POD2 "/" ID2);
	make_path(fixture->log_fd, LOGS);
	make_path(fixture->log_fd, LOGS2);
	make_link(fixture, "web_shop_nginx", ID);

	struct identity *identity = open_identity(fixture, 64);
	struct owner *owner;
	assert_int_equal(identity_lookup(identity, container, &owner), IDENTITY_POD);

	remove_cgroup(fixture, POD "/" ID);
	remove_cgroup(fixture, POD2 "/" ID2);
	assert_int_equal(unlinkat(fixture->log_fd, "containers/web_shop_nginx-" ID ".log", 0), 0);
	assert_int_equal(unlinkat(fixture->log_fd, LOGS, AT_REMOVEDIR), 0);
	assert_int_equal(unlinkat(fixture->log_fd, LOGS2, AT_REMOVEDIR), 0);
	expect_told(identity, container, "pod shop/web/" UID "/nginx/" ID);
	expect(identity, half, "pending shop/db/" UID2 "/-/" ID2);
	make_link(fixture, "db_shop_postgres", ID2); /* the pod's directory is not needed any more */
	expect_told(identity, half, "pod shop/db/" UID2 "/postgres/" ID2);

	identity_free(identity);
	assert_string_equal(owner_names(owner)->container_name, "nginx");
	owner_unref(owner);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, identity_fixture_setup, identity_fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_names),
		TEST(test_neither_pod_nor_container),
		TEST(test_kubelet_comes_later),
		TEST(test_patience),
		TEST(test_restart),
		TEST(test_static_pod),
		TEST(test_two_claim_one_uid),
		TEST(test_sandbox_has_no_name),
		TEST(test_stays_resolved),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
