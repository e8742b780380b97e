// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <string.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <libmnl/libmnl.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "user/attach.h"
#include "user/cleanup.h"

static const int tcx_types[] = { ATTACH_TCX_INGRESS, ATTACH_TCX_EGRESS };
static const enum bpf_tc_attach_point tc_points[] = { BPF_TC_INGRESS, BPF_TC_EGRESS };

/* The link info of tcx is newer than libbpf 1.1's headers; its ifindex is at the place where XDP's is. */
static int link_ifindex(int link, uint32_t *ret_ifindex)
{
	struct bpf_link_info info = { 0 };
	uint32_t size = sizeof(info);
	if (bpf_obj_get_info_by_fd(link, &info, &size) < 0)
		return -errno;
	*ret_ifindex = info.xdp.ifindex;
	return 0;
}

/* Puts PROGRAM into the pinned link; -ENOENT: no pin, or one of a device that is gone (then the pin is removed). */
static int tcx_replace(const struct iface_info *info, int program, const char *pin)
{
	_cleanup_(closep) int link = bpf_obj_get(pin);
	if (link < 0)
		return -errno;
	uint32_t ifindex = 0;
	int r = link_ifindex(link, &ifindex);
	if (r < 0)
		return r;
	if (ifindex != info->ifindex) {
		unlink(pin);
		return -ENOENT;
	}
	return bpf_link_update(link, program, NULL) < 0 ? -errno : 0;
}

static int tcx_attach(struct iface_info *info, enum direction direction, int program, const char *pin)
{
	int r = tcx_replace(info, program, pin);
	if (r != -ENOENT)
		return r;

	/* In front: a program before ours that ends the chain with TC_ACT_OK would blind us. */
	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = ATTACH_F_BEFORE);
	_cleanup_(closep) int link = bpf_link_create(program, (int)info->ifindex, tcx_types[direction], &options);
	if (link < 0)
		return -errno;
	return bpf_obj_pin(link, pin) < 0 ? -errno : 0;
}

static int program_id(int program, uint32_t *ret_id)
{
	struct bpf_prog_info info = { 0 };
	uint32_t size = sizeof(info);
	if (bpf_obj_get_info_by_fd(program, &info, &size) < 0)
		return -errno;
	*ret_id = info.id;
	return 0;
}

static struct bpf_tc_hook tc_hook(const struct iface_info *info, enum bpf_tc_attach_point point)
{
	return (struct bpf_tc_hook) { .sz = sizeof(struct bpf_tc_hook),
		                      .ifindex = (int)info->ifindex,
		                      .attach_point = point };
}

/* The program id of the filter with our handle at PRIORITY; -ENOENT: none. */
static int clsact_query(const struct iface_info *info, enum direction direction, uint32_t priority, uint32_t *ret_id)
{
	struct bpf_tc_hook hook = tc_hook(info, tc_points[direction]);
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = TC_HANDLE, .priority = priority);
	int r = bpf_tc_query(&hook, &options);
	if (r < 0)
		return r;
	*ret_id = options.prog_id;
	return 0;
}

static int clsact_attach(struct iface_info *info, enum direction direction, int program)
{
	struct bpf_tc_hook both = tc_hook(info, BPF_TC_INGRESS | BPF_TC_EGRESS);
	struct bpf_tc_hook hook = tc_hook(info, tc_points[direction]);
	uint32_t id = 0, ours = info->program_id[direction], there = 0;
	int r = program_id(program, &id);
	if (r < 0)
		return r;

	r = bpf_tc_hook_create(&both);
	if (r < 0 && r != -EEXIST)
		return r;
	if (r == 0)
		info->owns_qdisc = 1;

	uint32_t first = info->tc_priority ? info->tc_priority : 1;
	uint32_t last = info->tc_priority ? info->tc_priority : TC_PRIORITY_MAX;
	for (uint32_t priority = first; priority <= last; priority++) {
		bool replace = ours && clsact_query(info, direction, priority, &there) == 0 && there == ours;
		LIBBPF_OPTS(bpf_tc_opts, options, .handle = TC_HANDLE, .priority = priority, .prog_fd = program,
		            .flags = replace ? BPF_TC_F_REPLACE : 0);
		r = bpf_tc_attach(&hook, &options);
		if (r == 0) {
			info->tc_priority = priority;
			info->program_id[direction] = id;
			return 0;
		}
		/* Another kind of filter lives at this priority, or somebody else has this handle: the next one. */
		if (r != -EINVAL && r != -EEXIST)
			return r;
	}
	return r;
}

static int clsact_detach(const struct iface_info *info, enum direction direction)
{
	struct bpf_tc_hook hook = tc_hook(info, tc_points[direction]);
	uint32_t there = 0;
	int r = clsact_query(info, direction, info->tc_priority, &there);
	if (r < 0)
		return r == -ENOENT || r == -ENODEV || r == -EINVAL ? 0 : r;
	if (there != info->program_id[direction])
		return 0;

	LIBBPF_OPTS(bpf_tc_opts, options, .handle = TC_HANDLE, .priority = info->tc_priority);
	r = bpf_tc_detach(&hook, &options);
	return r == -ENOENT || r == -ENODEV ? 0 : r;
}

int attach_hook(struct iface_info *info, enum direction direction, int program, const char *pin)
{
	if (info->hook == IFACE_HOOK_TCX)
		return tcx_attach(info, direction, program, pin);
	return clsact_attach(info, direction, program);
}

int detach_hook(const struct iface_info *info, enum direction direction, const char *pin)
{
	if (info->hook == IFACE_HOOK_CLSACT)
		return clsact_detach(info, direction);

	/* Detached before the pin goes: a descriptor held elsewhere must not keep it running. */
	_cleanup_(closep) int link = bpf_obj_get(pin);
	if (link < 0)
		return errno == ENOENT ? 0 : -errno;
	if (bpf_link_detach(link) < 0 && errno != ENOLINK && errno != EINVAL)
		return -errno;
	return unlink(pin) < 0 && errno != ENOENT ? -errno : 0;
}

/* Counts the filters of a dump; any message is one. */
static int count_filter(const struct nlmsghdr *message, void *data)
{
	(*(unsigned *)data)++;
	return MNL_CB_OK;
}

/* How many filters hang below PARENT (TC_H_MIN_INGRESS or _EGRESS); -errno. */
static int count_filters(const struct iface_info *info, uint32_t parent)
{
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!socket)
		return -errno;

	char buffer[8192];
	unsigned filters = 0;
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	request->nlmsg_type = RTM_GETTFILTER;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	struct tcmsg *tc = mnl_nlmsg_put_extra_header(request, sizeof(*tc));
	tc->tcm_family = AF_UNSPEC;
	tc->tcm_ifindex = (int)info->ifindex;
	tc->tcm_parent = TC_H_MAKE(TC_H_CLSACT, parent);

	ssize_t n = mnl_socket_sendto(socket, request, request->nlmsg_len);
	int r = n < 0 ? -errno : MNL_CB_OK;
	while (r >= MNL_CB_OK) {
		n = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
		r = n < 0 ? -1
		          : mnl_cb_run(buffer, (size_t)n, 0, mnl_socket_get_portid(socket), count_filter, &filters);
		if (r < 0)
			r = -errno;
		if (r == MNL_CB_STOP)
			break;
	}
	mnl_socket_close(socket);
	return r < 0 ? r : (int)filters;
}

int detach_qdisc(const struct iface_info *info)
{
	if (info->hook != IFACE_HOOK_CLSACT || !info->owns_qdisc)
		return 0;
	int ingress = count_filters(info, TC_H_MIN_INGRESS), egress = count_filters(info, TC_H_MIN_EGRESS);
	if (ingress < 0 || egress < 0) {
		int r = ingress < 0 ? ingress : egress;
		return r == -ENODEV || r == -EINVAL ? 0 : r;
	}
	if (ingress + egress > 0)
		return 0;

	struct bpf_tc_hook both = tc_hook(info, BPF_TC_INGRESS | BPF_TC_EGRESS);
	int r = bpf_tc_hook_destroy(&both);
	return r == -ENOENT || r == -ENODEV || r == -EINVAL ? 0 : r;
}
