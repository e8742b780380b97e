// SPDX-License-Identifier: GPL-2.0-only
/*
 * Survey: the sockets that exist, of all network namespaces, walked through when the loader asks. Two walks over the files
 * of all processes find what was there before the hooks; one over the socket storage keeps health and entries current. An
 * object of its own, loaded where the kernel has what it calls (5.12).
 */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf/compat.bpf.h"
#include "bpf/socket.bpf.h"

/* The IP socket that the file of the walk's present step is; NULL: it is none, or a thread's and met with the process. */
static __always_inline struct sock *socket_of_step(const struct task_struct *task, struct file *file)
{
	if (!task || !file || task->pid != task->tgid)
		return NULL;
	const struct socket *socket = bpf_sock_from_file(file);
	struct sock *sk = socket ? socket->sk : NULL;
	if (!sk || (sk->__sk_common.skc_family != AF_INET && sk->__sk_common.skc_family != AF_INET6))
		return NULL;
	return sk;
}

/* The cgroup that the socket was made in, which is what packets have; else, on older kernels, the process's. */
static __always_inline __u64 cgroup_of(const struct sock *sk, const struct task_struct *task)
{
	if (bpf_core_field_exists(sk->sk_cgrp_data.cgroup)) {
		const struct cgroup *cgroup = sk->sk_cgrp_data.cgroup;
		if (cgroup)
			return cgroup->kn->id;
	}
	return task->cgroups->dfl_cgrp->kn->id;
}

static __always_inline void owner_find(const struct sock *sk, const struct task_struct *task,
                                       struct socket_owner *owner)
{
	owner->cgroup_id = cgroup_of(sk, task);
	owner->netns_cookie = sk->__sk_common.skc_net.net->net_cookie;
	owner->tgid = task->tgid;
	owner->pid = task->pid;
	owner->uid = task->cred->uid.val;
	__builtin_memcpy(owner->comm, task->comm, sizeof(owner->comm));
}

/* Who receives at a port: a bound UDP socket, a listener. */
static __always_inline void bound_find(struct sock *sk, __u64 netns_cookie, __u64 cookie)
{
	struct bound_key key = {
		.netns_cookie = netns_cookie,
		.port = bpf_htons(sk->__sk_common.skc_num),
		.protocol = sk->sk_protocol,
	};

	if (!key.port ||
	    (key.protocol != IPPROTO_UDP && (key.protocol != IPPROTO_TCP || sk->__sk_common.skc_state != TCP_LISTEN)))
		return;
	bpf_sk_storage_get(&socket_bound, sk, &key, BPF_SK_STORAGE_GET_F_CREATE);
	bpf_map_update_elem(&bound, &key, &cookie, BPF_NOEXIST);
}

/* First walk: owners, and who is bound. The cookie of each socket that was not known is what the walk's reader gets. */
SEC("iter/task_file")
int sonde_find_owners(struct bpf_iter__task_file *ctx)
{
	const struct task_struct *task = ctx->task;
	struct sock *sk = socket_of_step(task, ctx->file);
	if (!sk)
		return 0;

	__u64 cookie = bpf_get_socket_cookie(sk);
	struct socket_owner *stored = bpf_sk_storage_get(&socket_owners, sk, 0, 0);
	if (stored && stored->cookie == cookie)
		return 0;
	/* No room left in this read: the step is repeated in the next one. */
	if (bpf_seq_write(ctx->meta->seq, &cookie, sizeof(cookie)))
		return 0;

	struct socket_info info = { .owner.cookie = cookie };
	owner_find(sk, task, &info.owner);
	if (stored)
		*stored = info.owner;
	else
		bpf_sk_storage_get(&socket_owners, sk, &info.owner, BPF_SK_STORAGE_GET_F_CREATE);
	bpf_map_update_elem(&sockets, &cookie, &info, BPF_NOEXIST);
	bound_find(sk, info.owner.netns_cookie, cookie);
	return 0;
}

/* Second walk, when all listeners are known: the connections. */
SEC("iter/task_file")
int sonde_find_connections(struct bpf_iter__task_file *ctx)
{
	struct sock *sk = socket_of_step(ctx->task, ctx->file);
	const struct tcp_sock *tcp = sk ? bpf_skc_to_tcp_sock(sk) : NULL;
	if (!tcp || !state_is_connected(sk->__sk_common.skc_state))
		return 0;

	__u64 cookie = bpf_get_socket_cookie(sk);
	struct socket_info *info = bpf_map_lookup_elem(&sockets, &cookie);
	if (!info || info->key.protocol)
		return 0;
	connection_find(tcp, info);
	connection_enter(info, cookie);
	return 0;
}

/*
 * Before each reading of the flow table: the health of the connections. To look an entry up also keeps it from being the
 * least recently used; one that had to go while its socket lives comes back.
 */
SEC("iter/bpf_sk_storage_map")
int sonde_refresh(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct sock *sk = ctx->sk;
	const struct socket_owner *owner = ctx->value;
	if (!sk || !owner)
		return 0;

	__u64 cookie = owner->cookie;
	/* A connection under way to be accepted has a copy of the listener's. */
	if (cookie != bpf_get_socket_cookie(sk))
		return 0;
	const struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
	bool connected = tcp && state_is_connected(sk->__sk_common.skc_state);
	struct socket_info *info = bpf_map_lookup_elem(&sockets, &cookie);
	if (info) {
		if (connected && info->key.protocol && !info->closed_ns)
			health_read(tcp, &info->health);
		return 0;
	}

	struct socket_info again = { .owner = *owner };
	if (connected)
		connection_find(tcp, &again);
	bpf_map_update_elem(&sockets, &cookie, &again, BPF_NOEXIST);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
