// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <bpf/bpf.h>
#include "selftests/decode_world.h"

struct enrich_end asked[8];

struct pod_facts *enrich_facts(const struct enrich *enrich, const struct owner *owner)
{
	return NULL;
}

bool enrich_end(struct enrich *enrich, const struct enrich_end *end, bool final, struct owner **ret_owner)
{
	assert_in_range(end->port, 1, ARRAY_SIZE(asked) - 1);
	asked[end->port] = *end;
	*ret_owner = owner_new(&(struct owner_names) { .pid = end->port });
	return false;
}

int enrich_socket(struct enrich *enrich, uint64_t cookie, struct socket_info *ret_socket)
{
	if (cookie > 100)
		return -ENOENT;
	*ret_socket = (struct socket_info) { .health = { .read_ns = cookie != 100, .srtt_us = (uint32_t)cookie } };
	return 0;
}

const char *ifaces_name(const struct ifaces *ifaces, uint32_t iface_id)
{
	return iface_id == UPLINK ? "eth0" : iface_id == VETH ? "veth0" : "";
}

uint32_t ifaces_ifindex(const struct ifaces *ifaces, uint32_t iface_id)
{
	return iface_id * 10;
}

struct flow_table table;

int bpf_map_lookup_elem(int fd, const void *key, void *value)
{
	if (memcmp(key, &table.key, sizeof(table.key)) != 0)
		return -1;
	memcpy(value, &table.flow, sizeof(table.flow));
	return 0;
}

const struct decoder decoder = {
	.ifaces = (const struct ifaces *)&asked,
	.enrich = (struct enrich *)&asked,
	.unix_clock = true,
};

#define PORT(number) __builtin_bswap16(number) /* in network order, as a constant */

const struct flow_key tcp_key = {
	.addr = { { [10] = 0xff, 0xff, 10, 0, 0, 1 }, { [10] = 0xff, 0xff, 10, 0, 0, 2 } },
	.port = { PORT(1), PORT(2) },
	.protocol = IPPROTO_TCP,
	.ip_version = 4,
};

struct socket_event make_socket_event(enum socket_action action, uint8_t end, uint8_t initiator)
{
	return (struct socket_event) {
		.header = { .time_ns = 900,
		            .size = sizeof(struct socket_event),
		            .version = EVENT_VERSION,
		            .kind = RECORD_SOCKET },
		.key = tcp_key,
		.owner = { .cgroup_id = 77, .cookie = 88 },
		.opened_ns = 500,
		.action = (uint8_t)action,
		.end = end,
		.initiator = initiator,
		.state = 1,
	};
}

struct flow make_flow(void)
{
	return (struct flow) {
		.id = 5,
		.start_ns = 100,
		.generation = 1,
		.initiator = 1,
		.end = { { .last_ns = 300,
		           .cgroup_id = 11,
		           .cookie = 21,
		           .hook = hook_number(UPLINK, PLACE_EDGE, DIRECTION_EGRESS) },
		         { .last_ns = 400,
		           .cgroup_id = 12,
		           .cookie = 22,
		           .hook = hook_number(VETH, PLACE_EDGE, DIRECTION_INGRESS) } },
	};
}
