/* SPDX-License-Identifier: GPL-2.0-only */
/* Details, the maps: shared by the stage and by the program that asks conntrack (conntrack.bpf.c). */
#pragma once

#include "bpf/flow.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, DETAILS_MAX);
	__type(key, __u64); /* flow id */
	__type(value, struct flow_details);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} details SEC(".maps");

/* What the main program leaves for the one that it tail-calls, on the same CPU. */
struct details_request {
	struct flow_key key;
	__u64 flow_id;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct details_request);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} details_request SEC(".maps");
