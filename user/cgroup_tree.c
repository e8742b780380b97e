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

/* Reads what is below FD (taken) at walk->path. */
static void walk_below(struct walk *walk, int fd, unsigned int depth)
{
	_cleanup_(closedirp) DIR *dir = fdopendir(fd);
	const struct dirent *child;

	if (!dir) {
		close(fd);
		return;
	}
	while ((child = readdir(dir)) && walk->n < CGROUPS_MAX) {
		size_t size = walk->size, name_size = strlen(child->d_name);
		struct stat st;

		if (child->d_type != DT_DIR || !strcmp(child->d_name, ".") || !strcmp(child->d_name, ".."))
			continue;
		if (size + name_size + 2 > sizeof(walk->path) ||
		    fstatat(dirfd(dir), child->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		walk->path[size] = '/';
		memcpy(walk->path + size + 1, child->d_name, name_size + 1);
		walk->size += 1 + name_size;
		walk->n++;
		walk->visit(st.st_ino, walk->path, walk->data);

		/* Two links: no directories below; most cgroups are such leaves, and opening them costs the most. */
		int child_fd = -1;
		if (st.st_nlink > 2 && depth < DEPTH_MAX)
			child_fd = openat(dirfd(dir), child->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (child_fd >= 0)
			walk_below(walk, child_fd, depth + 1);
		walk->size = size;
		walk->path[size] = '\0';
	}
}

void cgroup_tree_walk(int tree_fd, cgroup_visit visit, void *data)
{
	struct walk walk = { .visit = visit, .data = data, .n = 1 };
	struct stat st;

	int fd = openat(tree_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0)
		visit(st.st_ino, "/", data);
	walk_below(&walk, fd, 1);
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
