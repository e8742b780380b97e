// SPDX-License-Identifier: Apache-2.0
/*
 * Runs: `port 1 or port 2 or ...` becomes one comparison after the other of the same value, all leading to the same place.
 * A search tree asks a few of them only.
 */
#include <linux/filter.h>
#include <stdlib.h>
#include "user/filter_internal.h"

#define RUN_MIN  4 /* comparisons that are worth a tree */
#define LEAF_MAX 2 /* comparisons one after the other, where the tree ends */

static bool is_comparison(const struct classic_insn *insn)
{
	return insn->code == (BPF_JMP | BPF_JEQ | BPF_K);
}

bool filter_find_run(const struct translator *t, size_t i, struct filter_run *ret_run)
{
	const struct classic_insn *insn = &t->insns[i];
	struct filter_run run = { .yes = i + 1 + insn->jt };

	/* What can be come to from elsewhere, too, begins another run. */
	for (bool goes_on = is_comparison(insn); goes_on;) {
		t->values[run.n++] = insn->k;
		run.no = filter_follow(t, i + 1 + insn->jf);
		i = run.no;
		insn = &t->insns[i];
		goes_on = is_comparison(insn) && t->ways[i] == 1 && !t->begins_loop[i] &&
		          filter_label(t, i + 1 + insn->jt) == filter_label(t, run.yes);
	}
	if (run.n < RUN_MIN)
		return false;
	*ret_run = run;
	return true;
}

static int compare(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
	return left < right ? -1 : left > right;
}

/* VALUES in ascending order. FOLLOWS: what is at NO comes behind the last instruction anyway. */
static void write_tree(struct assembler *as, const uint32_t *values, size_t n, uint32_t yes, uint32_t no, bool follows)
{
	if (n <= LEAF_MAX) {
		for (size_t i = 0; i < n; i++)
			emit_jump(as, BPF_JMP32 | BPF_JEQ | BPF_K, REG_A, 0, (int32_t)values[i], yes);
		if (!follows)
			jump(as, no);
		return;
	}
	uint32_t upper = label_new(as, 1);
	emit_jump(as, BPF_JMP32 | BPF_JGE | BPF_K, REG_A, 0, (int32_t)values[n / 2], upper);
	write_tree(as, values, n / 2, yes, no, false);
	emit_island(as);
	label_place(as, upper);
	write_tree(as, values + n / 2, n - n / 2, yes, no, follows);
}

void filter_write_run(struct translator *t, const struct filter_run *run, bool follows)
{
	qsort(t->values, run->n, sizeof(*t->values), compare);
	write_tree(&t->as, t->values, run->n, filter_label(t, run->yes), filter_label(t, run->no), follows);
}
