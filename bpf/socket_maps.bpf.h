/* SPDX-License-Identifier: GPL-2.0-only */
/* Socket, the maps: written by the hooks and by the survey, which is an object of its own; read by the flow stage. */
#pragma once

#include "bpf/socket.h"

/* The owner of each socket, as long as the socket lives; accepted sockets get a copy of their listener's. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct socket_owner);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} socket_owners SEC(".maps");

/* Which entry of `bound` is a socket's: at its release the hook is not told its port. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct bound_key);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} socket_bound SEC(".maps");

/* The loader sets max_entries. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, __u64); /* cookie */
	__type(value, struct socket_info);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} sockets SEC(".maps");

/*
 * What the kernel says of TCP connections by their tuple, for packets that come without their socket: what crosses a
 * NIC's ingress, what was forwarded. The loader sets max_entries.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct flow_key);
	__type(value, struct connection);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} connections SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, BOUND_MAX);
	__type(key, struct bound_key);
	__type(value, __u64); /* cookie */
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} bound SEC(".maps");
