// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <cmocka.h>
#include "selftests/identity_fixture.h"
#include "user/cleanup.h"

static const char *find_cgroup2(void)
{
	static const char *const places[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		struct statfs fs;
		if (statfs(places[i], &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
			return places[i];
	}
	return NULL;
}

int identity_fixture_setup(void **state)
{
	struct identity_fixture *fixture = calloc(1, sizeof(*fixture));
	if (!fixture)
		return -1;
	*state = fixture;
	fixture->tree_fd = fixture->log_fd = -1;

	const char *mount = find_cgroup2();
	if (!mount) {
		fixture->skip = "no cgroup v2 tree is mounted";
		return 0;
	}
	snprintf(fixture->tree, sizeof(fixture->tree), "%s/unit_identity.%d", mount, (int)getpid());
	if (mkdir(fixture->tree, 0755) < 0) {
		fixture->skip = "no right to make cgroups";
		return 0;
	}
	fixture->tree_fd = open(fixture->tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(fixture->log, sizeof(fixture->log), "/tmp/unit_identity.XXXXXX");
	if (!mkdtemp(fixture->log))
		return -1;
	snprintf(fixture->pods, sizeof(fixture->pods), "%s/pods", fixture->log);
	fixture->log_fd = open(fixture->log, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fixture->tree_fd < 0 || fixture->log_fd < 0 ? -1 : mkdirat(fixture->log_fd, "pods", 0755);
}

/* A cgroup's files go with it and cannot be removed one by one. */
static int remove_cgroup(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return type == FTW_DP ? rmdir(path) : 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

int identity_fixture_teardown(void **state)
{
	struct identity_fixture *fixture = *state;
	int r = 0;
	if (fixture->tree_fd >= 0)
		r = nftw(fixture->tree, remove_cgroup, 64, FTW_DEPTH | FTW_PHYS);
	if (fixture->log_fd >= 0 && nftw(fixture->log, remove_entry, 16, FTW_DEPTH | FTW_PHYS) < 0)
		r = -1;
	closep(&fixture->tree_fd);
	closep(&fixture->log_fd);
	free(fixture);
	return r;
}

const struct identity_fixture *identity_fixture_or_skip(void **state)
{
	const struct identity_fixture *fixture = *state;
	if (fixture->skip) {
		print_message("skipped: %s\n", fixture->skip);
		skip();
	}
	return fixture;
}

uint64_t make_path(int dir_fd, const char *path)
{
	char part[PATH_MAX];
	struct stat st;

	for (const char *end = strchr(path, '/'); end; end = strchr(end + 1, '/')) {
		snprintf(part, sizeof(part), "%.*s", (int)(end - path), path);
		assert_true(mkdirat(dir_fd, part, 0755) == 0 || errno == EEXIST);
	}
	assert_true(mkdirat(dir_fd, path, 0755) == 0 || errno == EEXIST);
	assert_int_equal(fstatat(dir_fd, path, &st, 0), 0);
	return st.st_ino;
}
