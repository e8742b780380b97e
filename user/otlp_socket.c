// SPDX-License-Identifier: Apache-2.0
/* What sockets tell: names for errors and TCP states, and a connection's health. */
#include <errno.h>
#include <string.h>
#include "user/otlp_internal.h"

/* OpenTelemetry's way to name an error: a word of low cardinality. Those that end connections are told in plain words. */
static const char *error_name(uint32_t error)
{
	static const struct {
		uint32_t error;
		const char *name;
	} names[] = {
		{ ECONNREFUSED, "connection_refused" },   { ECONNRESET, "connection_reset" },
		{ ECONNABORTED, "connection_aborted" },   { ETIMEDOUT, "timed_out" },
		{ EHOSTUNREACH, "host_unreachable" },     { EHOSTDOWN, "host_down" },
		{ ENETUNREACH, "network_unreachable" },   { ENETDOWN, "network_down" },
		{ EADDRNOTAVAIL, "address_unavailable" }, { EPIPE, "broken_pipe" },
		{ EACCES, "permission_denied" },          { EPERM, "not_permitted" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].error == error)
			return names[i].name;
	const char *name = strerrorname_np((int)error);
	return name ? name : "_OTHER";
}

/* The kernel's numbers, include/net/tcp_states.h; NULL: another one. */
static const char *state_name(uint8_t state)
{
	static const char *const names[] = {
		[1] = "established", [2] = "syn_sent",  [3] = "syn_recv", [4] = "fin_wait1",
		[5] = "fin_wait2",   [6] = "time_wait", [7] = "close",    [8] = "close_wait",
		[9] = "last_ack",    [10] = "listen",   [11] = "closing", [12] = "new_syn_recv",
	};
	return state < ARRAY_SIZE(names) ? names[state] : NULL;
}

void add_health(struct attributes *attributes, const struct tcp_health *health)
{
	if (!health->known)
		return;
	if (health->rtt_us)
		add_int(attributes, "tcp.rtt_us", health->rtt_us);
	if (health->min_rtt_us)
		add_int(attributes, "tcp.min_rtt_us", health->min_rtt_us);
	add_int(attributes, "tcp.retransmits", health->retransmits);
	add_int(attributes, "tcp.lost", health->lost);
	add_int(attributes, "tcp.delivered", health->delivered);
}

void add_socket(struct attributes *attributes, const struct socket_record *socket)
{
	static const char *const actions[] = SOCKET_ACTION_NAMES;

	add_text(attributes, "sonde.socket.action", actions[socket->action]);
	if (socket->start_ns)
		add_int(attributes, "sonde.socket.start", socket->start_ns);
	if (socket->error)
		add_text(attributes, "error.type", error_name(socket->error));
	add_text(attributes, "tcp.state", state_name(socket->state));
	add_health(attributes, &socket->health);
}
