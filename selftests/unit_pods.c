// SPDX-License-Identifier: Apache-2.0
/* Names out of the kubelet's directories, held against real directories made for each test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>
#include "user/cleanup.h"
#include "user/pods.h"

#define UID    "6f1d2c3b-4a5e-4f60-8b7c-9d0e1f2a3b4c"
#define STATIC "d41d8cd98f00b204e9800998ecf8427e"
#define ID     "3f7c1e0ab95d2468ace013579bdf02468ace13579bdf02468ace13579bdf0246"
#define ID2    "aa17c0de00112233445566778899aabbccddeeff00112233445566778899aabb"

#define TEN(text) text text text text text text text text text text
#define LABEL_63  TEN("abcdef") "abc"

/* A log directory of its own for each test: <log>/pods and, where a test wants it, <log>/containers. */
struct fixture {
	char log[64], pods[96];
	int log_fd;
};

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	if (!fixture)
		return -1;
	*state = fixture;
	snprintf(fixture->log, sizeof(fixture->log), "/tmp/unit_pods.XXXXXX");
	if (!mkdtemp(fixture->log))
		return -1;
	snprintf(fixture->pods, sizeof(fixture->pods), "%s/pods", fixture->log);
	fixture->log_fd = open(fixture->log, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fixture->log_fd < 0 ? -1 : mkdirat(fixture->log_fd, "pods", 0755);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	int r = nftw(fixture->log, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	close(fixture->log_fd);
	free(fixture);
	return r;
}

static void make_dir(const struct fixture *fixture, const char *name)
{
	assert_int_equal(mkdirat(fixture->log_fd, name, 0755), 0);
}

static void make_link(const struct fixture *fixture, const char *name)
{
	assert_int_equal(symlinkat("/var/log/pods/anywhere/0.log", fixture->log_fd, name), 0);
}

static void make_file(const struct fixture *fixture, const char *name)
{
	_cleanup_(closep) int fd = openat(fixture->log_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
}

static void expect(const struct fixture *fixture, const char *uid, const char *id, const char *namespace_name,
                   const char *pod, const char *container)
{
	struct pod_names names;
	assert_int_equal(pods_lookup(fixture->pods, uid, id, &names), 0);
	assert_string_equal(names.namespace_name, namespace_name);
	assert_string_equal(names.pod_name, pod);
	assert_string_equal(names.container_name, container);
}

static void expect_error(const char *pods_dir, const char *uid, int error)
{
	struct pod_names names, before;
	memset(&before, 0x5a, sizeof(before));
	names = before;
	assert_int_equal(pods_lookup(pods_dir, uid, ID, &names), error);
	assert_memory_equal(&names, &before, sizeof(names));
}

static void test_one_container(void **state)
{
	const struct fixture *fixture = *state;
	make_dir(fixture, "pods/shop_web-7d4b9c-x2x_" UID);
	make_dir(fixture, "pods/shop_web-7d4b9c-x2x_" UID "/nginx");
	make_dir(fixture, "pods/shop_other_00000000-4a5e-4f60-8b7c-9d0e1f2a3b4c");
	expect(fixture, UID, ID, "shop", "web-7d4b9c-x2x", "nginx");
	expect(fixture, UID, "", "shop", "web-7d4b9c-x2x", "nginx");
	expect(fixture, "6f1d2c3b4a5e4f608b7c9d0e1f2a3b4c", ID, "shop", "web-7d4b9c-x2x", "nginx");
}

static void test_static_pod(void **state)
{
	const struct fixture *fixture = *state;
	make_dir(fixture, "pods/kube-system_etcd-node.example.com_" STATIC);
	make_dir(fixture, "pods/kube-system_etcd-node.example.com_" STATIC "/etcd");
	expect(fixture, STATIC, ID, "kube-system", "etcd-node.example.com", "etcd");
}

static void test_several_containers(void **state)
{
	const struct fixture *fixture = *state;
	make_dir(fixture, "pods/shop_web_" UID);
	make_dir(fixture, "pods/shop_web_" UID "/nginx");
	make_dir(fixture, "pods/shop_web_" UID "/nginx-proxy");
	expect(fixture, UID, ID, "shop", "web", ""); /* no links anywhere */

	make_dir(fixture, "containers");
	make_link(fixture, "containers/web_shop_nginx-proxy-" ID ".log");
	make_link(fixture, "containers/web_shop_nginx-" ID2 ".log");
	expect(fixture, UID, ID, "shop", "web", "nginx-proxy");
	expect(fixture, UID, ID2, "shop", "web", "nginx");
	expect(fixture, UID, "", "shop", "web", "");
	expect(fixture, UID, "0000000000000000000000000000000000000000000000000000000000000000", "shop", "web", "");
}

/* A link of another pod with the same id in its name is no link of this one. */
static void test_foreign_links(void **state)
{
	const struct fixture *fixture = *state;
	make_dir(fixture, "containers");
	make_dir(fixture, "pods/shop_web_" UID);
	make_dir(fixture, "pods/shop_web_" UID "/a");
	make_dir(fixture, "pods/shop_web_" UID "/b");
	make_link(fixture, "containers/web_other_a-" ID ".log");
	make_link(fixture, "containers/web2_shop_b-" ID ".log");
	make_link(fixture, "containers/web_shop_c-" ID ".log");
	expect(fixture, UID, ID, "shop", "web", "");
}

/* The kubelet cuts a link's name at 255 bytes; what is left of the id has to tell containers apart. */
static void test_cut_links(void **state)
{
#define NS_33 "a-namespace-name-of-33-characters"
#define POD   LABEL_63 "." LABEL_63
#define ID_25 "3f7c1e0ab95d2468ace013579"
	const struct fixture *fixture = *state;

	make_dir(fixture, "containers");
	make_dir(fixture, "pods/" NS_33 "_" POD "_" UID);
	make_dir(fixture, "pods/" NS_33 "_" POD "_" UID "/alfa");
	make_dir(fixture, "pods/" NS_33 "_" POD "_" UID "/" LABEL_63);
	make_link(fixture, "containers/" POD "_" NS_33 "_" LABEL_63 "-" ID_25 ".log");
	expect(fixture, UID, ID, NS_33, POD, LABEL_63);
	expect(fixture, UID, ID2, NS_33, POD, "");
}

/* Nothing is left of the id: such a link says nothing. */
static void test_links_without_id(void **state)
{
#define LONG_POD POD "." TEN("ab") "12345678"
	const struct fixture *fixture = *state;

	make_dir(fixture, "containers");
	make_dir(fixture, "pods/" NS_33 "_" LONG_POD "_" UID);
	make_dir(fixture, "pods/" NS_33 "_" LONG_POD "_" UID "/alfa");
	make_dir(fixture, "pods/" NS_33 "_" LONG_POD "_" UID "/" LABEL_63);
	make_link(fixture, "containers/" LONG_POD "_" NS_33 "_" TEN("abcdef") ".log"); /* 156 + 1 + 33 + 1 + 60 = 251 */
	expect(fixture, UID, ID, NS_33, LONG_POD, "");
}

static void test_container_names(void **state)
{
	const struct fixture *fixture = *state;

	make_dir(fixture, "pods/shop_web_" UID);
	make_dir(fixture, "pods/shop_web_" UID "/Not_A_Label");
	expect(fixture, UID, ID, "shop", "web", "");
	make_dir(fixture, "pods/shop_web_" UID "/nginx");
	expect(fixture, UID, ID, "shop", "web", ""); /* two, if only one has a good name */

	assert_int_equal(unlinkat(fixture->log_fd, "pods/shop_web_" UID "/Not_A_Label", AT_REMOVEDIR), 0);
	make_file(fixture, "pods/shop_web_" UID "/a-file-does-not-count");
	expect(fixture, UID, ID, "shop", "web", "nginx");
}

static void test_names_of_greatest_length(void **state)
{
	const struct fixture *fixture = *state;
	/* A file name has 255 bytes, so that namespace and pod share 253 - 36. */
	make_dir(fixture, "pods/" LABEL_63 "_" LABEL_63 "." LABEL_63 "."
	                  "abcdefghij_" UID);
	expect(fixture, UID, ID, LABEL_63, LABEL_63 "." LABEL_63 ".abcdefghij", "");
}

static void test_names_against_the_rules(void **state)
{
	static const char *const entries[] = {
		"Shop_web",        "shop_Web",      "sh.op_web",
		"-shop_web",       "shop-_web",     "shop_-web",
		"shop_web-",       "shop_.web",     "shop_web.",
		"shop_we..b",      "shop_we.-b",    "shop_we-.b",
		"shop_we\xc3\xa9", "shop_we b",     "_web",
		"shop_",           "shop",          "shop_we_b",
		"shop_we\nb",      "shop_we\x1b[m", "" LABEL_63 "x_w",
		"shop_we\xff\xfe", "sh$op_web",     "shop_web:1",
	};
	const struct fixture *fixture = *state;
	for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
		char path[NAME_MAX + 1];
		snprintf(path, sizeof(path), "pods/%s_" UID, entries[i]);
		make_dir(fixture, path);
	}
	expect_error(fixture->pods, UID, -ENOENT);

	make_dir(fixture, "pods/shop_web_" UID);
	expect(fixture, UID, ID, "shop", "web", "");
}

static void test_no_such_pod(void **state)
{
	const struct fixture *fixture = *state;
	char missing[128];

	expect_error(fixture->pods, UID, -ENOENT);
	snprintf(missing, sizeof(missing), "%s/nowhere", fixture->log);
	expect_error(missing, UID, -ENOENT);

	make_dir(fixture, "pods/shop_web_6f1d2c3b-4a5e-4f60-8b7c-9d0e1f2a3b4");  /* a digit short */
	make_dir(fixture, "pods/shop_web_" UID "0");                             /* a digit long */
	make_dir(fixture, "pods/shop_web_6f1d2c3b_4a5e_4f60_8b7c_9d0e1f2a3b4c"); /* the kubelet writes dashes here */
	expect_error(fixture->pods, UID, -ENOENT);
	expect_error(fixture->pods, "", -ENOENT);
}

/* Neither a file, nor a link that leads out of the directory. */
static void test_not_a_directory(void **state)
{
	const struct fixture *fixture = *state;

	assert_int_equal(symlinkat("/", fixture->log_fd, "pods/shop_web_" UID), 0);
	make_file(fixture, "pods/bank_web_" UID);
	expect_error(fixture->pods, UID, -ENOENT);
}

static void test_two_claim_one_uid(void **state)
{
	const struct fixture *fixture = *state;
	make_dir(fixture, "pods/shop_web_" UID);
	make_dir(fixture, "pods/bank_vault_" UID);
	expect_error(fixture->pods, UID, -ENOENT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_one_container),
		TEST(test_static_pod),
		TEST(test_several_containers),
		TEST(test_foreign_links),
		TEST(test_cut_links),
		TEST(test_links_without_id),
		TEST(test_container_names),
		TEST(test_names_of_greatest_length),
		TEST(test_names_against_the_rules),
		TEST(test_no_such_pod),
		TEST(test_not_a_directory),
		TEST(test_two_claim_one_uid),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
