/* SPDX-License-Identifier: Apache-2.0 */
/* A record as an OTLP LogRecord (otlp_attributes.c, otlp_socket.c), on its way into a request (otlp.c). */
#pragma once

#include <arpa/inet.h>
#include "user/otlp.h"
#include "user/otlp.pb-c.h"

#define ATTRIBUTES_MAX (56 + 2 * POD_FACTS_MAX)

/* Attributes of both messages that carry them; pairs point into values, the list into pairs. */
struct attributes {
	size_t n;
	Sonde__Otlp__KeyValue *list[ATTRIBUTES_MAX];
	Sonde__Otlp__KeyValue pairs[ATTRIBUTES_MAX];
	Sonde__Otlp__AnyValue values[ATTRIBUTES_MAX];
};

/* A record's protobuf and the strings that it needs; those of the record itself are not copied. */
struct slot {
	Sonde__Otlp__LogRecord log;
	Sonde__Otlp__AnyValue body;
	struct attributes attributes;
	char address[2][INET6_ADDRSTRLEN], tunnel[2][INET6_ADDRSTRLEN], translated[2][INET6_ADDRSTRLEN];
	char interface[IF_NAMESIZE];
	char community_id[48];
	char protocol[4];
	char vlan[2][6];
	char flow_id[17];
};

/* Fills SLOT, which goes with RECORD: both stay where they are until the request is packed. */
void slot_fill(struct slot *slot, const struct record *record);

/* KEY is a constant, TEXT stays where it is; NULL and "" are left out: a field says nothing rather than guessing. */
void add_text(struct attributes *attributes, const char *key, const char *text);
void add_int(struct attributes *attributes, const char *key, uint64_t number);

/* otlp_socket.c: what sonde.socket has of its own; a connection's health, also as part of a flow. */
void add_socket(struct attributes *attributes, const struct socket_record *socket);
void add_health(struct attributes *attributes, const struct tcp_health *health);
