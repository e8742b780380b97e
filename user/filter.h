/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operator's expression, pcap-filter(7), as a program that decides in the kernel: libpcap compiles it to classic BPF
 * (filter_compile.c), filter_translate.c makes eBPF of that. docs/filter.md says what a filter sees.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "bpf/config.h"
#include "user/buf.h"

struct bpf_insn; /* the kernel's; libpcap has another one of that name */

#define FILTER_TEXT_MAX 65536 /* bytes of an expression */

/* A classic program, host byte order; layout and meaning of an instruction as in the kernel's struct sock_filter. */
struct classic_insn {
	uint16_t code;
	uint8_t jt, jf;
	uint32_t k;
};
struct classic_program {
	struct classic_insn *insns;
	size_t n;
};

/*
 * Compiles EXPRESSION for interfaces of LINK_TYPE. 0; -ENOMEM; -EINVAL, and ERROR is what follows the expression in a
 * message: libpcap's reason and, where it can be found, the position. Names of hosts are looked up, which may wait for DNS.
 * Free with classic_free.
 */
int filter_compile(const char *expression, enum link_type link_type, struct classic_program *ret_program,
                   struct buf *error);
void classic_free(struct classic_program *program);

/* True: EXPRESSION is nothing but white space, and so every packet matches. */
bool filter_is_empty(const char *expression);

/* Maps that a translated program refers to, by descriptor. */
struct filter_maps {
	int filters;     /* tail-called at PROGRAM_MAIN for a match */
	int iface_stats; /* where packets that do not match are counted */
	bool replay;     /* a packet's length is in CB_LENGTH, see struct sensor_config */
};

struct filter_program {
	struct bpf_insn *insns; /* for BPF_PROG_TYPE_SCHED_CLS */
	size_t n;
	size_t n_classic; /* instructions of the classic program it comes from */
};

/*
 * Makes eBPF of a classic program that libpcap's bpf_validate accepts. 0; -ENOMEM; -EOPNOTSUPP: it loads from an offset
 * that only a live handle knows, its loops are nested, or a jump leaves it; -E2BIG. Free with filter_program_free.
 */
int filter_translate(const struct classic_program *classic, enum link_type link_type, const struct filter_maps *maps,
                     struct filter_program *ret_program);
void filter_program_free(struct filter_program *program);

/*
 * Both steps. An expression that libpcap takes for Ethernet and not for LINK_TYPE matches nothing there: REFUSED is why.
 * Otherwise as the two functions above, with ERROR instead for what is wrong with the expression itself.
 */
int filter_build(const char *expression, enum link_type link_type, const struct filter_maps *maps,
                 struct filter_program *ret_program, struct buf *refused);

/*
 * What a packet costs on this machine, ns: the median over some synthetic packets, run in the kernel, less that of a
 * program that does nothing. 0 or -errno.
 */
int filter_measure(const char *expression, enum link_type link_type, unsigned *ret_ns);
