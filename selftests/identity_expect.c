// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <fcntl.h>
#include <string.h>
#include <cmocka.h>
#include "selftests/identity_expect.h"

struct identity *open_identity(const struct identity_fixture *fixture, size_t max_cgroups)
{
	struct identity *identity;
	const struct identity_options options = { .cgroup_root = fixture->tree,
		                                  .pods_dir = fixture->pods,
		                                  .max_cgroups = max_cgroups };
	assert_int_equal(identity_open(&options, &identity), 0);
	return identity;
}

void remove_cgroup(const struct identity_fixture *fixture, const char *path)
{
	assert_int_equal(unlinkat(fixture->tree_fd, path, AT_REMOVEDIR), 0);
}

void make_link(const struct identity_fixture *fixture, const char *pod_and_container, const char *id)
{
	char path[PATH_MAX];
	make_path(fixture->log_fd, "containers");
	snprintf(path, sizeof(path), "containers/%s-%s.log", pod_and_container, id);
	assert_int_equal(symlinkat("/var/log/pods/anywhere/0.log", fixture->log_fd, path), 0);
}

static const char *or_none(const char *name)
{
	return name ? name : "-";
}

void identity_describe(struct identity *identity, uint64_t id, char ret_text[static IDENTITY_TEXT_SIZE])
{
	static const char *const states[] = { "unknown", "root", "host", "pending", "pod" };
	_cleanup_(owner_unrefp) struct owner *owner = (struct owner *)0x5a;
	enum identity_state state = identity_lookup(identity, id, &owner);
	const struct owner_names *names = owner_names(owner);

	if (owner)
		snprintf(ret_text, IDENTITY_TEXT_SIZE, "%s %s/%s/%s/%s/%s", states[state],
		         or_none(names->namespace_name), or_none(names->pod_name), or_none(names->pod_uid),
		         or_none(names->container_name), or_none(names->container_id));
	else
		snprintf(ret_text, IDENTITY_TEXT_SIZE, "%s", states[state]);
}

void expect(struct identity *identity, uint64_t id, const char *description)
{
	char text[IDENTITY_TEXT_SIZE];
	identity_describe(identity, id, text);
	assert_string_equal(text, description);
}

void expect_told(struct identity *identity, uint64_t id, const char *description)
{
	uint64_t rereads = identity_rereads(identity);
	assert_int_equal(identity_read(identity), 0);
	expect(identity, id, description);
	assert_int_equal(identity_rereads(identity), rereads);
}

void expect_misses(const struct identity *identity, uint64_t cgroup, uint64_t pod, uint64_t container)
{
	uint64_t misses[IDENTITY_MISS_MAX];
	identity_misses(identity, misses);
	assert_int_equal(misses[MISS_CGROUP], cgroup);
	assert_int_equal(misses[MISS_POD], pod);
	assert_int_equal(misses[MISS_CONTAINER], container);
}

void note_change(const struct identity_cgroup *cgroup, void *data)
{
	char *notes = data;
	size_t size = strlen(notes);
	snprintf(notes + size, IDENTITY_NOTES_SIZE - size, "%s %s %s %s %s\n", cgroup->gone ? "gone" : "here",
	         cgroup->path, cgroup->parsed ? cgroup->parsed->pod_uid : "none", or_none(cgroup->names->pod_name),
	         or_none(cgroup->names->container_name));
}
