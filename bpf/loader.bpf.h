/* SPDX-License-Identifier: GPL-2.0-only */
/* Maps that no program uses: what a loader leaves for the next one, and for bpftool. */
#pragma once

#include "bpf/books.h"
#include "bpf/iface.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, IFACE_SLOTS);
	__type(key, __u32); /* iface_id */
	__type(value, struct iface_info);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} ifaces SEC(".maps");

/* The watermark of each flow. As large as `flows`. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct flow_key);
	__type(value, struct flow_reported);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} reported SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct books_page);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} books SEC(".maps");
