/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of identity stand on: a real cgroup v2 subtree and a kubelet's log directory, made and removed by each
 * test. */
#pragma once

#include <limits.h>
#include <stdint.h>

struct identity_fixture {
	const char *skip; /* why this machine cannot run the test; NULL: it can */
	char tree[64];    /* the cgroup at the top */
	char log[64];     /* stands for /var/log */
	char pods[72];    /* <log>/pods */
	int tree_fd, log_fd;
};

/* For cmocka: *state is a struct identity_fixture. */
int identity_fixture_setup(void **state);
int identity_fixture_teardown(void **state);

/* The fixture of a test; does not return where the test is to be skipped, and says why. */
const struct identity_fixture *identity_fixture_or_skip(void **state);

/* Makes PATH below DIR_FD with all its parents; the inode of the last. Fails the test where it cannot. */
uint64_t make_path(int dir_fd, const char *path);
