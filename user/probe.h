/* SPDX-License-Identifier: Apache-2.0 */
/* Optional kernel features: each probed once, by loading or creating the very thing (never by a version number). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum feature {
	FEATURE_TCX,          /* links on TC hooks (6.6) */
	FEATURE_COARSE_CLOCK, /* bpf_ktime_get_coarse_ns (5.11) */
	FEATURE_CONNTRACK,    /* bpf_skb_ct_lookup (5.18, with nf_conntrack loaded) */
	FEATURE_SOCKETS,      /* what the socket hooks call, and links on cgroups (5.9) */
	FEATURE_SOCKET_ITER,  /* iterators over files and socket storage that tell sockets (5.12) */
	FEATURE_MAX,
};

struct feature_info {
	const char *name;    /* as in `sonde check` and `sonde run --without` */
	const char *since;   /* kernel release, for people */
	const char *instead; /* what is done where it is missing */
};

const struct feature_info *feature_info(enum feature feature);

/* The feature called NAME; FEATURE_MAX: no such. */
enum feature feature_find(const char *name);

/* True: the kernel has it and it was not turned off. The first call probes (needs CAP_BPF or CAP_SYS_ADMIN). */
bool feature_available(enum feature feature);

/* From now on as if the kernel did not have it: to try a fallback where it is not needed. */
void feature_disable(enum feature feature);

/*
 * What nothing runs without: 0, or -errno and a sentence that names what is missing in REASON. Asks for: the bpf(2)
 * syscall and the right to use it, BTF, ring buffers (5.8).
 */
int probe_required(char *reason, size_t size);
