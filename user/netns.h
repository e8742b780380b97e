/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Other network namespaces than the sensor's own: which one a process is in, and doing something inside. Nothing that is done
 * here keeps a namespace alive beyond the call.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

/*
 * Which namespace. No two have the same inode at a time, but the one of a namespace that is gone is given again, at once; a
 * cookie never is.
 */
struct netns_id {
	uint64_t cookie; /* SO_NETNS_COOKIE; 0: the kernel cannot tell (before 5.14), then the inode has to do */
	uint32_t inode;  /* in nsfs: the number that /proc/PID/ns/net shows */
};

/*
 * The inode of the namespace that process PID is in. 0 or -errno: -ENOENT or -ESRCH where the process is gone, -EACCES where
 * CAP_SYS_PTRACE is missing.
 */
int netns_inode(const char *proc_root, pid_t pid, uint32_t *ret_inode);

/* The namespace that the calling thread is in. 0 or -errno. */
int netns_current(struct netns_id *ret_id);

/*
 * Calls FUNCTION in the namespace with INODE, which process PID is in, and waits for it. It runs on a thread of its own that
 * ends with it, so that no other part of the process ever is in the wrong namespace. What FUNCTION returns, or -errno:
 * -ESTALE where PID is gone or in another namespace, -EACCES without CAP_SYS_PTRACE, -EPERM without CAP_SYS_ADMIN.
 */
int netns_visit(const char *proc_root, pid_t pid, uint32_t inode, int (*function)(void *data), void *data);

/* Some process in the namespace with INODE, by a walk over all of them. 0; -ESRCH: there is none; -errno. */
int netns_search(const char *proc_root, uint32_t inode, pid_t *ret_pid);
