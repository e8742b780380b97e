// SPDX-License-Identifier: Apache-2.0
/*
 * Policy: flows whose local ends are all in denied namespaces are not counted, whatever hook they pass. A test run's packet
 * comes from the cgroup that the test itself is in, so that each step moves there first.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <string.h>
#include <cmocka.h>
#include <bpf/bpf.h>
#include "selftests/identity_fixture.h"
#include "selftests/row.h"

#define SYN    PKT(ETH, IP4(), TCP(.flags = TH_SYN))
#define ACK    PKT(ETH, IP4(), TCP())
#define RST    PKT(ETH, IP4(), TCP(.flags = TH_RST))
#define ANSWER PKT(ETH, IP4(REPLY), TCP(REPLY))

enum cgroup { ONE, OTHER, CGROUPS };
static const char *const cgroup_names[CGROUPS] = { "one", "other" };

struct world {
	const struct identity_fixture *fixture;
	struct harness *harness;
	uint64_t ids[CGROUPS];
};

/* Moves this process into the cgroup at PATH below DIR_FD. */
static void enter(int dir_fd, const char *path)
{
	_cleanup_(closep) int dir = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(closep) int procs = openat(dir, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	assert_true(procs >= 0);
	assert_int_equal(write(procs, "0", 1), 1);
}

static void world_open(struct world *world, void **state, const struct harness_options *options)
{
	world->fixture = identity_fixture_or_skip(state);
	world->harness = harness_open(options);
	for (int cgroup = 0; cgroup < CGROUPS; cgroup++)
		world->ids[cgroup] = make_path(world->fixture->tree_fd, cgroup_names[cgroup]);
}

static void decide(const struct world *world, enum cgroup cgroup, enum flow_policy policy)
{
	const uint8_t verdict = policy;
	int map = harness_map(world->harness, "policy_cgroups");
	if (policy == POLICY_PENDING)
		bpf_map_delete_elem(map, &world->ids[cgroup]);
	else
		assert_int_equal(bpf_map_update_elem(map, &world->ids[cgroup], &verdict, BPF_ANY), 0);
}

/* A packet from a cgroup, after the loader has said what it thinks of both. */
struct step {
	enum flow_policy one, other;
	enum cgroup from;
	struct row row;
};

static void tell(const struct harness_options *options, void **state, const struct step *steps, size_t n)
{
	struct world world;
	world_open(&world, state, options);
	for (size_t i = 0; i < n; i++) {
		decide(&world, ONE, steps[i].one);
		decide(&world, OTHER, steps[i].other);
		enter(world.fixture->tree_fd, cgroup_names[steps[i].from]);
		row_run(world.harness, &steps[i].row);
	}
	harness_free(world.harness);
}

static const struct harness_options with_rules = { .config = { .namespaces = 1, .samples = 1, .head_bytes = 1000 } };

#define TELL(options, ...)                                                          \
	do {                                                                        \
		static const struct step steps_[] = { __VA_ARGS__ };                \
		tell((options), state, steps_, sizeof(steps_) / sizeof(steps_[0])); \
	} while (0)

static void test_pending_then_allowed(void **state)
{
	TELL(&with_rules,
	     { POLICY_PENDING,
	       POLICY_PENDING,
	       ONE,
	       { "counted, not sampled",
	         ACK,
	         VERDICT_OBSERVED,
	         { "tcp 10.0.0.1:40000 (1 40 A) -> 10.0.0.2:443 (0 0)" } } },
	     { POLICY_PENDING,
	       POLICY_PENDING,
	       ONE,
	       { "goes on waiting", ACK, VERDICT_OBSERVED, { "tcp 10.0.0.1:40000 (2 80 A) -> 10.0.0.2:443 (0 0)" } } },
	     { POLICY_ALLOWED,
	       POLICY_PENDING,
	       ONE,
	       { "sampled from now on",
	         ACK,
	         VERDICT_OBSERVED,
	         { "tcp 10.0.0.1:40000 (3 120 A) -> 10.0.0.2:443 (0 0)" },
	         .samples = 1 } });
}

static void test_pending_then_denied(void **state)
{
	TELL(&with_rules,
	     { POLICY_PENDING,
	       POLICY_PENDING,
	       ONE,
	       { "counted", ACK, VERDICT_OBSERVED, { "tcp 10.0.0.1:40000 (1 40 A) -> 10.0.0.2:443 (0 0)" } } },
	     { POLICY_DENIED,
	       POLICY_PENDING,
	       ONE,
	       { "what was counted stays",
	         ACK,
	         VERDICT_NAMESPACE,
	         { "tcp 10.0.0.1:40000 (1 40 A) -> 10.0.0.2:443 (0 0)" } } });
}

static void test_denied_everywhere(void **state)
{
	TELL(&with_rules,
	     { POLICY_DENIED,
	       POLICY_DENIED,
	       ONE,
	       { "at the first hook",
	         SYN,
	         VERDICT_NAMESPACE,
	         { "tcp 10.0.0.1:40000 (0 0 S) -> 10.0.0.2:443 (0 0)" } } },
	     { POLICY_DENIED,
	       POLICY_DENIED,
	       ONE,
	       { "at the next one too",
	         SYN,
	         VERDICT_NAMESPACE,
	         { "tcp 10.0.0.1:40000 (0 0 S) -> 10.0.0.2:443 (0 0)" },
	         NIC_OUT } },
	     { POLICY_DENIED,
	       POLICY_DENIED,
	       OTHER,
	       { "both ends denied",
	         ANSWER,
	         VERDICT_NAMESPACE,
	         { "tcp 10.0.0.1:40000 (0 0 S) -> 10.0.0.2:443 (0 0 A)" },
	         NIC_IN } },
	     { POLICY_DENIED,
	       POLICY_DENIED,
	       ONE,
	       { "segments",
	         PKT(ETH, IP4(), TCP(), BYTES(2000)),
	         VERDICT_NAMESPACE,
	         { "tcp 10.0.0.1:40000 (0 0 SA) -> 10.0.0.2:443 (0 0 A)" },
	         .gso_size = 1000,
	         .packets = 2 } });
}

static void test_one_end_allowed(void **state)
{
	TELL(&with_rules,
	     { POLICY_DENIED,
	       POLICY_ALLOWED,
	       ONE,
	       { "the other end is not known to be here",
	         SYN,
	         VERDICT_NAMESPACE,
	         { "tcp 10.0.0.1:40000 (0 0 S) -> 10.0.0.2:443 (0 0)" } } },
	     { POLICY_DENIED,
	       POLICY_ALLOWED,
	       OTHER,
	       { "it is, and allowed",
	         ANSWER,
	         VERDICT_OBSERVED,
	         { "tcp 10.0.0.1:40000 (0 0 S) -> 10.0.0.2:443 (1 40 A)" },
	         NIC_IN,
	         .samples = 1 } },
	     { POLICY_DENIED,
	       POLICY_ALLOWED,
	       ONE,
	       { "now both directions are observed",
	         ACK,
	         VERDICT_OBSERVED,
	         { "tcp 10.0.0.1:40000 (1 40 SA) -> 10.0.0.2:443 (1 40 A)" },
	         .samples = 1 } },
	     { POLICY_DENIED,
	       POLICY_ALLOWED,
	       ONE,
	       { "once",
	         ACK,
	         VERDICT_DUPLICATE,
	         { "tcp 10.0.0.1:40000 (1 40 SA) -> 10.0.0.2:443 (1 40 A)" },
	         NIC_OUT } });
}

static void test_other_end_pending(void **state)
{
	TELL(&with_rules,
	     { POLICY_DENIED,
	       POLICY_PENDING,
	       ONE,
	       { "denied", SYN, VERDICT_NAMESPACE, { "tcp 10.0.0.1:40000 (0 0 S) -> 10.0.0.2:443 (0 0)" } } },
	     { POLICY_DENIED,
	       POLICY_PENDING,
	       OTHER,
	       { "until a pod that is not known yet has a part in it",
	         ANSWER,
	         VERDICT_OBSERVED,
	         { "tcp 10.0.0.1:40000 (0 0 S) -> 10.0.0.2:443 (1 40 A)" },
	         NIC_IN } },
	     { POLICY_DENIED,
	       POLICY_DENIED,
	       ONE,
	       { "which is denied, too",
	         ACK,
	         VERDICT_NAMESPACE,
	         { "tcp 10.0.0.1:40000 (0 0 SA) -> 10.0.0.2:443 (1 40 A)" } } });
}

static void test_rules_change(void **state)
{
	TELL(&with_rules,
	     { POLICY_ALLOWED,
	       POLICY_PENDING,
	       ONE,
	       { "allowed",
	         ACK,
	         VERDICT_OBSERVED,
	         { "tcp 10.0.0.1:40000 (1 40 A) -> 10.0.0.2:443 (0 0)" },
	         .samples = 1 } },
	     { POLICY_DENIED,
	       POLICY_PENDING,
	       ONE,
	       { "denied", ACK, VERDICT_NAMESPACE, { "tcp 10.0.0.1:40000 (1 40 A) -> 10.0.0.2:443 (0 0)" } } },
	     { POLICY_PENDING,
	       POLICY_PENDING,
	       ONE,
	       { "the cgroup is gone, its late packets are as before",
	         ACK,
	         VERDICT_NAMESPACE,
	         { "tcp 10.0.0.1:40000 (1 40 A) -> 10.0.0.2:443 (0 0)" } } },
	     { POLICY_ALLOWED,
	       POLICY_PENDING,
	       ONE,
	       { "allowed again",
	         ACK,
	         VERDICT_OBSERVED,
	         { "tcp 10.0.0.1:40000 (2 80 A) -> 10.0.0.2:443 (0 0)" },
	         .samples = 1 } });
}

/* Denied packets keep an entry alive, or end it, as counted ones do. */
static void test_life_of_denied(void **state)
{
	TELL(&with_rules,
	     { POLICY_DENIED,
	       POLICY_DENIED,
	       ONE,
	       { "begins", ACK, VERDICT_NAMESPACE, { "tcp 10.0.0.1:40000 (0 0 A) -> 10.0.0.2:443 (0 0)" } } },
	     { POLICY_DENIED,
	       POLICY_DENIED,
	       ONE,
	       { "goes on",
	         ACK,
	         VERDICT_NAMESPACE,
	         { "tcp 10.0.0.1:40000 (0 0 A) -> 10.0.0.2:443 (0 0)" },
	         .after_ms = 14000 } },
	     { POLICY_DENIED,
	       POLICY_DENIED,
	       ONE,
	       { "ends",
	         RST,
	         VERDICT_NAMESPACE,
	         { "tcp 10.0.0.1:40000 (0 0 RA) -> 10.0.0.2:443 (0 0)" },
	         .after_ms = 14000 } },
	     { POLICY_DENIED,
	       POLICY_ALLOWED,
	       OTHER,
	       { "the tuple is somebody else's",
	         SYN,
	         VERDICT_OBSERVED,
	         { "tcp 10.0.0.1:40000 (0 0 RA) -> 10.0.0.2:443 (0 0) closed",
	           "tcp 10.0.0.1:40000 (1 40 S) -> 10.0.0.2:443 (0 0) generation 2" },
	         .samples = 1 } });
}

static void test_table_full(void **state)
{
	static const struct harness_options full = { .flows_max = 1,
		                                     .config = { .namespaces = 1, .samples = 1, .head_bytes = 1000 } };
	TELL(&full,
	     { POLICY_ALLOWED,
	       POLICY_DENIED,
	       ONE,
	       { "takes the only entry",
	         ACK,
	         VERDICT_OBSERVED,
	         { "tcp 10.0.0.1:40000 (1 40 A) -> 10.0.0.2:443 (0 0)" },
	         .samples = 1 } },
	     { POLICY_ALLOWED,
	       POLICY_DENIED,
	       OTHER,
	       { "denied by the packet's own cgroup",
	         PKT(ETH, IP4(), TCP(.to_port = 444)),
	         VERDICT_NAMESPACE,
	         { "tcp 10.0.0.1:40000 (1 40 A) -> 10.0.0.2:443 (0 0)" } } },
	     { POLICY_ALLOWED,
	       POLICY_PENDING,
	       OTHER,
	       { "not known: observed",
	         PKT(ETH, IP4(), TCP(.to_port = 444)),
	         VERDICT_OBSERVED,
	         { "tcp 10.0.0.1:40000 (1 40 A) -> 10.0.0.2:443 (0 0)" },
	         .full = 1 } });
}

static void test_without_rules(void **state)
{
	static const struct harness_options without = { .config = { .samples = 1, .head_bytes = 1000 } };
	TELL(&without, { POLICY_DENIED,
	                 POLICY_DENIED,
	                 ONE,
	                 { "nobody asks",
	                   ACK,
	                   VERDICT_OBSERVED,
	                   { "tcp 10.0.0.1:40000 (1 40 A) -> 10.0.0.2:443 (0 0)" },
	                   .samples = 1 } });
}

/* An end without a cgroup is not on this host; the first packets of a direction, which would tell, are over. */
static void forget_cgroups(const struct world *world)
{
	int map = harness_map(world->harness, "flows");
	struct flow_key key;
	struct flow flow;

	assert_int_equal(bpf_map_get_next_key(map, NULL, &key), 0);
	assert_int_equal(bpf_map_lookup_elem(map, &key, &flow), 0);
	flow.end[0].cgroup_id = flow.end[1].cgroup_id = 0;
	flow.end[0].packets = flow.end[1].packets = 10;
	flow.end[0].bytes = flow.end[1].bytes = 400;
	assert_int_equal(bpf_map_update_elem(map, &key, &flow, BPF_EXIST), 0);
}

static void test_no_local_end(void **state)
{
	static const struct row rows[] = {
		{ "an entry", ACK, VERDICT_NAMESPACE, { "tcp 10.0.0.1:40000 (0 0 A) -> 10.0.0.2:443 (0 0)" } },
		{ "both ends elsewhere",
		  ACK,
		  VERDICT_OBSERVED,
		  { "tcp 10.0.0.1:40000 (11 440 A) -> 10.0.0.2:443 (10 400)" },
		  .samples = 1 },
	};
	struct world world;
	world_open(&world, state, &with_rules);
	decide(&world, ONE, POLICY_DENIED);
	enter(world.fixture->tree_fd, cgroup_names[ONE]);
	row_run(world.harness, &rows[0]);
	forget_cgroups(&world);
	row_run(world.harness, &rows[1]);
	harness_free(world.harness);
}

/* A cgroup with a process in it cannot be removed: out of it, however the test ended. */
static int leave_and_remove(void **state)
{
	const struct identity_fixture *fixture = *state;
	if (fixture->tree_fd >= 0)
		enter(fixture->tree_fd, "..");
	return identity_fixture_teardown(state);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, identity_fixture_setup, leave_and_remove)
	const struct CMUnitTest tests[] = {
		TEST(test_pending_then_allowed), TEST(test_pending_then_denied), TEST(test_denied_everywhere),
		TEST(test_one_end_allowed),      TEST(test_other_end_pending),   TEST(test_rules_change),
		TEST(test_life_of_denied),       TEST(test_table_full),          TEST(test_without_rules),
		TEST(test_no_local_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
