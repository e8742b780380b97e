// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include "user/cleanup.h"
#include "user/netns.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71 /* Linux 5.14 */
#endif

static void net_path(char path[static PATH_MAX], const char *proc_root, pid_t pid)
{
	snprintf(path, PATH_MAX, "%s/%d/ns/net", proc_root, pid);
}

int netns_inode(const char *proc_root, pid_t pid, uint32_t *ret_inode)
{
	char path[PATH_MAX];
	struct stat net;

	net_path(path, proc_root, pid);
	if (stat(path, &net) < 0)
		return -errno;
	*ret_inode = (uint32_t)net.st_ino;
	return 0;
}

int netns_current(struct netns_id *ret_id)
{
	struct netns_id id = { 0 };
	struct stat net;
	socklen_t size = sizeof(id.cookie);

	if (stat("/proc/thread-self/ns/net", &net) < 0)
		return -errno;
	id.inode = (uint32_t)net.st_ino;
	_cleanup_(closep) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &id.cookie, &size) < 0 && errno != ENOPROTOOPT)
		return -errno;
	*ret_id = id;
	return 0;
}

struct visit {
	const char *proc_root;
	pid_t pid;
	uint32_t inode;
	int (*function)(void *data);
	void *data;
	int result;
};

static int enter(const struct visit *visit)
{
	char path[PATH_MAX];
	struct stat net;

	net_path(path, visit->proc_root, visit->pid);
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &net) < 0)
		return errno == ENOENT || errno == ESRCH ? -ESTALE : -errno;
	if ((uint32_t)net.st_ino != visit->inode)
		return -ESTALE;
	return setns(fd, CLONE_NEWNET) < 0 ? -errno : 0;
}

static void *run_visit(void *data)
{
	struct visit *visit = data;
	visit->result = enter(visit);
	if (visit->result == 0)
		visit->result = visit->function(visit->data);
	return NULL;
}

int netns_visit(const char *proc_root, pid_t pid, uint32_t inode, int (*function)(void *data), void *data)
{
	struct visit visit = { proc_root, pid, inode, function, data, 0 };
	sigset_t all, before;
	pthread_t thread;

	/* Signals are for the threads that stay. */
	sigfillset(&all);
	int r = pthread_sigmask(SIG_SETMASK, &all, &before);
	if (r == 0) {
		r = pthread_create(&thread, NULL, run_visit, &visit);
		pthread_sigmask(SIG_SETMASK, &before, NULL);
	}
	if (r == 0)
		r = pthread_join(thread, NULL);
	return r ? -r : visit.result;
}

int netns_search(const char *proc_root, uint32_t inode, pid_t *ret_pid)
{
	_cleanup_(closedirp) DIR *stream = opendir(proc_root);
	if (!stream)
		return -errno;
	for (const struct dirent *entry; (entry = readdir(stream));) {
		char *end;
		long pid = strtol(entry->d_name, &end, 10);
		uint32_t its;
		if (pid > 0 && !*end && netns_inode(proc_root, (pid_t)pid, &its) == 0 && its == inode) {
			*ret_pid = (pid_t)pid;
			return 0;
		}
	}
	return -ESRCH;
}
