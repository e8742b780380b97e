// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include "selftests/enrich_world.h"

#define TCP IPPROTO_TCP
#define UDP IPPROTO_UDP
/* Cookies of network namespaces. */
#define HOSTNS 1
#define SHOPNS 2

enum { SOCKETS = 1000, BOUND }; /* descriptors that are none */

static const struct {
	enum identity_state state;
	struct owner_names names;
} cgroups[] = {
	[ROOT] = { IDENTITY_ROOT },
	[CART] = { IDENTITY_POD, { "shop", "cart", "uid-cart", "app", "c1" } },
	[CART_POD] = { IDENTITY_POD, { "shop", "cart", "uid-cart" } },
	[CART_LATE] = { IDENTITY_PENDING, { .pod_uid = "uid-cart", .container_id = "c2" } },
	[FEED] = { IDENTITY_POD, { "shop", "feed", "uid-feed", "app", "c3" } },
	[NAMELESS] = { IDENTITY_POD, { .pod_uid = "uid-lost", .container_id = "c4" } },
	[BARE] = { IDENTITY_POD, { .container_id = "c5" } },
	[SERVICE] = { IDENTITY_HOST },
	[GONE] = { IDENTITY_UNKNOWN },
};

static const struct {
	const char *address;
	enum podnet_answer answer;
	struct owner_names names;
} addresses[] = {
	{ "10.0.0.1", PODNET_POD, { "shop", "cart", "uid-cart" } },
	{ "10.0.0.2", PODNET_POD, { "shop", "feed", "uid-feed" } },
	{ "10.0.0.3", PODNET_PENDING },
	{ "10.0.0.4", PODNET_AMBIGUOUS },
	{ "192.0.2.1", PODNET_HOST },
};

#define OWNER(cgroup, process, name, ns)                                                                             \
	{                                                                                                            \
		.cgroup_id = (cgroup), .netns_cookie = (ns), .since_ns = NOW - 9 * SEC, .tgid = (process), .uid = 7, \
		.comm = name                                                                                         \
	}

static const struct socket_info sockets[] = {
	[NGINX] = { .owner = OWNER(CART, 80, "nginx", SHOPNS) },
	[NGINX_FEED] = { .owner = OWNER(FEED, 81, "nginx", 3) },
	[SSHD] = { .owner = OWNER(SERVICE, 22, "sshd", HOSTNS) },
	[BY_CGROUP] = { .owner = { .cgroup_id = CART } },
	[IN_ROOT] = { .owner = OWNER(ROOT, 23, "agent", HOSTNS) },
	[CLOSED_TCP] = { .owner = OWNER(CART, 80, "nginx", SHOPNS), .closed_ns = NOW - 5 * SEC },
	[CLOSED_UDP] = { .owner = OWNER(CART, 80, "nginx", SHOPNS), .closed_ns = NOW - 5 * SEC },
	[LATER] = { .owner = { .cgroup_id = CART, .since_ns = NOW + 3 * SEC, .tgid = 99, .comm = "thief" } },
	[OLD] = { .owner = OWNER(CART, 80, "nginx", SHOPNS), .closed_ns = NOW - 70 * SEC },
	[DNS_HOST] = { .owner = OWNER(SERVICE, 53, "resolver", HOSTNS) },
	[DNS_CART] = { .owner = OWNER(CART, 54, "coredns", SHOPNS) },
	[DNS_CLOSED] = { .owner = OWNER(SERVICE, 55, "former", HOSTNS), .closed_ns = NOW - SEC },
};

static const struct {
	struct bound_key key;
	uint64_t cookie;
} bound[] = {
	{ { .netns_cookie = HOSTNS, .port = 53, .protocol = UDP }, DNS_HOST },
	{ { .netns_cookie = SHOPNS, .port = 53, .protocol = UDP }, DNS_CART },
	{ { .netns_cookie = HOSTNS, .port = 54, .protocol = UDP }, DNS_CLOSED },
	{ { .netns_cookie = HOSTNS, .port = 53, .protocol = TCP }, DNS_HOST },
};

void to_bytes(const char *text, uint8_t ret_address[static 16])
{
	memset(ret_address, 0, 16);
	if (inet_pton(AF_INET6, text, ret_address) == 1)
		return;
	memset(ret_address + 10, 0xff, 2);
	assert_int_equal(inet_pton(AF_INET, text, ret_address + 12), 1);
}

enum identity_state identity_lookup(struct identity *identity, uint64_t cgroup_id, struct owner **ret_owner)
{
	assert_in_range(cgroup_id, ROOT, GONE);
	if (cgroups[cgroup_id].state >= IDENTITY_PENDING)
		*ret_owner = owner_new(&cgroups[cgroup_id].names);
	return cgroups[cgroup_id].state;
}

enum podnet_answer podnet_by_address(struct podnet *podnet, const uint8_t address[static 16], uint64_t from_ns,
                                     uint64_t until_ns, struct owner **ret_owner)
{
	assert_true(from_ns <= until_ns);
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		uint8_t bytes[16];
		to_bytes(addresses[i].address, bytes);
		if (memcmp(bytes, address, sizeof(bytes)) != 0)
			continue;
		if (addresses[i].answer == PODNET_POD)
			*ret_owner = owner_new(&addresses[i].names);
		return addresses[i].answer;
	}
	return PODNET_NONE;
}

/* Behind interface 7 is the cart, with 10.0.0.1 and, since a moment, 10.0.0.4; other pods' addresses are foreign there. */
enum podnet_answer podnet_by_interface(struct podnet *podnet, uint32_t ifindex, const uint8_t address[static 16],
                                       struct owner **ret_owner)
{
	if (ifindex != 7)
		return PODNET_NONE;
	if (address[12] != 10 || (address[15] != 1 && address[15] != 4))
		return PODNET_FOREIGN;
	*ret_owner = owner_new(&addresses[0].names);
	return PODNET_POD;
}

const char *process_name(struct processes *processes, const struct socket_owner *owner)
{
	return owner->comm;
}

int bpf_map_lookup_elem(int fd, const void *key, void *value)
{
	const uint64_t *cookie = key;
	if (fd == SOCKETS && *cookie < ARRAY_SIZE(sockets)) {
		memcpy(value, &sockets[*cookie], sizeof(sockets[*cookie]));
		return 0;
	}
	for (size_t i = 0; fd == BOUND && i < ARRAY_SIZE(bound); i++) {
		struct bound_key network = bound[i].key;
		network.port = htons(network.port);
		if (memcmp(&network, key, sizeof(network)) != 0)
			continue;
		memcpy(value, &bound[i].cookie, sizeof(bound[i].cookie));
		return 0;
	}
	errno = ENOENT;
	return -1;
}

struct enrich_options enrich_world(void)
{
	return (struct enrich_options) {
		.identity = (struct identity *)&cgroups,
		.podnet = (struct podnet *)&addresses,
		.processes = (struct processes *)&sockets,
		.sockets = SOCKETS,
		.bound = BOUND,
		.netns_cookie = HOSTNS,
	};
}
