// SPDX-License-Identifier: Apache-2.0
/* Names out of the kubelet's directories, held against real directories made for each test, and what becomes of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>
#include "user/pods.h"

#define UID    "6f1d2c3b-4a5e-4f60-8b7c-9d0e1f2a3b4c"
#define STATIC "d41d8cd98f00b204e9800998ecf8427e"
#define ID     "3f7c1e0ab95d2468ace013579bdf02468ace13579bdf02468ace13579bdf0246"
#define UID2   "00000000-1111-4222-8333-444444444444"
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

static struct pods *open_pods(const char *dir, pods_appeared appeared, void *data)
{
	struct pods *pods;
	assert_int_equal(pods_open(dir, appeared, data, &pods), 0);
	return pods;
}

/* What an index knows ("": nothing), POD as "namespace/pod". */
static void expect_known(const struct pods *pods, const char *uid, const char *id, const char *pod,
                         const char *container)
{
	struct pod_names names;
	char text[400] = "", name[64] = "";

	if (pods_find(pods, uid, &names)) {
		snprintf(text, sizeof(text), "%s/%s", names.namespace_name, names.pod_name);
		if (!pods_find_container(pods, &names, id, name))
			assert_string_equal(name, ""); /* untouched */
	}
	assert_string_equal(text, pod);
	assert_string_equal(name, container);
}

/* The same of an index that is opened now. */
static void expect(const struct fixture *fixture, const char *uid, const char *id, const char *pod,
                   const char *container)
{
	_cleanup_(pods_freep) struct pods *pods = open_pods(fixture->pods, NULL, NULL);
	expect_known(pods, uid, id, pod, container);
}

static void remove_dir_at(const struct fixture *fixture, const char *name)
{
	assert_int_equal(unlinkat(fixture->log_fd, name, AT_REMOVEDIR), 0);
}

static void test_uids(void **state)
{
	const struct fixture *fixture = *state;
	make_dir(fixture, "pods/shop_web-7d4b9c-x2x_" UID);
	make_dir(fixture, "pods/shop_other_00000000-4a5e-4f60-8b7c-9d0e1f2a3b4c");
	make_dir(fixture, "pods/kube-system_etcd-node.example.com_" STATIC);
	expect(fixture, UID, ID, "shop/web-7d4b9c-x2x", "");
	expect(fixture, "6f1d2c3b4a5e4f608b7c9d0e1f2a3b4c", ID, "shop/web-7d4b9c-x2x", "");
	expect(fixture, STATIC, ID, "kube-system/etcd-node.example.com", "");
}

static void test_containers(void **state)
{
	const struct fixture *fixture = *state;
	make_dir(fixture, "pods/shop_web_" UID);
	make_dir(fixture, "pods/shop_web_" UID "/nginx");
	expect(fixture, UID, ID, "shop/web", ""); /* the sandbox, for all that is known */

	make_dir(fixture, "containers");
	make_link(fixture, "containers/web_shop_nginx-proxy-" ID ".log");
	make_link(fixture, "containers/web_shop_nginx-" ID2 ".log");
	expect(fixture, UID, ID, "shop/web", "nginx-proxy");
	expect(fixture, UID, ID2, "shop/web", "nginx");
	expect(fixture, UID, "", "shop/web", "");
	expect(fixture, UID, "0000000000000000000000000000000000000000000000000000000000000000", "shop/web", "");
	expect(fixture, UID, "3f7c1e0ab95d0000000000000000000000000000000000000000000000000000", "shop/web", "");
}

/* A link of another pod with the same id in its name is no link of this one. */
static void test_foreign_links(void **state)
{
	static const char *const links[] = {
		"web_other_a-" ID ".log", "web2_shop_b-" ID ".log",  "web_shop_a-" ID,
		"web_shop_a" ID ".log",   "web_shop_A-" ID ".log",   "web_shop_-" ID ".log",
		"web_shop-" ID ".log",    "web_shop_a-" ID "0.log",  "web_shop_a-3f7c1e0ab95d.log",
		"_shop_a-" ID ".log",     "web_shop_a_b-" ID ".log", "web__a-" ID ".log",
	};
	const struct fixture *fixture = *state;
	make_dir(fixture, "containers");
	make_dir(fixture, "pods/shop_web_" UID);
	for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
		char path[NAME_MAX + 1];
		snprintf(path, sizeof(path), "containers/%s", links[i]);
		make_link(fixture, path);
		expect(fixture, UID, ID, "shop/web", "");
		assert_int_equal(unlinkat(fixture->log_fd, path, 0), 0);
	}
	make_file(fixture, "containers/web_shop_file-" ID ".log");
	expect(fixture, UID, ID, "shop/web", "");
	make_link(fixture, "containers/web_shop_a-" ID ".log");
	expect(fixture, UID, ID, "shop/web", "a");
	make_link(fixture, "containers/web_shop_b-" ID ".log");
	expect(fixture, UID, ID, "shop/web", "");
}

/* The kubelet cuts a link's name at 255 bytes; what is left of the id has to tell containers apart. */
static void test_cut_links(void **state)
{
#define NS_33    "a-namespace-name-of-33-characters"
#define POD      LABEL_63 "." LABEL_63
#define ID_25    "3f7c1e0ab95d2468ace013579"
#define LONG_POD POD "." TEN("ab") "12345678"
	const struct fixture *fixture = *state;
	make_dir(fixture, "containers");
	make_dir(fixture, "pods/" NS_33 "_" POD "_" UID);
	make_link(fixture, "containers/" POD "_" NS_33 "_" LABEL_63 "-" ID_25 ".log");
	expect(fixture, UID, ID, NS_33 "/" POD, LABEL_63);
	expect(fixture, UID, ID2, NS_33 "/" POD, "");
	expect(fixture, UID, "3f7c1e0ab95d2468ace0135700000000000000000000000000000000000000000", NS_33 "/" POD, "");

	/* Nothing is left of the id: 156 + 1 + 33 + 1 + 60 = 251. */
	make_dir(fixture, "pods/" NS_33 "_" LONG_POD "_" UID2);
	make_link(fixture, "containers/" LONG_POD "_" NS_33 "_" TEN("abcdef") ".log");
	expect(fixture, UID2, ID2, NS_33 "/" LONG_POD, "");
}

static void test_names_of_greatest_length(void **state)
{
	const struct fixture *fixture = *state;
	/* A file name has 255 bytes, so that namespace and pod share 253 - 36. */
	make_dir(fixture, "pods/" LABEL_63 "_" LABEL_63 "." LABEL_63 "."
	                  "abcdefghij_" UID);
	expect(fixture, UID, ID, LABEL_63 "/" LABEL_63 "." LABEL_63 ".abcdefghij", "");
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
	expect(fixture, UID, ID, "", "");
	make_dir(fixture, "pods/shop_web_" UID);
	expect(fixture, UID, ID, "shop/web", "");
}

static void test_no_such_pod(void **state)
{
	const struct fixture *fixture = *state;
	expect(fixture, UID, ID, "", "");
	make_dir(fixture, "pods/shop_web_6f1d2c3b-4a5e-4f60-8b7c-9d0e1f2a3b4");  /* a digit short */
	make_dir(fixture, "pods/shop_web_" UID "0");                             /* a digit long */
	make_dir(fixture, "pods/shop_web_6f1d2c3b_4a5e_4f60_8b7c_9d0e1f2a3b4c"); /* the kubelet writes dashes here */
	make_dir(fixture, "pods/shop_web_6F1D2C3B-4A5E-4F60-8B7C-9D0E1F2A3B4C");
	expect(fixture, UID, ID, "", "");
	expect(fixture, "", ID, "", "");
}

/* Neither a file, nor a link that leads out of the directory. */
static void test_not_a_directory(void **state)
{
	const struct fixture *fixture = *state;
	_cleanup_(pods_freep) struct pods *pods = open_pods(fixture->pods, NULL, NULL);

	assert_int_equal(symlinkat("/", fixture->log_fd, "pods/shop_web_" UID), 0);
	make_file(fixture, "pods/bank_web_" UID);
	expect(fixture, UID, ID, "", "");
	assert_int_equal(pods_read(pods), 0);
	expect_known(pods, UID, ID, "", "");
}

/* Which of two is right cannot be told, also when one of them is gone. */
static void test_two_claim_one_uid(void **state)
{
	const struct fixture *fixture = *state;
	make_dir(fixture, "pods/shop_web_" UID);
	_cleanup_(pods_freep) struct pods *pods = open_pods(fixture->pods, NULL, NULL);
	expect_known(pods, UID, ID, "shop/web", "");
	make_dir(fixture, "pods/bank_vault_" UID);
	expect(fixture, UID, ID, "", "");
	assert_int_equal(pods_read(pods), 0);
	expect_known(pods, UID, ID, "", "");
	remove_dir_at(fixture, "pods/shop_web_" UID);
	assert_int_equal(pods_read(pods), 0);
	expect_known(pods, UID, ID, "", "");
}

#define KEYS_SIZE 256

/* The keys that appeared, one after the other. */
static void note_key(const char *key, void *data)
{
	char *keys = data;
	size_t size = strlen(keys);
	snprintf(keys + size, KEYS_SIZE - size, "%s ", key);
}

static void test_events(void **state)
{
	const struct fixture *fixture = *state;
	char keys[KEYS_SIZE] = "";
	make_dir(fixture, "containers");
	_cleanup_(pods_freep) struct pods *pods = open_pods(fixture->pods, note_key, keys);
	assert_true(pods_fd(pods) >= 0);
	make_dir(fixture, "pods/shop_web_" UID);
	make_link(fixture, "containers/web_shop_nginx-" ID ".log");
	expect_known(pods, UID, ID, "", "");
	assert_int_equal(pods_read(pods), 0);
	expect_known(pods, UID, ID, "shop/web", "nginx");
	assert_string_equal(keys, "6f1d2c3b4a5e4f608b7c9d0e1f2a3b4c 3f7c1e0ab95d ");

	/* Renamed, as a directory that is prepared elsewhere. */
	assert_int_equal(renameat(fixture->log_fd, "pods/shop_web_" UID, fixture->log_fd, "pods/elsewhere"), 0);
	assert_int_equal(pods_read(pods), 0);
	expect_known(pods, UID, ID, "", "");
	assert_int_equal(renameat(fixture->log_fd, "pods/elsewhere", fixture->log_fd, "pods/bank_web_" UID), 0);
	assert_int_equal(pods_read(pods), 0);
	expect_known(pods, UID, ID, "bank/web", "");

	/* It lived for a moment: the event has the names. */
	remove_dir_at(fixture, "pods/bank_web_" UID);
	make_dir(fixture, "pods/shop_web_" UID);
	remove_dir_at(fixture, "pods/shop_web_" UID);
	keys[0] = '\0';
	assert_int_equal(pods_read(pods), 0);
	assert_string_equal(keys, "6f1d2c3b4a5e4f608b7c9d0e1f2a3b4c ");
	expect_known(pods, UID, ID, "", "");
}

/* The kubelet may be installed after the sensor, and its directories be made anew. */
static void test_directories_come_and_go(void **state)
{
	const struct fixture *fixture = *state;
	char keys[KEYS_SIZE] = "";
	remove_dir_at(fixture, "pods");
	_cleanup_(pods_freep) struct pods *pods = open_pods(fixture->pods, note_key, keys);
	expect_known(pods, UID, ID, "", "");

	make_dir(fixture, "pods");
	make_dir(fixture, "pods/shop_web_" UID);
	make_dir(fixture, "containers");
	make_link(fixture, "containers/web_shop_nginx-" ID ".log");
	pods_tick(pods);
	expect_known(pods, UID, ID, "shop/web", "nginx");
	assert_string_equal(keys, "6f1d2c3b4a5e4f608b7c9d0e1f2a3b4c 3f7c1e0ab95d ");

	assert_int_equal(renameat(fixture->log_fd, "pods", fixture->log_fd, "old"), 0);
	make_dir(fixture, "pods");
	make_dir(fixture, "pods/bank_vault_" UID2);
	assert_int_equal(pods_read(pods), 0);
	pods_tick(pods);
	expect_known(pods, UID, ID, "", "");
	expect_known(pods, UID2, ID, "bank/vault", "");

	make_dir(fixture, "old/shop_other_" UID);
	make_dir(fixture, "pods/bank_teller_" UID);
	assert_int_equal(pods_read(pods), 0);
	expect_known(pods, UID, ID, "bank/teller", "");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_uids),
		TEST(test_containers),
		TEST(test_foreign_links),
		TEST(test_cut_links),
		TEST(test_names_of_greatest_length),
		TEST(test_names_against_the_rules),
		TEST(test_no_such_pod),
		TEST(test_not_a_directory),
		TEST(test_two_claim_one_uid),
		TEST(test_events),
		TEST(test_directories_come_and_go),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
