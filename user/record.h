/* SPDX-License-Identifier: Apache-2.0 */
/* A record on its way from the main thread to the backend: decoded, named, and independent of any kernel layout. */
#pragma once

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include "bpf/event.h"
#include "user/owner.h"
#include "user/pod_facts.h"

/* Why a flow record was written. */
enum flow_reason {
	FLOW_ACTIVE,     /* the flow goes on; flows.active_timeout passed since its last record */
	FLOW_IDLE,       /* no packet for flows.idle_timeout */
	FLOW_END,        /* RST, or FIN from both ends */
	FLOW_TABLE_FULL, /* one packet that found no room in the flow table */
	FLOW_SHUTDOWN,   /* the sensor stops */
	FLOW_REASON_MAX,
};
#define FLOW_REASON_NAMES                                         \
	{                                                         \
		"active", "idle", "end", "table_full", "shutdown" \
	}

struct endpoint {
	uint8_t address[16];     /* network order; IPv4 as ::ffff:a.b.c.d */
	uint16_t port;           /* host order; ICMP: see struct flow_key */
	struct owner *owner;     /* a reference; NULL: not known */
	struct pod_facts *facts; /* likewise: what the pod list says of the owner's pod */
};

struct totals {
	uint64_t packets; /* wire packets */
	uint64_t bytes;   /* from the IP header on */
};

/* Another address that an end is known by; all zero: none. */
struct other_address {
	uint8_t address[16]; /* network order; IPv4 as ::ffff:a.b.c.d */
	uint16_t port;       /* host order; 0: not known */
};

/* A TCP connection's health, as one side's socket has it; cumulative but for the round-trip times. */
struct tcp_health {
	bool known;
	uint32_t rtt_us, min_rtt_us; /* 0: not measured */
	uint32_t retransmits;        /* segments */
	uint32_t lost, delivered;    /* segments */
};

struct flow_record {
	uint64_t id;
	uint32_t generation;
	enum flow_reason reason;
	uint64_t start_ns, end_ns;        /* Unix time of the first and the latest packet */
	struct totals delta[2], total[2]; /* [0]: what source sent, [1]: what destination sent */
	uint8_t tcp_flags[2];
	struct other_address tunnel[2];     /* the tunnel's ends, on the way from source to destination */
	struct other_address translated[2]; /* each end as it is on the other side of this host's address translation */
	struct tcp_health health; /* as the initiator's socket has it, else the responder's; of the ones on this host */
};

struct packet_record {
	uint64_t flow_id;
	uint32_t original_length; /* of the frame, bytes */
	uint32_t captured_length; /* bytes in data */
	enum link_type link_type; /* what data begins with */
	enum sample_reason reason;
	uint32_t one_in;     /* it stands for so many packets of its kind; 1: it was certain to be chosen */
	const uint8_t *data; /* in the record's own memory */
};

struct socket_record {
	enum socket_action action;
	uint32_t error;    /* errno; 0: none */
	uint8_t state;     /* the kernel's number of the TCP state before; 0: not known */
	uint64_t start_ns; /* Unix time of the establishment, of a failed connect's begin; 0: not seen */
	struct tcp_health health;
};

/*
 * source and destination: of a flow and a connection, initiator and responder; of a packet, sender and receiver.
 * interface and direction are those of the hook that observed it: for a flow, the hook that owns what source sent (else
 * what destination sent). A connection has no interface, and goes out (DIRECTION_EGRESS) where this host's socket is the
 * initiator's.
 */
struct unnamed; /* naming.h */
struct record {
	struct record *next;
	struct unnamed *unnamed; /* not NULL: there may be more names in a moment; the record's own */
	enum record_kind kind;
	uint64_t time_ns;     /* Unix time of what happened: a flow's latest packet, the packet, the socket's act */
	uint64_t observed_ns; /* Unix time when the loader made this record */
	char interface[IF_NAMESIZE]; /* "" : not known any more */
	enum direction direction;
	uint8_t protocol;   /* IANA */
	uint8_t ip_version; /* 4 or 6 */
	enum segment_kind segment_kind;
	uint32_t segment; /* as in struct flow_key */
	struct endpoint source, destination;
	union {
		struct flow_record flow;
		struct packet_record packet;
		struct socket_record socket;
	};
};

/* A zeroed record with DATA_SIZE bytes behind it (*ret_data, may be NULL when 0), or NULL: out of memory. */
struct record *record_new(enum record_kind kind, size_t data_size, uint8_t **ret_data);
/* Frees it, and its references to owners. */
void record_free(struct record *record);
DEFINE_CLEANUP(struct record *, record_free)

/* Memory a record takes, bytes: what the queue's bound counts. */
size_t record_size(const struct record *record);

/* A singly linked list that remembers its end. Empty: all zero. */
struct record_list {
	struct record *first, *last;
	size_t records, bytes;
};

void record_list_append(struct record_list *list, struct record *record);
/* Moves all of MORE to the end of LIST; MORE is left empty. */
void record_list_splice(struct record_list *list, struct record_list *more);
/* Takes the first one off; NULL: empty. */
struct record *record_list_pop(struct record_list *list);
/* Frees all records in it; usable with _cleanup_. */
void record_list_clear(struct record_list *list);
