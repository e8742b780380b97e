/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the translator share; which file does what is said at each function. */
#pragma once

#include "user/filter.h"
#include "user/filter_load.h"

/* Labels of a classic instruction, at first + LABELS * its index. */
enum {
	LABEL_INSN,
	LABEL_AGAIN, /* a loop's next round; LABEL_INSN is where it begins */
	LABELS,
};

struct translator {
	struct assembler as;
	struct packet_loader loader;
	bool replay;
	struct classic_insn *insns; /* a copy, in plainer terms: see filter_simplify */
	size_t n;
	bool *reached, *begins_loop; /* by instruction */
	bool *fails_over;            /* where the fast copy leaves for the careful one */
	uint32_t *ways;              /* from how many places it can be come to */
	struct packet_checked *checked;
	uint32_t *values;       /* of the latest filter_find_run */
	uint32_t first;         /* label of the first instruction, in the copy that is being written */
	uint32_t careful;       /* and in the one that the fast copy leaves for */
	uint32_t match, reject; /* labels of the two ends */
};

/* filter_shape.c: replaces what rejects every packet by a return. 0; -EOPNOTSUPP: a load asks the kernel. */
int filter_simplify(struct translator *t);
/* filter_shape.c: marks where loops begin. 0; -EOPNOTSUPP: they are not disjoint, as libpcap makes them. */
int filter_find_loops(struct translator *t);
/* filter_shape.c: marks what is done at I, unless that is an end. */
void filter_reach(struct translator *t, size_t i);
/*
 * filter_shape.c: marks what the program can come to from what is marked. The verifier refuses an instruction that nothing
 * leads to.
 */
void filter_find_reached(struct translator *t);

/* filter_shape.c: counts in t->ways. */
void filter_count_ways(struct translator *t);

/* filter_shape.c: where one is that goes to I: jumps forward are followed. */
size_t filter_follow(const struct translator *t, size_t i);

/* filter_shape.c: the label of what is done at I: an end, where that is decided there, and jumps forward are followed. */
uint32_t filter_label(const struct translator *t, size_t i);

static inline bool is_jump_always(const struct classic_insn *insn)
{
	return BPF_CLASS(insn->code) == BPF_JMP && BPF_OP(insn->code) == BPF_JA;
}

/* Where a JA at I leads; backwards, too: libpcap's bpf_validate lets the sum wrap. */
static inline size_t ja_target(size_t i, const struct classic_insn *insn)
{
	return (uint32_t)(i + 1 + insn->k);
}

/* Comparisons of A with one constant after the other. */
struct filter_run {
	size_t n;
	size_t yes, no; /* instructions: what comes after one that is equal, after none */
};

/* filter_run.c: whether a run begins at I that is worth a tree; its constants are in t->values then. */
bool filter_find_run(const struct translator *t, size_t i, struct filter_run *ret_run);
/* filter_run.c: writes the run that was found last. FOLLOWS: what is at its `no` is written next. */
void filter_write_run(struct translator *t, const struct filter_run *run, bool follows);

/* filter_checked.c: fills t->checked, of a program without loops. */
void filter_find_checked(struct translator *t);

/* Bytes that a load takes. */
static inline uint32_t classic_size(const struct classic_insn *insn)
{
	return BPF_SIZE(insn->code) == BPF_B ? 1 : BPF_SIZE(insn->code) == BPF_H ? 2 : 4;
}

/* filter_end.c: what becomes of a packet that matches, of one that does not, and of one whose tail call missed. */
void filter_end(struct translator *t, const struct filter_maps *maps);
