// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <libmnl/libmnl.h>
#include "user/ifwatch.h"

/* Room for thousands of interfaces that appear at once. */
#define RECEIVE_BUFFER (4 << 20)

struct ifwatch {
	struct ifwatch_events events;
	struct mnl_socket *socket;
	unsigned sequence; /* of the dump in progress or last done */
	bool dumping;
	bool again; /* notifications were lost during a dump */
};

int ifwatch_open(const struct ifwatch_events *events, struct ifwatch **ret_watch)
{
	_cleanup_(ifwatch_freep) struct ifwatch *watch = calloc(1, sizeof(*watch));
	if (!watch)
		return -ENOMEM;
	watch->events = *events;
	watch->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!watch->socket || mnl_socket_bind(watch->socket, RTMGRP_LINK, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	int bytes = RECEIVE_BUFFER;
	/* Needs CAP_NET_ADMIN, which attaching needs as well; a refusal only means more dumps. */
	setsockopt(ifwatch_fd(watch), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	*ret_watch = TAKE_PTR(watch);
	return 0;
}

void ifwatch_free(struct ifwatch *watch)
{
	if (!watch)
		return;
	if (watch->socket)
		mnl_socket_close(watch->socket);
	free(watch);
}

int ifwatch_fd(const struct ifwatch *watch)
{
	return mnl_socket_get_fd(watch->socket);
}

int ifwatch_dump(struct ifwatch *watch)
{
	char buffer[256];
	if (watch->dumping) {
		watch->again = true;
		return 0;
	}
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	request->nlmsg_type = RTM_GETLINK;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	request->nlmsg_seq = ++watch->sequence;
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(request, sizeof(*info));
	info->ifi_family = AF_UNSPEC;
	if (mnl_socket_sendto(watch->socket, request, request->nlmsg_len) < 0)
		return -errno;
	watch->dumping = true;
	watch->again = false;
	return 0;
}

static enum link_kind kind_of(const char *name)
{
	static const struct {
		const char *name;
		enum link_kind kind;
	} kinds[] = {
		{ "bridge", LINK_KIND_BRIDGE },   { "bond", LINK_KIND_BOND },     { "team", LINK_KIND_TEAM },
		{ "vrf", LINK_KIND_VRF },         { "vlan", LINK_KIND_VLAN },     { "macvlan", LINK_KIND_MACVLAN },
		{ "macvtap", LINK_KIND_MACVLAN }, { "ipvlan", LINK_KIND_IPVLAN }, { "ipvtap", LINK_KIND_IPVLAN },
		{ "veth", LINK_KIND_VETH },       { "ifb", LINK_KIND_IFB },
	};
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strcmp(name, kinds[i].name) == 0)
			return kinds[i].kind;
	return LINK_KIND_OTHER;
}

/* Nested in IFLA_INFO_DATA, whose numbers are each kind's own. */
static int on_vlan_attribute(const struct nlattr *attribute, void *data)
{
	struct link_info *link = data;
	if (mnl_attr_get_type(attribute) == IFLA_VLAN_ID && mnl_attr_validate(attribute, MNL_TYPE_U16) >= 0)
		link->vid = mnl_attr_get_u16(attribute);
	return MNL_CB_OK;
}

/* Nested in IFLA_LINKINFO; the kind comes before its data. */
static int on_info_attribute(const struct nlattr *attribute, void *data)
{
	struct link_info *link = data;
	uint16_t type = mnl_attr_get_type(attribute);
	if (type == IFLA_INFO_KIND && mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) >= 0)
		link->kind = kind_of(mnl_attr_get_str(attribute));
	else if (type == IFLA_INFO_DATA && link->kind == LINK_KIND_VLAN)
		mnl_attr_parse_nested(attribute, on_vlan_attribute, link);
	return MNL_CB_OK;
}

static int on_attribute(const struct nlattr *attribute, void *data)
{
	struct link_info *link = data;
	bool is_u32 = mnl_attr_validate(attribute, MNL_TYPE_U32) >= 0;

	switch (mnl_attr_get_type(attribute)) {
	case IFLA_IFNAME:
		if (mnl_attr_validate(attribute, MNL_TYPE_STRING) >= 0)
			snprintf(link->name, sizeof(link->name), "%.*s", (int)mnl_attr_get_payload_len(attribute),
			         mnl_attr_get_str(attribute));
		break;
	case IFLA_MASTER:
		link->master = is_u32 ? mnl_attr_get_u32(attribute) : 0;
		break;
	case IFLA_LINK:
		link->lower = is_u32 ? mnl_attr_get_u32(attribute) : 0;
		break;
	case IFLA_LINK_NETNSID:
		link->elsewhere = true;
		break;
	case IFLA_LINKINFO:
		mnl_attr_parse_nested(attribute, on_info_attribute, link);
		break;
	default:
		break;
	}
	return MNL_CB_OK;
}

static void on_link(struct ifwatch *watch, const struct nlmsghdr *message)
{
	if (mnl_nlmsg_get_payload_len(message) < sizeof(struct ifinfomsg))
		return;
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
	/* A bridge tells of its ports' changes under its own family; those are not about the interface itself. */
	if (info->ifi_family != AF_UNSPEC || info->ifi_index <= 0)
		return;
	if (message->nlmsg_type == RTM_DELLINK) {
		watch->events.gone((uint32_t)info->ifi_index, watch->events.data);
		return;
	}
	struct link_info link = {
		.ifindex = (uint32_t)info->ifi_index,
		.type = info->ifi_type,
		.flags = info->ifi_flags,
	};
	mnl_attr_parse(message, sizeof(*info), on_attribute, &link);
	if (link.elsewhere)
		link.lower = 0;
	if (link.name[0])
		watch->events.there(&link, watch->events.data);
}

static int on_dump_end(struct ifwatch *watch)
{
	watch->dumping = false;
	watch->events.dumped(watch->events.data);
	return watch->again ? ifwatch_dump(watch) : 0;
}

static int on_message(struct ifwatch *watch, const struct nlmsghdr *message)
{
	switch (message->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		/* The list changed while it was dumped. */
		if (message->nlmsg_flags & NLM_F_DUMP_INTR)
			watch->again = true;
		on_link(watch, message);
		return 0;
	case NLMSG_DONE:
		return watch->dumping && message->nlmsg_seq == watch->sequence ? on_dump_end(watch) : 0;
	case NLMSG_ERROR:
		watch->dumping = false;
		return ((const struct nlmsgerr *)mnl_nlmsg_get_payload(message))->error;
	default:
		return 0;
	}
}

int ifwatch_read(struct ifwatch *watch)
{
	char buffer[32768];

	for (;;) {
		ssize_t size = mnl_socket_recvfrom(watch->socket, buffer, sizeof(buffer));
		if (size < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (size < 0 && errno == ENOBUFS) {
			int r = ifwatch_dump(watch);
			if (r < 0)
				return r;
			continue;
		}
		if (size < 0)
			return -errno;

		int left = (int)size;
		for (const struct nlmsghdr *message = (const struct nlmsghdr *)buffer; mnl_nlmsg_ok(message, left);
		     message = mnl_nlmsg_next(message, &left)) {
			int r = on_message(watch, message);
			if (r < 0)
				return r;
		}
	}
}
