// SPDX-License-Identifier: Apache-2.0
/*
 * Podnet's rtnetlink: one socket for notifications, one for queries. A query is answered by the kernel while it is sent (a
 * dump: while it is read), so there is nothing to wait for.
 */
#include <errno.h>
#include <stdalign.h>
#include <linux/if_link.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <libmnl/libmnl.h>
#include "user/clock.h"
#include "user/podnet_internal.h"

/* Room for thousands of interfaces that appear at once. */
#define RECEIVE_BUFFER (4 << 20)
#define MESSAGE_BUFFER 32768

static int open_events(struct podnet *podnet)
{
	static const int groups[] = { RTNLGRP_LINK, RTNLGRP_NSID, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR };

	podnet->events = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!podnet->events || mnl_socket_bind(podnet->events, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	int bytes = RECEIVE_BUFFER;
	/* Needs CAP_NET_ADMIN, which the addresses of other namespaces need as well. */
	setsockopt(mnl_socket_get_fd(podnet->events), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
		int group = groups[i];
		if (mnl_socket_setsockopt(podnet->events, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
			return -errno;
	}
	return 0;
}

int netlink_open(struct podnet *podnet)
{
	int r = open_events(podnet);
	if (r < 0)
		return r;
	podnet->queries = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!podnet->queries || mnl_socket_bind(podnet->queries, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	/* Without, IFA_TARGET_NETNSID is not heeded: we would take our own addresses for a pod's. */
	int on = 1;
	if (mnl_socket_setsockopt(podnet->queries, NETLINK_GET_STRICT_CHK, &on, sizeof(on)) < 0)
		return -EOPNOTSUPP;
	return 0;
}

void netlink_close(struct podnet *podnet)
{
	if (podnet->events)
		mnl_socket_close(podnet->events);
	if (podnet->queries)
		mnl_socket_close(podnet->queries);
}

static void on_notification(struct podnet *podnet, const struct nlmsghdr *message)
{
	struct told_address address;
	struct told_link link;

	switch (message->nlmsg_type) {
	case RTM_NEWLINK:
		if (message_link(message, &link))
			podnet_on_link(podnet, &link);
		break;
	case RTM_DELLINK:
		if (message_link(message, &link))
			podnet_on_link_gone(podnet, link.ifindex);
		break;
	case RTM_NEWNSID:
		podnet_on_nsid(podnet, message_nsid(message));
		break;
	case RTM_DELNSID:
		podnet_on_nsid_gone(podnet, message_nsid(message));
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		if (message_address(message, -1, &address))
			podnet_on_own_address(podnet, &address, message->nlmsg_type == RTM_DELADDR);
		break;
	default:
		break;
	}
}

int netlink_drain(struct podnet *podnet)
{
	alignas(struct nlmsghdr) char buffer[MESSAGE_BUFFER];

	for (;;) {
		uint64_t now = clock_monotonic_ns();
		ssize_t size = mnl_socket_recvfrom(podnet->events, buffer, sizeof(buffer));
		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0 && errno == EAGAIN) {
			if (!podnet->lost && !podnet->reading_all)
				podnet->since_ns = now;
			return 0;
		}
		if (size < 0 && errno == ENOBUFS) {
			podnet->lost = true;
			podnet->changes++;
			continue;
		}
		if (size < 0)
			return -errno;

		int left = (int)size;
		for (const struct nlmsghdr *message = (const struct nlmsghdr *)buffer; mnl_nlmsg_ok(message, left);
		     message = mnl_nlmsg_next(message, &left))
			on_notification(podnet, message);
	}
}

typedef void (*answer_fn)(struct podnet *podnet, const struct nlmsghdr *message, void *data);

/* 1: more is to come; 0: that was all; -errno. */
static int on_answer(struct podnet *podnet, const struct nlmsghdr *message, answer_fn answer, void *data)
{
	switch (message->nlmsg_type) {
	case NLMSG_ERROR: /* 0: the acknowledgement */
	case NLMSG_DONE:
		if (mnl_nlmsg_get_payload_len(message) < sizeof(int))
			return 0;
		return *(const int *)mnl_nlmsg_get_payload(message);
	default:
		answer(podnet, message, data);
		return 1;
	}
}

/* Asks; ANSWER is called for each message of the answer. -EINTR: what was dumped changed meanwhile. */
static int ask(struct podnet *podnet, struct nlmsghdr *request, answer_fn answer, void *data)
{
	alignas(struct nlmsghdr) char buffer[MESSAGE_BUFFER];
	bool interrupted = false;

	request->nlmsg_seq = ++podnet->sequence;
	if (mnl_socket_sendto(podnet->queries, request, request->nlmsg_len) < 0)
		return -errno;
	for (;;) {
		ssize_t size = mnl_socket_recvfrom(podnet->queries, buffer, sizeof(buffer));
		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0)
			return errno == EAGAIN ? -EPROTO : -errno;
		int left = (int)size;
		for (const struct nlmsghdr *message = (const struct nlmsghdr *)buffer; mnl_nlmsg_ok(message, left);
		     message = mnl_nlmsg_next(message, &left)) {
			if (message->nlmsg_seq != request->nlmsg_seq)
				continue; /* the rest of an answer that was given up */
			interrupted |= message->nlmsg_flags & NLM_F_DUMP_INTR;
			int r = on_answer(podnet, message, answer, data);
			if (r <= 0)
				return r == 0 && interrupted ? -EINTR : r;
		}
	}
}

static void on_nsid_answer(struct podnet *podnet, const struct nlmsghdr *message, void *data)
{
	int32_t *nsid = data;
	if (message->nlmsg_type == RTM_NEWNSID)
		*nsid = message_nsid(message);
}

int netlink_nsid(struct podnet *podnet, pid_t pid, int32_t *ret_nsid)
{
	alignas(struct nlmsghdr) char buffer[256];
	int32_t nsid = -1;

	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	request->nlmsg_type = RTM_GETNSID;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	struct rtgenmsg *info = mnl_nlmsg_put_extra_header(request, sizeof(*info));
	info->rtgen_family = AF_UNSPEC;
	mnl_attr_put_u32(request, NETNSA_PID, (uint32_t)pid);
	int r = ask(podnet, request, on_nsid_answer, &nsid);
	if (r < 0)
		return r;
	*ret_nsid = nsid;
	return 0;
}

static void on_link_answer(struct podnet *podnet, const struct nlmsghdr *message, void *data)
{
	struct told_link link;
	if (message->nlmsg_type == RTM_NEWLINK && message_link(message, &link))
		podnet_on_link(podnet, &link);
}

int netlink_links(struct podnet *podnet, uint32_t ifindex)
{
	alignas(struct nlmsghdr) char buffer[256];

	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	request->nlmsg_type = RTM_GETLINK;
	request->nlmsg_flags = NLM_F_REQUEST | (ifindex ? NLM_F_ACK : NLM_F_DUMP);
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(request, sizeof(*info));
	info->ifi_family = AF_UNSPEC;
	info->ifi_index = (int)ifindex;
	mnl_attr_put_u32(request, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	return ask(podnet, request, on_link_answer, NULL);
}

/* The addresses of a namespace, as they are told. */
struct address_dump {
	int32_t nsid;
	unsigned n;
};

static void on_address_answer(struct podnet *podnet, const struct nlmsghdr *message, void *data)
{
	struct address_dump *dump = data;
	if (message->nlmsg_type == RTM_NEWADDR && dump->n < MAX_ADDRESSES &&
	    message_address(message, dump->nsid, &podnet->told[dump->n]))
		dump->n++;
}

int netlink_addresses(struct podnet *podnet, int32_t nsid, unsigned *ret_n)
{
	alignas(struct nlmsghdr) char buffer[256];
	struct address_dump dump = { .nsid = nsid };

	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	request->nlmsg_type = RTM_GETADDR;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	struct ifaddrmsg *info = mnl_nlmsg_put_extra_header(request, sizeof(*info));
	info->ifa_family = AF_UNSPEC;
	if (nsid >= 0)
		mnl_attr_put_u32(request, IFA_TARGET_NETNSID, (uint32_t)nsid);
	int r = ask(podnet, request, on_address_answer, &dump);
	if (r < 0)
		return r;
	*ret_n = dump.n;
	return 0;
}
