/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of the identity index do and expect. All fail the test where something is not so. */
#pragma once

#include "selftests/identity_fixture.h"
#include "user/identity.h"

/* An index of the fixture's cgroups and directories. */
struct identity *open_identity(const struct identity_fixture *fixture, size_t max_cgroups);

/* A cgroup below the fixture's top. */
void remove_cgroup(const struct identity_fixture *fixture, const char *path);

/* The kubelet's link to a container's log, POD_AND_CONTAINER: <pod>_<namespace>_<container>. */
void make_link(const struct identity_fixture *fixture, const char *pod_and_container, const char *id);

/*
 * What a lookup answers: "unknown", "root", "host", or "pending" or "pod" with " namespace/pod/uid/container/id", "-" for what is
 * not known.
 */
#define IDENTITY_TEXT_SIZE 512
void identity_describe(struct identity *identity, uint64_t id, char ret_text[static IDENTITY_TEXT_SIZE]);
void expect(struct identity *identity, uint64_t id, const char *description);
/* By what identity_read takes in, and by no reading of the tree. */
void expect_told(struct identity *identity, uint64_t id, const char *description);

void expect_misses(const struct identity *identity, uint64_t cgroup, uint64_t pod, uint64_t container);

/*
 * An identity_change. DATA: a text of IDENTITY_NOTES_SIZE; a line is appended: "here" or "gone", path, pod uid ("none": neither
 * pod nor container), and the names of pod and container, "-" for what is not known.
 */
#define IDENTITY_NOTES_SIZE 1024
void note_change(const struct identity_cgroup *cgroup, void *data);
