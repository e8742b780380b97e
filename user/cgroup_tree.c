// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include "user/cgroup_tree.h"
#include "user/cleanup.h"

#define DEPTH_MAX   32
#define CGROUPS_MAX 65536

struct walk {
	cgroup_visit visit;
	void *data;
	size_t n, size;
	char path[PATH_MAX]; /* size bytes, and a NUL */
};

static int stat_directory(int dir_fd, const char *name, struct stat *ret_st)
{
	if (fstatat(dir_fd, name, ret_st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return S_ISDIR(ret_st->st_mode) ? 0 : -ENOTDIR;
}

static void walk_below(struct walk *walk, int fd, unsigned int depth);

/* Visits NAME in DIR_FD, whose path is walk->path, and what is below. */
static void walk_from(struct walk *walk, int dir_fd, const char *name, unsigned int depth)
{
	struct stat st;

	if (walk->n >= CGROUPS_MAX || stat_directory(dir_fd, name, &st) < 0)
		return;
	walk->n++;
	walk->visit(st.st_ino, walk->size ? walk->path : "/", walk->data);

	/*
	 * Two links: no directories below; most cgroups are such leaves, and opening them costs the most. Those that came
	 * before the visit began to watch are counted here: hence the second look.
	 */
	if (depth >= DEPTH_MAX || stat_directory(dir_fd, name, &st) < 0 || st.st_nlink <= 2)
		return;
	int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0)
		walk_below(walk, fd, depth + 1);
}

/* Reads what is below FD (taken) at walk->path. */
static void walk_below(struct walk *walk, int fd, unsigned int depth)
{
	_cleanup_(closedirp) DIR *dir = fdopendir(fd);
	const struct dirent *child;

	if (!dir) {
		close(fd);
		return;
	}
	while ((child = readdir(dir))) {
		size_t size = walk->size, name_size = strlen(child->d_name);

		if (child->d_type != DT_DIR || !strcmp(child->d_name, ".") || !strcmp(child->d_name, "..") ||
		    size + name_size + 2 > sizeof(walk->path))
			continue;
		walk->path[size] = '/';
		memcpy(walk->path + size + 1, child->d_name, name_size + 1);
		walk->size += 1 + name_size;
		walk_from(walk, dirfd(dir), child->d_name, depth);
		walk->size = size;
		walk->path[size] = '\0';
	}
}

/* PATH as a name for the *at calls; the tree's root is its directory itself. */
static const char *relative(const char *path)
{
	return path[1] ? path + 1 : ".";
}

uint64_t cgroup_tree_id(int tree_fd, const char *path)
{
	struct stat st;
	return stat_directory(tree_fd, relative(path), &st) == 0 ? st.st_ino : 0;
}

void cgroup_tree_walk(int tree_fd, const char *path, cgroup_visit visit, void *data)
{
	struct walk walk = { .visit = visit, .data = data };
	unsigned int depth = 0;

	if (strlen(path) >= sizeof(walk.path))
		return;
	if (path[1])
		walk.size = strlen(path);
	memcpy(walk.path, path, walk.size);
	for (size_t i = 0; i < walk.size; i++)
		depth += path[i] == '/';
	walk_from(&walk, tree_fd, relative(path), depth);
}

static bool is_cgroup2(int fd)
{
	struct statfs fs;
	return fstatfs(fd, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

int cgroup_tree_open(const char *root, int *ret_fd)
{
	_cleanup_(closep) int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ENOTSUP : -errno;
	if (!is_cgroup2(fd)) {
		int unified = openat(fd, "unified", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (unified < 0)
			return errno == ENOENT ? -ENOTSUP : -errno;
		close(fd);
		fd = unified;
	}
	if (!is_cgroup2(fd))
		return -ENOTSUP;
	*ret_fd = TAKE_FD(fd);
	return 0;
}
