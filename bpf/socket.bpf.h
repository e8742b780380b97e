/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Socket: what the kernel's own structures say of a connection, and its entries in the maps. The same for the hooks, which
 * see it happen, and for the survey, which finds it there. Fields are read through BTF pointers.
 */
#pragma once

#include "bpf/compat.bpf.h"
#include "bpf/socket_maps.bpf.h"

#define MAPPED_IPV4   0xffff0000ULL /* the second word of ::ffff:a.b.c.d, without a.b.c.d */
#define LOOPBACK_IPV6 (1ULL << 56)  /* the second word of ::1; the first one is 0 */

/* An end of a connection, in the words of its memory. */
struct socket_end {
	__u64 addr[2]; /* network order, IPv4 mapped */
	__be16 port;
};

static __always_inline bool end_is_mapped(const struct socket_end *end)
{
	return !end->addr[0] && (__u32)end->addr[1] == MAPPED_IPV4;
}

static __always_inline __u64 two_words(__u32 first, __u32 second)
{
	return first | (__u64)second << 32;
}

static __always_inline void socket_ends(const struct sock_common *sk, struct socket_end *ret_own,
                                        struct socket_end *ret_other)
{
	ret_own->port = bpf_htons(sk->skc_num);
	ret_other->port = sk->skc_dport;
	if (sk->skc_family == AF_INET6) {
		const __u32 *own = sk->skc_v6_rcv_saddr.in6_u.u6_addr32, *other = sk->skc_v6_daddr.in6_u.u6_addr32;
		ret_own->addr[0] = two_words(own[0], own[1]);
		ret_own->addr[1] = two_words(own[2], own[3]);
		ret_other->addr[0] = two_words(other[0], other[1]);
		ret_other->addr[1] = two_words(other[2], other[3]);
	} else {
		ret_own->addr[0] = 0;
		ret_own->addr[1] = MAPPED_IPV4 | (__u64)sk->skc_rcv_saddr << 32;
		ret_other->addr[0] = 0;
		ret_other->addr[1] = MAPPED_IPV4 | (__u64)sk->skc_daddr << 32;
	}
}

/* Memory order, as in struct flow_key. */
static __always_inline bool end_is_higher(const struct socket_end *a, const struct socket_end *b)
{
	for (int i = 0; i < 2; i++)
		if (a->addr[i] != b->addr[i])
			return bpf_be64_to_cpu(a->addr[i]) > bpf_be64_to_cpu(b->addr[i]);
	return bpf_ntohs(a->port) > bpf_ntohs(b->port);
}

/* The TCP connection of SK as parse() makes its key from a packet; *RET_END: which end SK is. */
static __always_inline void socket_key(const struct sock_common *sk, struct flow_key *ret_key, __u8 *ret_end)
{
	struct socket_end own, other;
	__u64 *words = (__u64 *)ret_key;

	socket_ends(sk, &own, &other);
	bool higher = end_is_higher(&own, &other);
	for (int i = 0; i < 2; i++) {
		words[i] = higher ? other.addr[i] : own.addr[i];
		words[2 + i] = higher ? own.addr[i] : other.addr[i];
	}
	words[4] = 0;
	words[5] = 0;
	ret_key->port[0] = higher ? other.port : own.port;
	ret_key->port[1] = higher ? own.port : other.port;
	ret_key->protocol = IPPROTO_TCP;
	ret_key->ip_version = end_is_mapped(&other) ? 4 : 6;
	*ret_end = higher;
}

static __always_inline bool key_is_loopback(const struct flow_key *key)
{
	const __u64 *words = (const __u64 *)key;

	if (key->ip_version == 4)
		return key->addr[0][12] == 127 || key->addr[1][12] == 127;
	return (!words[0] && words[1] == LOOPBACK_IPV6) || (!words[2] && words[3] == LOOPBACK_IPV6);
}

static __always_inline void health_read(const struct tcp_sock *tcp, struct socket_health *health)
{
	__u32 min_rtt = tcp->rtt_min.s[0].v;

	health->read_ns = bpf_ktime_get_ns();
	health->bytes_acked = tcp->bytes_acked;
	health->bytes_received = tcp->bytes_received;
	health->srtt_us = tcp->srtt_us >> 3;
	health->min_rtt_us = min_rtt == ~0U ? 0 : min_rtt;
	health->retransmits = tcp->total_retrans;
	health->lost = tcp->lost;
	health->delivered = tcp->delivered;
}

/* The entry of COOKIE's socket in `connections`, at its end of INFO's key. Loopback addresses are many hosts' at once. */
static __always_inline void connection_enter(const struct socket_info *info, __u64 cookie)
{
	struct connection *connection;

	if (key_is_loopback(&info->key))
		return;
	connection = bpf_map_lookup_elem(&connections, &info->key);
	if (!connection) {
		const struct connection fresh = {};
		bpf_map_update_elem(&connections, &info->key, &fresh, BPF_NOEXIST);
		connection = bpf_map_lookup_elem(&connections, &info->key);
		if (!connection)
			return;
	}
	if (info->end)
		connection->cookie[1] = cookie;
	else
		connection->cookie[0] = cookie;
}

static __always_inline void connection_leave(const struct socket_info *info)
{
	struct connection *connection = bpf_map_lookup_elem(&connections, &info->key);
	__u64 cookie = info->owner.cookie;

	if (!connection)
		return;
	/* Only what is ours: the tuple may be another connection's by now. */
	if (info->end && connection->cookie[1] == cookie)
		connection->cookie[1] = 0;
	if (!info->end && connection->cookie[0] == cookie)
		connection->cookie[0] = 0;
	if (!connection->cookie[0] && !connection->cookie[1])
		bpf_map_delete_elem(&connections, &info->key);
}

/* Who began a connection that was not seen to begin: the other side, if somebody on this one listens at its port. */
static __always_inline __u8 connection_initiator(const struct sock_common *sk, const struct socket_info *info)
{
	const struct bound_key key = {
		.netns_cookie = info->owner.netns_cookie,
		.port = bpf_htons(sk->skc_num),
		.protocol = IPPROTO_TCP,
	};
	return bpf_map_lookup_elem(&bound, &key) ? !info->end : info->end;
}

/* The connection's part of INFO, whose owner is there, for a connection that was not seen to begin. */
static __always_inline void connection_find(const struct tcp_sock *tcp, struct socket_info *info)
{
	const struct sock_common *sk = &tcp->inet_conn.icsk_inet.sk.__sk_common;

	socket_key(sk, &info->key, &info->end);
	info->initiator = connection_initiator(sk, info);
	info->state = sk->skc_state;
	health_read(tcp, &info->health);
}

/* From the handshake's end to the close. */
static __always_inline bool state_is_connected(__u8 state)
{
	return state != TCP_CLOSE && state != TCP_LISTEN && state != TCP_SYN_SENT && state != TCP_SYN_RECV &&
	       state != TCP_NEW_SYN_RECV;
}

/* The process that runs now, as owner of a socket. */
static __always_inline void owner_fill(__u64 cookie, __u64 netns_cookie, struct socket_owner *ret_owner)
{
	__u64 process = bpf_get_current_pid_tgid();

	ret_owner->cgroup_id = bpf_get_current_cgroup_id();
	ret_owner->netns_cookie = netns_cookie;
	ret_owner->since_ns = bpf_ktime_get_ns();
	ret_owner->cookie = cookie;
	ret_owner->tgid = process >> 32;
	ret_owner->pid = (__u32)process;
	ret_owner->uid = (__u32)bpf_get_current_uid_gid();
	ret_owner->reserved = 0;
	bpf_get_current_comm(ret_owner->comm, sizeof(ret_owner->comm));
}

/* All but the time. */
static __always_inline bool owner_is_same(const struct socket_owner *a, const struct socket_owner *b)
{
	const __u64 *comm_a = (const __u64 *)a->comm, *comm_b = (const __u64 *)b->comm;

	return a->cookie == b->cookie && a->tgid == b->tgid && a->pid == b->pid && a->uid == b->uid &&
	       a->cgroup_id == b->cgroup_id && comm_a[0] == comm_b[0] && comm_a[1] == comm_b[1];
}

/*
 * Makes the running process the owner of SK, a struct bpf_sock. The entry in `sockets` is replaced as a whole: whoever
 * reads it gets one owner or the other, never a mixture.
 */
static __always_inline void owner_take(struct bpf_sock *sk, __u64 cookie, __u64 netns_cookie)
{
	struct socket_owner *stored = bpf_sk_storage_get(&socket_owners, sk, 0, 0);
	struct socket_info info = {};

	owner_fill(cookie, netns_cookie, &info.owner);
	if (stored) {
		if (owner_is_same(stored, &info.owner))
			return;
		if (stored->tgid == info.owner.tgid && stored->cookie == cookie)
			info.owner.since_ns = stored->since_ns;
		*stored = info.owner;
	} else {
		bpf_sk_storage_get(&socket_owners, sk, &info.owner, BPF_SK_STORAGE_GET_F_CREATE);
	}

	const struct socket_info *former = bpf_map_lookup_elem(&sockets, &cookie);
	if (former) {
		info.key = former->key;
		info.health = former->health;
		info.opened_ns = former->opened_ns;
		info.closed_ns = former->closed_ns;
		info.end = former->end;
		info.initiator = former->initiator;
		info.state = former->state;
	}
	bpf_map_update_elem(&sockets, &cookie, &info, BPF_ANY);
}
