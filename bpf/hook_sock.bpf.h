/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The socket hooks, of a cgroup and all below: who uses a socket, where the process itself runs, and what becomes of TCP
 * connections. They let everything pass. The loader loads them where sockets are to be followed ("?": not by itself).
 */
#pragma once

#include "bpf/emit.bpf.h"
#include "bpf/self.bpf.h"
#include "bpf/socket.bpf.h"

#define ALLOW 1 /* also what keeps other programs' replies to sockops as they are */

/* A datagram was sent or received: only the first one of each process costs more than a look. */
static __always_inline int datagram_passes(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	if (!sk)
		return ALLOW;

	const struct socket_owner *stored = bpf_sk_storage_get(&socket_owners, sk, 0, 0);
	if (!stored || stored->tgid != bpf_get_current_pid_tgid() >> 32)
		owner_take(sk, bpf_get_socket_cookie(ctx), bpf_get_netns_cookie(ctx));
	return ALLOW;
}

static __always_inline int socket_connects(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	if (sk)
		owner_take(sk, bpf_get_socket_cookie(ctx), bpf_get_netns_cookie(ctx));
	return ALLOW;
}

static __always_inline int socket_binds(struct bpf_sock *ctx)
{
	__u64 cookie = bpf_get_socket_cookie(ctx);
	struct bound_key key = {
		.netns_cookie = bpf_get_netns_cookie(ctx),
		.port = bpf_htons((__u16)ctx->src_port),
		.protocol = (__u8)ctx->protocol,
	};

	owner_take(ctx, cookie, key.netns_cookie);
	if (!key.port || (key.protocol != IPPROTO_TCP && key.protocol != IPPROTO_UDP))
		return ALLOW;
	struct bound_key *stored = bpf_sk_storage_get(&socket_bound, ctx, &key, BPF_SK_STORAGE_GET_F_CREATE);
	if (!stored)
		return ALLOW;
	*stored = key;
	bpf_map_update_elem(&bound, &key, &cookie, BPF_ANY);
	return ALLOW;
}

SEC("?cgroup/sock_create")
int sonde_sock_create(struct bpf_sock *ctx)
{
	owner_take(ctx, bpf_get_socket_cookie(ctx), bpf_get_netns_cookie(ctx));
	return ALLOW;
}

SEC("?cgroup/connect4")
int sonde_sock_connect4(struct bpf_sock_addr *ctx)
{
	return socket_connects(ctx);
}

SEC("?cgroup/connect6")
int sonde_sock_connect6(struct bpf_sock_addr *ctx)
{
	return socket_connects(ctx);
}

SEC("?cgroup/sendmsg4")
int sonde_sock_sendmsg4(struct bpf_sock_addr *ctx)
{
	return datagram_passes(ctx);
}

SEC("?cgroup/sendmsg6")
int sonde_sock_sendmsg6(struct bpf_sock_addr *ctx)
{
	return datagram_passes(ctx);
}

SEC("?cgroup/recvmsg4")
int sonde_sock_recvmsg4(struct bpf_sock_addr *ctx)
{
	return datagram_passes(ctx);
}

SEC("?cgroup/recvmsg6")
int sonde_sock_recvmsg6(struct bpf_sock_addr *ctx)
{
	return datagram_passes(ctx);
}

SEC("?cgroup/post_bind4")
int sonde_sock_bind4(struct bpf_sock *ctx)
{
	return socket_binds(ctx);
}

SEC("?cgroup/post_bind6")
int sonde_sock_bind6(struct bpf_sock *ctx)
{
	return socket_binds(ctx);
}

/* Not as account_record(): some of these hooks can be interrupted by others on the same CPU. */
static __always_inline void account_socket_record(bool kept)
{
	__u32 kind = RECORD_SOCKET;
	struct record_stats *stats = bpf_map_lookup_elem(&record_stats, &kind);
	if (!stats)
		return;
	__sync_fetch_and_add(&stats->produced, 1);
	if (!kept)
		__sync_fetch_and_add(&stats->lost_ring, 1);
}

static __always_inline void emit_socket(const struct socket_info *info, enum socket_action action, __u8 state,
                                        __u32 error)
{
	struct socket_event *event = bpf_ringbuf_reserve(&ring, sizeof(*event), 0);
	account_socket_record(event != NULL);
	if (!event)
		return;

	event->header.time_ns = bpf_ktime_get_ns();
	event->header.iface_id = 0;
	event->header.size = sizeof(*event);
	event->header.version = EVENT_VERSION;
	event->header.kind = RECORD_SOCKET;
	event->key = info->key;
	event->owner = info->owner;
	event->health = info->health;
	event->opened_ns = info->opened_ns;
	event->error = error;
	event->action = action;
	event->end = info->end;
	event->initiator = info->initiator;
	event->state = state;
	bpf_ringbuf_submit(event, emit_flags(sizeof(*event)));
}

/* INFO's connection is over; STATE is the one before, SYN_SENT: it never came to be. */
static __always_inline void connection_end(struct socket_info *info, __u8 state, __u32 error)
{
	info->closed_ns = bpf_ktime_get_ns();
	connection_leave(info);
	emit_socket(info, state_is_connected(state) ? SOCKET_CLOSE : SOCKET_FAIL, state, error);
}

/*
 * A socket is closed by the last process that had it. TCP goes on without it for a while, and tells of the end itself; but
 * not for a connection that was there before us (no establishment was seen): that one ends here, with what was read last.
 */
SEC("?cgroup/sock_release")
int sonde_sock_release(struct bpf_sock *ctx)
{
	__u64 cookie = bpf_get_socket_cookie(ctx);
	const struct bound_key *key = bpf_sk_storage_get(&socket_bound, ctx, 0, 0);
	struct socket_info *info = bpf_map_lookup_elem(&sockets, &cookie);

	if (key) {
		const __u64 *holder = bpf_map_lookup_elem(&bound, key);
		if (holder && *holder == cookie)
			bpf_map_delete_elem(&bound, key);
	}
	if (!info || info->closed_ns)
		return ALLOW;
	if (!info->key.protocol)
		info->closed_ns = bpf_ktime_get_ns();
	else if (!info->opened_ns)
		connection_end(info, info->state, 0);
	return ALLOW;
}

/* Asks to be told of the socket's changes of state, and leaves what others asked for. */
static __always_inline void follow_states(struct bpf_sock_ops *ctx)
{
	bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
}

/*
 * A new entry for a connection of the socket COOKIE, and its owner: the process that used the socket, or the listener's
 * that an accepted one was cloned from. NULL: no room.
 */
static __always_inline struct socket_info *connection_begin(struct bpf_sock *sk, const struct tcp_sock *tcp,
                                                            __u64 cookie, __u8 state)
{
	struct socket_info info = { .owner.cookie = cookie, .opened_ns = bpf_ktime_get_ns(), .state = state };
	struct socket_owner *stored = bpf_sk_storage_get(&socket_owners, sk, &info.owner, BPF_SK_STORAGE_GET_F_CREATE);

	if (stored) {
		if (stored->cookie != cookie) {
			stored->cookie = cookie;
			stored->since_ns = info.opened_ns;
		}
		info.owner = *stored;
	}
	socket_key(&tcp->inet_conn.icsk_inet.sk.__sk_common, &info.key, &info.end);
	info.initiator = state == TCP_SYN_RECV ? !info.end : info.end;
	bpf_map_update_elem(&sockets, &cookie, &info, BPF_ANY);
	return bpf_map_lookup_elem(&sockets, &cookie);
}

static __always_inline void connection_establish(struct bpf_sock_ops *ctx, struct socket_info *info, __u64 cookie,
                                                 enum socket_action action)
{
	__u8 former = action == SOCKET_ACCEPT ? TCP_SYN_RECV : TCP_SYN_SENT;

	follow_states(ctx);
	info->opened_ns = bpf_ktime_get_ns();
	info->state = TCP_ESTABLISHED;
	connection_enter(info, cookie);
	emit_socket(info, action, former, 0);
}

/* The state alone: there are several changes to each connection. */
static __always_inline void connection_change(__u64 cookie, __u8 to)
{
	struct socket_info *info = bpf_map_lookup_elem(&sockets, &cookie);

	if (info && !info->closed_ns)
		info->state = to;
}

/* The change from FROM to closed. */
static __always_inline void connection_close(struct bpf_sock *sk, const struct tcp_sock *tcp, __u64 cookie, __u8 from)
{
	struct socket_info *info = bpf_map_lookup_elem(&sockets, &cookie);

	if (!info) {
		/* It was evicted: what the socket itself knows has to do. */
		info = connection_begin(sk, tcp, cookie, from);
		if (!info)
			return;
		info->opened_ns = 0;
		info->initiator = connection_initiator(&tcp->inet_conn.icsk_inet.sk.__sk_common, info);
	}
	if (info->closed_ns)
		return;
	health_read(tcp, &info->health);
	connection_end(info, from, tcp->inet_conn.icsk_inet.sk.sk_err);
}

SEC("?sockops")
int sonde_sock_ops(struct bpf_sock_ops *ctx)
{
	__u32 op = ctx->op, from = ctx->args[0], to = ctx->args[1];
	bool changes = op == BPF_SOCK_OPS_STATE_CB;
	if (!changes && op != BPF_SOCK_OPS_TCP_CONNECT_CB && op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB &&
	    op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
		return ALLOW;

	__u64 cookie = bpf_get_socket_cookie(ctx);
	if (changes && to != TCP_CLOSE) {
		connection_change(cookie, to);
		return ALLOW;
	}
	/* The sensor's own ones are never asked for their states: they stop being known as its own before they close. */
	if (!changes && bpf_map_lookup_elem(&self_sockets, &cookie))
		return ALLOW;
	struct bpf_sock *sk = ctx->sk;
	const struct tcp_sock *tcp = sk ? bpf_skc_to_tcp_sock(sk) : NULL;
	if (!tcp)
		return ALLOW;

	struct socket_info *info;
	switch (op) {
	case BPF_SOCK_OPS_TCP_CONNECT_CB:
		follow_states(ctx);
		connection_begin(sk, tcp, cookie, TCP_SYN_SENT);
		break;
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
		info = bpf_map_lookup_elem(&sockets, &cookie);
		if (!info || !info->key.protocol)
			info = connection_begin(sk, tcp, cookie, TCP_SYN_SENT);
		if (info)
			connection_establish(ctx, info, cookie, SOCKET_CONNECT);
		break;
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		info = connection_begin(sk, tcp, cookie, TCP_SYN_RECV);
		if (info)
			connection_establish(ctx, info, cookie, SOCKET_ACCEPT);
		break;
	case BPF_SOCK_OPS_STATE_CB:
		connection_close(sk, tcp, cookie, from);
		break;
	}
	return ALLOW;
}
