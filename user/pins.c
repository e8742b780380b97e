// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include "user/pins.h"

#define BPFFS         "/sys/fs/bpf"
#define CURRENT       "current"
#define LAYOUT_LENGTH 16 /* hexadecimal digits */

static bool is_bpffs(const char *path)
{
	struct statfs fs;
	return statfs(path, &fs) == 0 && (unsigned long)fs.f_type == BPF_FS_MAGIC;
}

int pins_prepare(const char *dir)
{
	if (strncmp(dir, BPFFS "/", strlen(BPFFS "/")) == 0 && !is_bpffs(BPFFS) &&
	    mount("bpf", BPFFS, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") < 0)
		return -errno;
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return -errno;
	return is_bpffs(dir) ? 0 : -ENOTTY;
}

int pins_lock(const char *dir, int *ret_fd)
{
	_cleanup_(closep) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static bool is_layout(const char *name)
{
	return strspn(name, "0123456789abcdef") == LAYOUT_LENGTH && name[LAYOUT_LENGTH] == '\0';
}

int pins_layouts(const char *dir, int (*visit)(const char *layout, void *data), void *data)
{
	_cleanup_(closedirp) DIR *stream = opendir(dir);
	if (!stream)
		return -errno;
	for (const struct dirent *entry; (entry = readdir(stream));) {
		int r = is_layout(entry->d_name) ? visit(entry->d_name, data) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

/* True: `current` points to LAYOUT. */
static bool is_current(int dir, const char *layout)
{
	char target[LAYOUT_LENGTH + 2] = "";
	return readlinkat(dir, CURRENT, target, sizeof(target) - 1) == LAYOUT_LENGTH && strcmp(target, layout) == 0;
}

int pins_remove(const char *dir, const char *layout)
{
	_cleanup_(closep) int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return -errno;
	int fd = openat(dir_fd, layout, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	_cleanup_(closedirp) DIR *stream = fdopendir(fd);
	if (!stream) {
		close(fd);
		return -errno;
	}
	for (const struct dirent *entry; (entry = readdir(stream));)
		if (entry->d_name[0] != '.' && unlinkat(dirfd(stream), entry->d_name, 0) < 0)
			return -errno;
	if (is_current(dir_fd, layout) && unlinkat(dir_fd, CURRENT, 0) < 0)
		return -errno;
	return unlinkat(dir_fd, layout, AT_REMOVEDIR) < 0 ? -errno : 0;
}

int pins_set_current(const char *dir, const char *layout)
{
	_cleanup_(closep) int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return -errno;
	if (is_current(dir_fd, layout))
		return 0;
	/* Nothing but people and scripts reads the link: the moment without it harms no one. */
	if (unlinkat(dir_fd, CURRENT, 0) < 0 && errno != ENOENT)
		return -errno;
	return symlinkat(layout, dir_fd, CURRENT) < 0 ? -errno : 0;
}

void pins_link_path(char path[static PATH_MAX], const char *dir, const char *layout, uint32_t iface_id, bool egress)
{
	snprintf(path, PATH_MAX, "%s/%s/link_%u_%s", dir, layout, iface_id, egress ? "egress" : "ingress");
}
