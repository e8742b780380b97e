/* SPDX-License-Identifier: Apache-2.0 */
/* What decode asks, answered without a kernel: who is at an end, what an interface is called, what the flow table holds. */
#pragma once

#include "user/decode.h"

/* iface_id; the ifindex is ten times that. */
enum { UPLINK = 3, VETH = 4 };

/* What was asked last, by port. The owner that is found has the port as pid. Sockets have their cookie as round-trip time; 100
 * was never measured, and above it are none. */
extern struct enrich_end asked[8];

/* The flow table: one entry, under its key and twin. */
struct flow_table {
	struct flow_key key;
	struct flow flow;
};
extern struct flow_table table;

/* Without the flow table. */
extern const struct decoder decoder;

/* TCP between port 1, end 0, and port 2. */
extern const struct flow_key tcp_key;

/* At 900, of a socket that was opened at 500. */
struct socket_event make_socket_event(enum socket_action action, uint8_t end, uint8_t initiator);

/* From 100 on, begun by end 1: end 0 was seen at the uplink, until 300, end 1 at its veth, until 400. */
struct flow make_flow(void);
