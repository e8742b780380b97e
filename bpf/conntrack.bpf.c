// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conntrack: the tuple as address translation leaves it, for flows that are translated on this host. An object of its own,
 * loaded where the kernel has the functions it calls (5.18, and conntrack loaded): kernels without them refuse the call
 * even in code that never runs.
 */
#include "vmlinux.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#include "bpf/compat.bpf.h"
#include "bpf/details_maps.bpf.h"

struct nf_conn *bpf_skb_ct_lookup(struct __sk_buff *skb, struct bpf_sock_tuple *tuple, u32 tuple_size,
                                  struct bpf_ct_opts *opts, u32 opts_size) __ksym;
void bpf_ct_release(struct nf_conn *ct) __ksym;

/* struct bpf_ct_opts before 6.11; later kernels take this size, too. */
#define CT_OPTS_SIZE 12

/* One direction of a connection, as conntrack keeps it. */
struct ct_tuple {
	__u32 from[4], to[4]; /* network order; IPv4 in the first word */
	__be16 from_port, to_port;
};

/* Field by field, with offsets that are constants: the verifier knows the type behind the pointer. */
#define CT_TUPLE(ct, i)                                                                                     \
	((struct ct_tuple) {                                                                                \
		.from = { (ct)->tuplehash[i].tuple.src.u3.all[0], (ct)->tuplehash[i].tuple.src.u3.all[1],   \
	                  (ct)->tuplehash[i].tuple.src.u3.all[2], (ct)->tuplehash[i].tuple.src.u3.all[3] }, \
		.to = { (ct)->tuplehash[i].tuple.dst.u3.all[0], (ct)->tuplehash[i].tuple.dst.u3.all[1],     \
	                (ct)->tuplehash[i].tuple.dst.u3.all[2], (ct)->tuplehash[i].tuple.dst.u3.all[3] },   \
		.from_port = (ct)->tuplehash[i].tuple.src.u.all,                                            \
		.to_port = (ct)->tuplehash[i].tuple.dst.u.all,                                              \
	})

/* KEY's tuple in the direction from end FROM; its size: conntrack tells the families apart by that. */
static __always_inline u32 socket_tuple(const struct flow_key *key, bool from, struct bpf_sock_tuple *ret_tuple)
{
	const __u32 *source = (const __u32 *)(from ? key->addr[1] : key->addr[0]);
	const __u32 *destination = (const __u32 *)(from ? key->addr[0] : key->addr[1]);
	__be16 source_port = from ? key->port[1] : key->port[0];
	__be16 destination_port = from ? key->port[0] : key->port[1];

	if (key->ip_version == 4) {
		ret_tuple->ipv4.saddr = source[3];
		ret_tuple->ipv4.daddr = destination[3];
		ret_tuple->ipv4.sport = source_port;
		ret_tuple->ipv4.dport = destination_port;
		return sizeof(ret_tuple->ipv4);
	}
	for (int i = 0; i < 4; i++) {
		ret_tuple->ipv6.saddr[i] = source[i];
		ret_tuple->ipv6.daddr[i] = destination[i];
	}
	ret_tuple->ipv6.sport = source_port;
	ret_tuple->ipv6.dport = destination_port;
	return sizeof(ret_tuple->ipv6);
}

/*
 * The other direction of the connection that has KEY's tuple from end FROM as one of its directions: without translation
 * it is the same tuple backwards. False: there is no such connection, or none yet.
 */
static __always_inline bool other_direction(struct __sk_buff *skb, const struct flow_key *key, bool from,
                                            struct ct_tuple *ret_other)
{
	struct bpf_ct_opts opts = { .netns_id = BPF_F_CURRENT_NETNS, .l4proto = key->protocol };
	struct bpf_sock_tuple tuple = {};
	struct nf_conn *ct;

	if (socket_tuple(key, from, &tuple) == sizeof(tuple.ipv4))
		ct = bpf_skb_ct_lookup(skb, &tuple, sizeof(tuple.ipv4), &opts, CT_OPTS_SIZE);
	else
		ct = bpf_skb_ct_lookup(skb, &tuple, sizeof(tuple.ipv6), &opts, CT_OPTS_SIZE);
	if (!ct)
		return false;
	if (opts.dir == IP_CT_DIR_ORIGINAL) {
		*ret_other = CT_TUPLE(ct, IP_CT_DIR_REPLY);
		barrier();
	} else {
		*ret_other = CT_TUPLE(ct, IP_CT_DIR_ORIGINAL);
	}
	bpf_ct_release(ct);
	return true;
}

/* An end's address and port on the other side of the translation; nothing where they are the same. */
static __always_inline bool note_end(const struct flow_key *key, bool end, const __u32 *address, __be16 port,
                                     struct flow_details *noted)
{
	const __u32 *own = (const __u32 *)(end ? key->addr[1] : key->addr[0]);
	__be16 own_port = end ? key->port[1] : key->port[0];
	__u32 *to = (__u32 *)(end ? noted->translated[1] : noted->translated[0]);
	bool ipv4 = key->ip_version == 4;

	if (port == own_port && address[0] == own[ipv4 ? 3 : 0] &&
	    (ipv4 || (address[1] == own[1] && address[2] == own[2] && address[3] == own[3])))
		return false;
	to[0] = ipv4 ? 0 : address[0];
	to[1] = ipv4 ? 0 : address[1];
	to[2] = ipv4 ? bpf_htonl(0xffff) : address[2];
	to[3] = ipv4 ? address[0] : address[3];
	if (end)
		noted->translated_port[1] = port;
	else
		noted->translated_port[0] = port;
	return true;
}

static __always_inline bool is_known(const struct flow_details *noted)
{
	return (noted->translated_port[0] | noted->translated_port[1]) != 0;
}

SEC("tc")
int sonde_conntrack(struct __sk_buff *skb)
{
	__u32 zero = 0;
	const struct details_request *request = bpf_map_lookup_elem(&details_request, &zero);
	struct flow_details noted = {};
	struct ct_tuple other;
	bool from = false;

	if (!request || (request->key.protocol != IPPROTO_TCP && request->key.protocol != IPPROTO_UDP))
		return TC_ACT_UNSPEC;
	struct flow_key key = request->key;
	__u64 flow_id = request->flow_id;

	const struct flow_details *former = bpf_map_lookup_elem(&details, &flow_id);
	if (former)
		noted = *former;
	if (is_known(&noted))
		return TC_ACT_UNSPEC;
	/* A flow as it is before translation is a connection's own direction or its answer's backwards, and so behind it. */
	if (!other_direction(skb, &key, false, &other)) {
		from = true;
		if (!other_direction(skb, &key, true, &other))
			return TC_ACT_UNSPEC;
	}
	bool differs = note_end(&key, from, other.to, other.to_port, &noted);
	differs |= note_end(&key, !from, other.from, other.from_port, &noted);
	if (differs)
		bpf_map_update_elem(&details, &flow_id, &noted, BPF_ANY);
	return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "GPL";
