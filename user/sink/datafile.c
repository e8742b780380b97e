// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include "user/sink/datafile.h"

#define NAME_SIZE 64

static void file_name(enum store_file file, uint64_t id, char name[static NAME_SIZE])
{
	static const char *const prefixes[] = { "records", "packets" };
	static const char *const suffixes[] = { "ndjson", "pcapng" };
	char stamp[32];
	struct tm tm;
	time_t seconds = (time_t)(id / 1000);
	gmtime_r(&seconds, &tm);
	strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%S", &tm);
	snprintf(name, NAME_SIZE, "%s-%s.%03uZ.%s", prefixes[file], stamp, (unsigned)(id % 1000), suffixes[file]);
}

int datafile_create(int dir_fd, enum store_file file, uint64_t *ret_id, int *ret_fd)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	uint64_t id = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	_cleanup_(closep) int fd = -1;
	for (;; id++) {
		char name[NAME_SIZE];
		file_name(file, id, name);
		fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
		if (fd >= 0)
			break;
		if (errno != EEXIST)
			return -errno;
	}
	if (fsync(dir_fd) < 0)
		return -errno;
	*ret_id = id;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int datafile_recover(int dir_fd, enum store_file file, const struct file_state *committed, bool cut,
                     uint64_t *cut_bytes, uint64_t *missing_bytes)
{
	if (!committed->id)
		return 0;

	char name[NAME_SIZE];
	struct stat st;
	file_name(file, committed->id, name);
	_cleanup_(closep) int fd = openat(dir_fd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;

	uint64_t size = (uint64_t)st.st_size;
	if (size < committed->size)
		*missing_bytes += committed->size - size;
	if (size <= committed->size || !cut)
		return 0;
	if (ftruncate(fd, (off_t)committed->size) < 0 || fdatasync(fd) < 0)
		return -errno;
	*cut_bytes += size - committed->size;
	return 0;
}
