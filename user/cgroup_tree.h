/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the tree of cgroups: ids and paths. */
#pragma once

#include <stdint.h>

/*
 * Opens the cgroup v2 tree at ROOT, or in its directory "unified" where v1 hierarchies are beside it (hybrid). 0 or -errno:
 * -ENOTSUP where there is none.
 */
int cgroup_tree_open(const char *root, int *ret_fd);

/* The id of the cgroup at PATH (from the root on, "/" for the root itself); 0: there is none. */
uint64_t cgroup_tree_id(int tree_fd, const char *path);

/* ID: what the kernel's hooks give, the inode of the directory. PATH: from the root on, "/" for the root itself. */
typedef void (*cgroup_visit)(uint64_t id, const char *path, void *data);

/*
 * Calls VISIT for the cgroup at PATH and for each one below, parents before their children. A cgroup's children are read after
 * its visit: one that begins to watch it there misses none. Those that vanish under way, or cannot be opened, are left out,
 * and so is what exceeds 65,536 cgroups or 32 levels.
 */
void cgroup_tree_walk(int tree_fd, const char *path, cgroup_visit visit, void *data);
