// SPDX-License-Identifier: Apache-2.0
/* What rtnetlink's messages tell podnet: about a link, the number of a namespace, an address. */
#include <string.h>
#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <libmnl/libmnl.h>
#include "user/podnet_internal.h"

/* Nested in IFLA_LINKINFO. */
static int on_info_attribute(const struct nlattr *attribute, void *data)
{
	struct told_link *link = data;
	if (mnl_attr_get_type(attribute) != IFLA_INFO_KIND || mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) < 0)
		return MNL_CB_OK;
	const char *kind = mnl_attr_get_str(attribute);
	link->pair = !strcmp(kind, "veth") || !strcmp(kind, "netkit");
	return MNL_CB_OK;
}

static int on_link_attribute(const struct nlattr *attribute, void *data)
{
	struct told_link *link = data;
	bool is_u32 = mnl_attr_validate(attribute, MNL_TYPE_U32) >= 0;

	switch (mnl_attr_get_type(attribute)) {
	case IFLA_LINK:
		link->peer = is_u32 ? mnl_attr_get_u32(attribute) : 0;
		break;
	case IFLA_LINK_NETNSID:
		link->nsid = is_u32 ? (int32_t)mnl_attr_get_u32(attribute) : -1;
		break;
	case IFLA_LINKINFO:
		mnl_attr_parse_nested(attribute, on_info_attribute, link);
		break;
	default:
		break;
	}
	return MNL_CB_OK;
}

bool message_link(const struct nlmsghdr *message, struct told_link *ret_link)
{
	if (mnl_nlmsg_get_payload_len(message) < sizeof(struct ifinfomsg))
		return false;
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
	/* A bridge tells of its ports' changes under its own family; those are not about the interface itself. */
	if (info->ifi_family != AF_UNSPEC || info->ifi_index <= 0)
		return false;
	struct told_link link = { .ifindex = (uint32_t)info->ifi_index, .nsid = -1 };
	mnl_attr_parse(message, sizeof(*info), on_link_attribute, &link);
	*ret_link = link;
	return true;
}

static int on_nsid_attribute(const struct nlattr *attribute, void *data)
{
	int32_t *nsid = data;
	if (mnl_attr_get_type(attribute) == NETNSA_NSID && mnl_attr_validate(attribute, MNL_TYPE_U32) >= 0)
		*nsid = (int32_t)mnl_attr_get_u32(attribute);
	return MNL_CB_OK;
}

int32_t message_nsid(const struct nlmsghdr *message)
{
	int32_t nsid = -1;
	mnl_attr_parse(message, sizeof(struct rtgenmsg), on_nsid_attribute, &nsid);
	return nsid;
}

/* A message about an address, read as far as needed. */
struct address_message {
	const struct ifaddrmsg *info;
	const void *local, *address; /* of the family's size; NULL: not told */
	uint32_t flags;
	int32_t nsid;
};

static int on_address_attribute(const struct nlattr *attribute, void *data)
{
	struct address_message *message = data;
	size_t size = message->info->ifa_family == AF_INET ? sizeof(struct in_addr) : sizeof(struct in6_addr);
	bool is_u32 = mnl_attr_validate(attribute, MNL_TYPE_U32) >= 0;

	switch (mnl_attr_get_type(attribute)) {
	case IFA_LOCAL:
		message->local = mnl_attr_get_payload_len(attribute) == size ? mnl_attr_get_payload(attribute) : NULL;
		break;
	case IFA_ADDRESS:
		message->address = mnl_attr_get_payload_len(attribute) == size ? mnl_attr_get_payload(attribute) : NULL;
		break;
	case IFA_FLAGS:
		message->flags = is_u32 ? mnl_attr_get_u32(attribute) : 0;
		break;
	case IFA_TARGET_NETNSID:
		message->nsid = is_u32 ? (int32_t)mnl_attr_get_u32(attribute) : -1;
		break;
	default:
		break;
	}
	return MNL_CB_OK;
}

/* Whether an address, as in struct flow_key, belongs to one namespace by what it is. */
static bool is_unique(const uint8_t address[static 16])
{
	struct in6_addr v6;
	memcpy(&v6, address, sizeof(v6));
	if (!IN6_IS_ADDR_V4MAPPED(&v6))
		return !IN6_IS_ADDR_UNSPECIFIED(&v6) && !IN6_IS_ADDR_LOOPBACK(&v6) && !IN6_IS_ADDR_LINKLOCAL(&v6) &&
		       !IN6_IS_ADDR_MULTICAST(&v6);
	const uint8_t *v4 = address + 12;
	return v4[0] != 0 && v4[0] != 127 && v4[0] < 224 && !(v4[0] == 169 && v4[1] == 254);
}

bool message_address(const struct nlmsghdr *header, int32_t nsid, struct told_address *ret_told)
{
	if (mnl_nlmsg_get_payload_len(header) < sizeof(struct ifaddrmsg))
		return false;
	struct address_message message = { .info = mnl_nlmsg_get_payload(header), .nsid = -1 };
	if (message.info->ifa_family != AF_INET && message.info->ifa_family != AF_INET6)
		return false;
	message.flags = message.info->ifa_flags;
	mnl_attr_parse(header, sizeof(*message.info), on_address_attribute, &message);
	/* IFA_ADDRESS is the other end's where there is IFA_LOCAL, too. */
	const void *bytes = message.local ? message.local : message.address;
	if (!bytes || message.nsid != nsid || message.flags & IFA_F_DADFAILED)
		return false;

	struct told_address told = { .address = { [10] = 0xff, [11] = 0xff }, .device = message.info->ifa_index };
	if (message.info->ifa_family == AF_INET)
		memcpy(told.address + 12, bytes, sizeof(struct in_addr));
	else
		memcpy(told.address, bytes, sizeof(struct in6_addr));
	if (!is_unique(told.address))
		return false;
	*ret_told = told;
	return true;
}
