/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The contract between kernel and loader: the records of the ring buffer. Times: CLOCK_MONOTONIC ns. Sizes: bytes.
 * __be*: network order. Change of layout => bump EVENT_VERSION; the loader refuses records of another version.
 */
#pragma once

#include "bpf/flow.h"
#include "bpf/socket.h"
#include "bpf/verdict.h"

#define EVENT_VERSION 3

/* Kinds of record, also the index into accounts (map `record_stats`, struct books_state). */
enum record_kind {
	RECORD_FLOW,   /* totals of a flow; from the ring only with reason table_full */
	RECORD_PACKET, /* a sampled packet */
	RECORD_SOCKET, /* a connection began, ended, or came to nothing */
	RECORD_KIND_MAX,
};
#define RECORD_KIND_NAMES                  \
	{                                  \
		"flow", "packet", "socket" \
	}

enum link_type {
	LINK_ETHERNET, /* frames begin with an Ethernet header */
	LINK_RAW_IP,   /* frames begin with the IP header: tun, wireguard, ipip, ... */
	LINK_TYPE_MAX,
};

/* Why a packet was chosen as a sample. */
enum sample_reason {
	SAMPLE_HEAD,    /* among the first packets.head_bytes of its direction */
	SAMPLE_CONTROL, /* SYN, FIN or RST */
	SAMPLE_DNS,     /* port 53; over TCP with payload */
	SAMPLE_TLS,     /* its payload begins with a ClientHello or a ServerHello */
	SAMPLE_HTTP,    /* its payload begins like an HTTP/1 message */
	SAMPLE_ONE_IN,  /* by chance: one in packets.one_in */
	SAMPLE_REASON_MAX,
};
#define SAMPLE_REASON_NAMES                                       \
	{                                                         \
		"head", "control", "dns", "tls", "http", "one_in" \
	}

struct event_header {
	__u64 time_ns;
	__u32 iface_id; /* the loader's number of the interface, unique while the maps are pinned */
	__u16 size;     /* whole record, header included; a record may be followed by padding */
	__u8 version;   /* EVENT_VERSION */
	__u8 kind;      /* enum record_kind */
};
_Static_assert(sizeof(struct event_header) == 16, "event_header layout");

/* RECORD_PACKET: data holds the first captured_length bytes of the frame. */
struct packet_event {
	struct event_header header;
	struct flow_key key;
	__u64 flow_id;
	__u64 cgroup_id[2];    /* of the socket at each end of key; 0: not known */
	__u64 cookie[2];       /* likewise */
	__u32 original_length; /* of the frame (a GSO super-packet's own length) */
	__u32 one_in;          /* it stands for so many packets of its kind; 1: it was certain to be chosen */
	__u16 captured_length;
	__u8 sender;    /* which end of key sent it: 0 or 1 */
	__u8 direction; /* enum direction */
	__u8 link_type; /* enum link_type: what data begins with */
	__u8 initiator; /* which end of key began the flow */
	__u8 reason;    /* enum sample_reason */
	__u8 reserved;
	__u8 data[];
};
_Static_assert(sizeof(struct packet_event) == 120, "packet_event layout");

/* RECORD_FLOW, reason table_full: a packet that found no room in the flow table, as a flow record of its own. */
struct flow_event {
	struct event_header header;
	struct flow_key key;
	__u64 packets; /* wire packets: 1, or the segments of a GSO super-packet */
	__u64 bytes;   /* from the IP header on */
	__u64 cgroup_id;
	__u64 cookie;
	__u8 sender;
	__u8 direction;
	__u8 tcp_flags;
	__u8 reserved[5];
};
_Static_assert(sizeof(struct flow_event) == 104, "flow_event layout");

/* What a socket did. */
enum socket_action {
	SOCKET_CONNECT, /* established, from this side */
	SOCKET_ACCEPT,  /* established, from the other side */
	SOCKET_CLOSE,   /* an established connection ended */
	SOCKET_FAIL,    /* a connect that came to nothing: error tells why */
	SOCKET_ACTION_MAX,
};
#define SOCKET_ACTION_NAMES                          \
	{                                            \
		"connect", "accept", "close", "fail" \
	}

/* RECORD_SOCKET: a TCP connection of a socket on this host. header.iface_id is 0. */
struct socket_event {
	struct event_header header;
	struct flow_key key;         /* as the socket has the tuple: before any address translation on the way */
	struct socket_owner owner;   /* zero but for the cookie: not known */
	struct socket_health health; /* zero where action is connect or accept */
	__u64 opened_ns; /* CLOCK_MONOTONIC of the establishment, of a failed connect's begin; 0: not seen */
	__u32 error;     /* errno the socket ended with (ECONNREFUSED, ETIMEDOUT, ECONNRESET, ...); 0: none */
	__u8 action;     /* enum socket_action */
	__u8 end;        /* which end of key this socket is */
	__u8 initiator;  /* which end of key began */
	__u8 state;      /* TCP state before the change that this record tells of */
};
_Static_assert(sizeof(struct socket_event) == 192, "socket_event layout");

/* What the kernel made of each kind, in map `record_stats` (per CPU), index enum record_kind. Unit: records. */
struct record_stats {
	__u64 produced;  /* attempts: in the ring, taken from it, or lost */
	__u64 lost_ring; /* the ring had no room */
	__u64 lost_rate; /* packets.max_rate was used up */
};
_Static_assert(sizeof(struct record_stats) == 24, "record_stats layout");
