// SPDX-License-Identifier: Apache-2.0
/* The shape of a classic program: what is decided at once, where it loops, what it comes to. */
#include <linux/filter.h>
#include "user/filter_internal.h"

static const struct classic_insn always_rejects = { .code = BPF_RET | BPF_K };

/* Offsets that mean what the kernel knows of a packet, as only a socket's filter can ask. */
static bool asks_the_kernel(const struct classic_insn *insn)
{
	return BPF_CLASS(insn->code) == BPF_LD && BPF_MODE(insn->code) == BPF_ABS && insn->k >= (uint32_t)SKF_LL_OFF;
}

/* What is decided before any packet comes: loads behind every packet's end, division by the constant zero. */
static bool rejects_always(const struct classic_insn *insn)
{
	switch (BPF_CLASS(insn->code)) {
	case BPF_LD:
		return (BPF_MODE(insn->code) == BPF_ABS || BPF_MODE(insn->code) == BPF_IND) && insn->k > OFFSET_MAX - 4;
	case BPF_LDX:
		return BPF_MODE(insn->code) == BPF_MSH && insn->k > OFFSET_MAX - 4;
	case BPF_ALU:
		return (BPF_OP(insn->code) == BPF_DIV || BPF_OP(insn->code) == BPF_MOD) &&
		       BPF_SRC(insn->code) == BPF_K && !insn->k;
	default:
		return false;
	}
}

static bool is_return(const struct classic_insn *insn)
{
	return BPF_CLASS(insn->code) == BPF_RET;
}

int filter_simplify(struct translator *t)
{
	for (size_t i = 0; i < t->n; i++) {
		/* libpcap's bpf_validate does not look at where a JA leads. */
		if (asks_the_kernel(&t->insns[i]) ||
		    (is_jump_always(&t->insns[i]) && ja_target(i, &t->insns[i]) >= t->n))
			return -EOPNOTSUPP;
		if (rejects_always(&t->insns[i]))
			t->insns[i] = always_rejects;
	}
	return 0;
}

size_t filter_follow(const struct translator *t, size_t i)
{
	while (is_jump_always(&t->insns[i]) && ja_target(i, &t->insns[i]) > i)
		i = ja_target(i, &t->insns[i]);
	return i;
}

uint32_t filter_label(const struct translator *t, size_t i)
{
	i = filter_follow(t, i);
	const struct classic_insn *insn = &t->insns[i];
	if (is_return(insn) && BPF_RVAL(insn->code) == BPF_K)
		return insn->k ? t->match : t->reject;
	return t->first + LABELS * (uint32_t)i + LABEL_INSN;
}

void filter_reach(struct translator *t, size_t i)
{
	uint32_t label = filter_label(t, i);
	if (label != t->match && label != t->reject)
		t->reached[(label - t->first) / LABELS] = true;
}

int filter_find_loops(struct translator *t)
{
	size_t begin = 0, end = 0; /* of the latest loop */
	for (size_t i = 0; i < t->n; i++) {
		if (!is_jump_always(&t->insns[i]) || ja_target(i, &t->insns[i]) > i)
			continue;
		size_t target = ja_target(i, &t->insns[i]);
		if ((target < end && target != begin) || is_return(&t->insns[target]) ||
		    is_jump_always(&t->insns[target]))
			return -EOPNOTSUPP;
		begin = target;
		end = i + 1;
		t->begins_loop[begin] = true;
	}
	return 0;
}

void filter_count_ways(struct translator *t)
{
	t->ways[filter_follow(t, 0)]++;
	for (size_t i = 0; i < t->n; i++) {
		const struct classic_insn *insn = &t->insns[i];
		if (is_return(insn) || is_jump_always(insn))
			continue;
		if (BPF_CLASS(insn->code) == BPF_JMP) {
			t->ways[filter_follow(t, i + 1 + insn->jt)]++;
			t->ways[filter_follow(t, i + 1 + insn->jf)]++;
		} else {
			t->ways[filter_follow(t, i + 1)]++;
		}
	}
}

void filter_find_reached(struct translator *t)
{
	struct filter_run run;

	/* One pass is enough, but for what only a jump back leads to. */
	for (bool changed = true; changed;) {
		changed = false;
		for (size_t i = 0; i < t->n; i++) {
			const struct classic_insn *insn = &t->insns[i];
			if (!t->reached[i] || is_return(insn))
				continue;
			if (is_jump_always(insn)) {
				size_t target = ja_target(i, insn);
				changed = changed || !t->reached[target];
				t->reached[target] = true;
			} else if (filter_find_run(t, i, &run)) {
				filter_reach(t, run.yes);
				filter_reach(t, run.no);
			} else if (BPF_CLASS(insn->code) == BPF_JMP) {
				filter_reach(t, i + 1 + insn->jt);
				filter_reach(t, i + 1 + insn->jf);
			} else {
				filter_reach(t, i + 1);
			}
		}
	}
}
