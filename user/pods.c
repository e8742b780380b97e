// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include "user/cleanup.h"
#include "user/pods.h"

#define LABEL_MAX     63 /* RFC 1123 */
#define SUBDOMAIN_MAX 253

/* The kubelet cuts the name of a link (without its suffix) to what ext4 takes, and with it the container id. */
#define LINK_SUFFIX        ".log"
#define LINK_MAX_SIZE      (255 - (sizeof(LINK_SUFFIX) - 1))
#define LINK_ID_MIN_DIGITS 12

static bool is_alphanumeric(char byte)
{
	return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z');
}

/* A DNS label, or with DOTS several, as the API asks of names: no label is empty, or begins or ends with a dash. */
static bool is_dns_name(const char *name, size_t size, size_t max, bool dots)
{
	if (!size || size > max)
		return false;
	for (size_t i = 0; i < size; i++) {
		bool edge = i == 0 || i + 1 == size || name[i - 1] == '.' || name[i + 1] == '.';
		bool separator = name[i] == '-' || (dots && name[i] == '.');
		if (!is_alphanumeric(name[i]) && (edge || !separator))
			return false;
	}
	return true;
}

static bool uid_equal(const char *a, const char *b)
{
	for (;;) {
		a += strspn(a, "-");
		b += strspn(b, "-");
		if (*a != *b)
			return false;
		if (!*a)
			return true;
		a++;
		b++;
	}
}

static void copy_name(char *ret_name, const char *text, size_t size)
{
	memcpy(ret_name, text, size);
	ret_name[size] = '\0';
}

/* <namespace>_<pod>_<uid>: none of the three may hold an underscore. */
static bool parse_pod_dir(const char *entry, const char *pod_uid, struct pod_names *ret_names)
{
	const char *pod = strchr(entry, '_');
	const char *uid = pod ? strchr(pod + 1, '_') : NULL;
	if (!uid || !uid_equal(uid + 1, pod_uid))
		return false;

	size_t namespace_size = (size_t)(pod - entry), pod_size = (size_t)(uid - ++pod);
	if (!is_dns_name(entry, namespace_size, LABEL_MAX, false) || !is_dns_name(pod, pod_size, SUBDOMAIN_MAX, true))
		return false;
	copy_name(ret_names->namespace_name, entry, namespace_size);
	copy_name(ret_names->pod_name, pod, pod_size);
	return true;
}

/* A stream of the entries of DIR_FD's NAME, which must be a directory and no link to one. 0 or -errno. */
static int open_dir_at(int dir_fd, const char *name, DIR **ret_dir)
{
	_cleanup_(closep) int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	DIR *dir = fdopendir(fd);
	if (!dir)
		return -errno;
	(void)TAKE_FD(fd);
	*ret_dir = dir;
	return 0;
}

/* Finds the pod's directory. Two that claim one uid are as good as none: -ENOENT. */
static int find_pod(DIR *pods, const char *pod_uid, struct pod_names *ret_names, DIR **ret_dir)
{
	_cleanup_(closedirp) DIR *found = NULL;
	const struct dirent *entry;

	while ((entry = readdir(pods))) {
		_cleanup_(closedirp) DIR *dir = NULL;
		struct pod_names names = { 0 };

		if (!parse_pod_dir(entry->d_name, pod_uid, &names) || open_dir_at(dirfd(pods), entry->d_name, &dir) < 0)
			continue;
		if (found)
			return -ENOENT;
		found = TAKE_PTR(dir);
		*ret_names = names;
	}
	if (!found)
		return -ENOENT;
	*ret_dir = TAKE_PTR(found);
	return 0;
}

/* Whether the kubelet linked CONTAINER_ID's log to a container of this name. */
static bool has_link(int links_fd, const struct pod_names *names, const char *container, const char *container_id)
{
	char link[sizeof(names->pod_name) + sizeof(names->namespace_name) + LABEL_MAX + 64 + sizeof("__-" LINK_SUFFIX)];
	struct stat st;

	int stem = snprintf(link, sizeof(link), "%s_%s_%s-", names->pod_name, names->namespace_name, container);
	if (stem < 0 || (size_t)stem + LINK_ID_MIN_DIGITS > LINK_MAX_SIZE)
		return false;
	size_t digits = LINK_MAX_SIZE - (size_t)stem;
	snprintf(link + stem, sizeof(link) - (size_t)stem, "%.*s" LINK_SUFFIX, (int)digits, container_id);
	return fstatat(links_fd, link, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool is_dir(DIR *parent, const struct dirent *entry)
{
	struct stat st;
	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type == DT_DIR;
	return fstatat(dirfd(parent), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

/* Leaves the name empty where neither a link tells nor there is but one. */
static void find_container(DIR *pod, int links_fd, const char *container_id, struct pod_names *names)
{
	const struct dirent *entry;
	char name[LABEL_MAX + 1] = "";
	size_t n = 0;

	while ((entry = readdir(pod))) {
		size_t size = strlen(entry->d_name);
		if (entry->d_name[0] == '.' || !is_dir(pod, entry))
			continue;
		n++;
		if (!is_dns_name(entry->d_name, size, LABEL_MAX, false))
			continue;
		copy_name(name, entry->d_name, size);
		if (container_id[0] && links_fd >= 0 && has_link(links_fd, names, name, container_id)) {
			n = 1;
			break;
		}
	}
	if (n == 1)
		copy_name(names->container_name, name, strlen(name));
}

int pods_lookup(const char *pods_dir, const char *pod_uid, const char *container_id, struct pod_names *ret_names)
{
	_cleanup_(closedirp) DIR *pods = NULL, *pod = NULL;
	_cleanup_(closep) int links_fd = -1;
	struct pod_names names = { 0 };

	pods = opendir(pods_dir);
	if (!pods)
		return -errno;
	int r = find_pod(pods, pod_uid, &names, &pod);
	if (r < 0)
		return r;
	links_fd = openat(dirfd(pods), "../containers", O_PATH | O_DIRECTORY | O_CLOEXEC);
	find_container(pod, links_fd, container_id, &names);
	*ret_names = names;
	return 0;
}
