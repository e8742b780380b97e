// SPDX-License-Identifier: Apache-2.0
/* Who is at an end: what is said of it, for each combination of what socket, cgroup and address tell in a small world. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include "selftests/enrich_world.h"

#define TCP IPPROTO_TCP
#define UDP IPPROTO_UDP

struct row {
	const char *what;
	const char *address;
	uint8_t protocol;
	uint64_t cookie, cgroup;
	const char *owner; /* as text() has it; "": nobody */
	bool waits;
	enum enrich_miss miss; /* in the end; ENRICH_MISS_MAX: none */
	uint16_t port;
	uint32_t ifindex;
	uint16_t domain;
	bool apart;
};
#define NO_MISS ENRICH_MISS_MAX

static const struct row rows[] = {
	/* The socket first. */
	{ "a pod's process", "10.0.0.1", TCP, NGINX, 0, "shop cart uid-cart app c1 nginx 80", .miss = NO_MISS },
	{ "a process's cgroup is surer than the socket's", "10.0.0.1", TCP, NGINX, SERVICE,
	  "shop cart uid-cart app c1 nginx 80", .miss = NO_MISS },
	{ "a pod's process behind the host's address: hostNetwork, or translated", "192.0.2.1", TCP, NGINX, 0,
	  "shop cart uid-cart app c1 nginx 80", .miss = NO_MISS },
	{ "a host's process", "192.0.2.1", TCP, SSHD, 0, "- - - - - sshd 22", .miss = NO_MISS },
	{ "a host's process on an address that nobody knows", "203.0.113.1", TCP, SSHD, 0, "- - - - - sshd 22",
	  .miss = NO_MISS },
	{ "a host's process in a pod's network", "10.0.0.1", TCP, SSHD, 0, "shop cart uid-cart - - sshd 22",
	  .miss = NO_MISS },
	{ "a process in the root of a hybrid tree, in a pod's network", "10.0.0.1", TCP, IN_ROOT, 0,
	  "shop cart uid-cart - - agent 23", .miss = ENRICH_CONTAINER },
	{ "where the process's cgroup tells nothing, the socket's does", "192.0.2.1", TCP, IN_ROOT, CART,
	  "shop cart uid-cart app c1 agent 23", .miss = NO_MISS },
	{ "a socket from before the sensor, its process not found", "10.0.0.1", TCP, BY_CGROUP, 0,
	  "shop cart uid-cart app c1 - 0", .miss = ENRICH_PROCESS },
	{ "its last packets come after it was closed", "10.0.0.1", TCP, CLOSED_TCP, 0,
	  "shop cart uid-cart app c1 nginx 80", .miss = NO_MISS },
	{ "but not a minute later", "10.0.0.1", TCP, OLD, 0, "shop cart uid-cart - - - 0", .miss = ENRICH_CONTAINER },
	{ "a closed UDP socket sends no more", "10.0.0.1", UDP, CLOSED_UDP, 0, "shop cart uid-cart - - - 0",
	  .miss = ENRICH_CONTAINER },
	{ "who got the socket later did not send", "192.0.2.1", UDP, LATER, SERVICE, "", .miss = ENRICH_PROCESS },
	{ "a connection that is being accepted", "10.0.0.1", TCP, NEVER_SEEN, CART, "shop cart uid-cart app c1 - 0",
	  .waits = true, .miss = ENRICH_PROCESS },
	{ "a UDP socket that no process was seen with", "10.0.0.1", UDP, NEVER_SEEN, CART,
	  "shop cart uid-cart app c1 - 0", .miss = ENRICH_PROCESS },
	{ "what a hook saw of another network is no pod's", "10.0.0.2", TCP, NGINX, 0,
	  "shop cart uid-cart app c1 nginx 80", .miss = NO_MISS, .apart = true },

	/* Then the cgroup. */
	{ "a pod's cgroup", "203.0.113.1", TCP, 0, CART, "shop cart uid-cart app c1 - 0", .miss = ENRICH_PROCESS },
	{ "ICMP has no process", "203.0.113.1", IPPROTO_ICMP, 0, CART, "shop cart uid-cart app c1 - 0",
	  .miss = NO_MISS },
	{ "a pod's cgroup, but no container's", "10.0.0.1", TCP, 0, CART_POD, "shop cart uid-cart - - - 0",
	  .miss = ENRICH_CONTAINER },
	{ "the kubelet is late: the address has the pod's name", "10.0.0.1", TCP, 0, CART_LATE,
	  "shop cart uid-cart - c2 - 0", .waits = true, .miss = ENRICH_CONTAINER },
	{ "the kubelet is late", "192.0.2.1", TCP, 0, CART_LATE, "- - uid-cart - c2 - 0", .waits = true,
	  .miss = ENRICH_POD },
	{ "the kubelet's directories are gone", "192.0.2.1", TCP, 0, NAMELESS, "- - uid-lost - c4 - 0",
	  .miss = ENRICH_POD },
	{ "a container of no pod", "203.0.113.1", TCP, 0, BARE, "- - - - c5 - 0", .miss = ENRICH_PROCESS },
	{ "a container of which the cgroup does not tell the pod", "10.0.0.1", TCP, 0, BARE,
	  "shop cart uid-cart - c5 - 0", .miss = ENRICH_CONTAINER },
	{ "a cgroup that nobody saw", "203.0.113.1", TCP, 0, GONE, "", .waits = true, .miss = ENRICH_CGROUP },
	{ "a cgroup that nobody saw, at a pod's address", "10.0.0.1", TCP, 0, GONE, "shop cart uid-cart - - - 0",
	  .waits = true, .miss = ENRICH_CGROUP },
	{ "a host's cgroup", "192.0.2.1", TCP, 0, SERVICE, "", .miss = ENRICH_PROCESS },

	/* Then interface and address. */
	{ "a pod's address", "10.0.0.2", TCP, 0, 0, "shop feed uid-feed - - - 0", .miss = ENRICH_CONTAINER },
	{ "the pod's kernel answers", "10.0.0.2", IPPROTO_ICMP, 0, ROOT, "shop feed uid-feed - - - 0",
	  .miss = NO_MISS },
	{ "the interface tells where the address does not", "10.0.0.4", IPPROTO_ICMP, 0, 0,
	  "shop cart uid-cart - - - 0", .miss = NO_MISS, .ifindex = 7 },
	{ "a pod's address in at another pod's interface", "10.0.0.2", IPPROTO_ICMP, 0, 0, "", .miss = ENRICH_ADDRESS,
	  .ifindex = 7 },
	{ "forged by a raw socket", "10.0.0.2", IPPROTO_ICMP, 0, CART, "shop cart uid-cart app c1 - 0", .miss = NO_MISS,
	  .ifindex = 7 },
	{ "somebody else's, that the pod forwards", "203.0.113.1", IPPROTO_ICMP, 0, 0, "", .miss = NO_MISS,
	  .ifindex = 7 },
	{ "several pods had the address", "10.0.0.4", TCP, 0, 0, "", .miss = ENRICH_ADDRESS },
	{ "several pods had the address, the cgroup decides", "10.0.0.4", TCP, 0, CART, "shop cart uid-cart app c1 - 0",
	  .miss = ENRICH_PROCESS },
	{ "a namespace whose pod is not known yet", "10.0.0.3", TCP, 0, 0, "", .waits = true, .miss = ENRICH_POD },
	{ "a host's process there", "10.0.0.3", TCP, SSHD, 0, "- - - - - sshd 22", .waits = true, .miss = ENRICH_POD },
	{ "not known yet, the cgroup decides", "10.0.0.3", TCP, NGINX, 0, "shop cart uid-cart app c1 nginx 80",
	  .miss = NO_MISS },
	{ "the host's own address", "192.0.2.1", TCP, 0, 0, "", .miss = ENRICH_PROCESS },
	{ "somebody else", "203.0.113.1", TCP, 0, 0, "", .miss = NO_MISS },
	{ "a pod's address in another network", "10.0.0.1", TCP, 0, 0, "", .miss = NO_MISS, .apart = true },

	/* Two pods. */
	{ "socket and address contradict each other", "10.0.0.2", TCP, NGINX, 0, "", .miss = ENRICH_CONFLICT },
	{ "cgroup and address contradict each other", "10.0.0.1", TCP, 0, FEED, "", .miss = ENRICH_CONFLICT },
	{ "late or not, they contradict each other", "10.0.0.2", TCP, 0, CART_LATE, "", .miss = ENRICH_CONFLICT },

	/* The loopback: everybody has it. */
	{ "loopback, with a socket", "127.0.0.1", TCP, SSHD, 0, "- - - - - sshd 22", .miss = NO_MISS },
	{ "loopback, without", "127.0.0.1", TCP, 0, 0, "", .miss = ENRICH_PROCESS },
	{ "loopback of IPv6", "::1", TCP, 0, 0, "", .miss = ENRICH_PROCESS },
	{ "loopback of a pod", "127.0.0.53", TCP, NGINX, 0, "shop cart uid-cart app c1 nginx 80", .miss = NO_MISS,
	  .domain = 5 },

	/* A receiver that never sent. */
	{ "by its port on the host", "192.0.2.1", UDP, 0, 0, "- - - - - resolver 53", .miss = NO_MISS, .port = 53 },
	{ "by its port on the loopback", "127.0.0.1", UDP, 0, 0, "- - - - - resolver 53", .miss = NO_MISS, .port = 53 },
	{ "not on the loopback of a pod that is not known", "127.0.0.1", UDP, 0, 0, "", .miss = ENRICH_PROCESS,
	  .port = 53, .domain = 5 },
	{ "another port", "192.0.2.1", UDP, 0, 0, "", .miss = ENRICH_PROCESS, .port = 52 },
	{ "a port whose socket was closed before", "192.0.2.1", UDP, 0, 0, "", .miss = ENRICH_PROCESS, .port = 54 },
	{ "a connection's end is not the listener", "192.0.2.1", TCP, 0, 0, "", .miss = ENRICH_PROCESS, .port = 53 },
	{ "in a pod, by what its sockets told", "10.0.0.1", UDP, 0, 0, "shop cart uid-cart app c1 coredns 54",
	  .miss = NO_MISS, .port = 53 },
	{ "in a pod of which no socket told", "10.0.0.2", UDP, 0, 0, "shop feed uid-feed - - - 0",
	  .miss = ENRICH_CONTAINER, .port = 53 },
	{ "somebody else's port", "203.0.113.1", UDP, 0, 0, "", .miss = NO_MISS, .port = 53 },
};

static const char *or_dash(const char *name)
{
	return name ? name : "-";
}

static void text(const struct owner *owner, char out[static 256])
{
	const struct owner_names *names = owner_names(owner);
	*out = '\0';
	if (!owner)
		return;
	snprintf(out, 256, "%s %s %s %s %s %s %u", or_dash(names->namespace_name), or_dash(names->pod_name),
	         or_dash(names->pod_uid), or_dash(names->container_name), or_dash(names->container_id),
	         or_dash(names->executable_name), names->pid);
	assert_int_equal(names->uid, names->pid ? 7 : 0);
}

static struct enrich_end end_of(const struct row *row)
{
	struct enrich_end end = {
		.port = row->port,
		.protocol = row->protocol,
		.domain = row->domain,
		.apart = row->apart,
		.cgroup_id = row->cgroup,
		.cookie = row->cookie,
		.ifindex = row->ifindex,
		.from_ns = NOW,
		.until_ns = NOW + SEC,
	};
	to_bytes(row->address, end.address);
	return end;
}

static int setup(void **state)
{
	const struct enrich_options options = enrich_world();
	return enrich_open(&options, (struct enrich **)state);
}

static int teardown(void **state)
{
	enrich_free(*state);
	return 0;
}

static void check(struct enrich *enrich, const struct row *row, bool final, bool expect_waits)
{
	static const char *const names[] = ENRICH_MISS_NAMES;
	const struct enrich_end end = end_of(row);
	uint64_t before[ENRICH_MISS_MAX], after[ENRICH_MISS_MAX];
	_cleanup_(owner_unrefp) struct owner *owner = NULL;
	char found[256];

	enrich_misses(enrich, before);
	bool waits = enrich_end(enrich, &end, final, &owner);
	enrich_misses(enrich, after);
	text(owner, found);
	if (strcmp(found, row->owner) != 0)
		fail_msg("%s: \"%s\" instead of \"%s\"", row->what, found, row->owner);
	if (waits != expect_waits)
		fail_msg("%s: %s", row->what, waits ? "waits" : "does not wait");
	for (int miss = 0; miss < ENRICH_MISS_MAX; miss++) {
		uint64_t expected = !waits && (enum enrich_miss)miss == row->miss;
		if (after[miss] - before[miss] != expected)
			fail_msg("%s: %s is counted %d times", row->what, names[miss],
			         (int)(after[miss] - before[miss]));
	}
}

static void test_rows(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		check(*state, &rows[i], false, rows[i].waits);
		if (rows[i].waits)
			check(*state, &rows[i], true, false);
	}
}

/* What a pod's sockets tell holds for the pod's addresses only once they were seen. */
static void test_learns(void **state)
{
	const struct row before = { "not learnt yet",         "10.0.0.1", UDP, 0, 0, "shop cart uid-cart - - - 0",
		                    .miss = ENRICH_CONTAINER, .port = 53 };
	const struct row teacher = {
		"a process of the pod", "10.0.0.1", TCP, NGINX, 0, "shop cart uid-cart app c1 nginx 80", .miss = NO_MISS
	};
	const struct row after = { "learnt",        "10.0.0.1", UDP, 0, 0, "shop cart uid-cart app c1 coredns 54",
		                   .miss = NO_MISS, .port = 53 };
	const struct row stranger = { "a host's process in its network", "10.0.0.1",     TCP, SSHD, 0,
		                      "shop cart uid-cart - - sshd 22",  .miss = NO_MISS };
	check(*state, &stranger, false, false);
	check(*state, &before, false, false);
	check(*state, &teacher, false, false);
	check(*state, &after, false, false);
}

/* All flows of a process share one owner. */
static void test_shares(void **state)
{
	const struct enrich_end end = end_of(&rows[0]), other = end_of(&rows[3]);
	_cleanup_(owner_unrefp) struct owner *first = NULL, *second = NULL, *third = NULL;

	assert_false(enrich_end(*state, &end, false, &first));
	assert_false(enrich_end(*state, &end, false, &second));
	assert_false(enrich_end(*state, &other, false, &third));
	assert_non_null(first);
	assert_ptr_equal(first, second);
	assert_ptr_not_equal(first, third);
}

/* Without indexes and maps there is nothing to say, to wait for, or to miss. */
static void test_bare(void **state)
{
	const struct enrich_options options = { .sockets = -1, .bound = -1 };
	_cleanup_(enrich_freep) struct enrich *enrich = NULL;
	uint64_t misses[ENRICH_MISS_MAX], sum = 0;
	struct socket_info info;

	assert_int_equal(enrich_open(&options, &enrich), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct enrich_end end = end_of(&rows[i]);
		struct owner *owner = (struct owner *)&end;
		assert_false(enrich_end(enrich, &end, false, &owner));
		assert_null(owner);
	}
	enrich_misses(enrich, misses);
	for (int miss = 0; miss < ENRICH_MISS_MAX; miss++)
		sum += misses[miss];
	assert_int_equal(sum, 0);
	assert_int_equal(enrich_socket(enrich, NGINX, &info), -ENOENT);
}

static void test_socket(void **state)
{
	struct socket_info info;
	assert_int_equal(enrich_socket(*state, SSHD, &info), 0);
	assert_int_equal(info.owner.tgid, 22);
	assert_int_equal(enrich_socket(*state, NEVER_SEEN, &info), -ENOENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_rows), TEST(test_learns), TEST(test_shares), cmocka_unit_test(test_bare), TEST(test_socket),
	};
	return cmocka_run_group_tests_name("enrich", tests, NULL, NULL);
}
