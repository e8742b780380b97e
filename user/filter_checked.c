// SPDX-License-Identifier: Apache-2.0
/* What is known of a packet's length at each instruction, whichever way led there: that need not be checked again. */
#include <linux/filter.h>
#include "user/filter_internal.h"

/* 4 * (a byte's low half) */
#define MSH_MAX 60

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint32_t most(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

/* CHECKED holds on one more way to I. */
static void arrive(struct translator *t, size_t i, const struct packet_checked *checked)
{
	struct packet_checked *known = &t->checked[filter_follow(t, i)];
	known->bytes = least(known->bytes, checked->bytes);
	known->bytes_x = least(known->bytes_x, checked->bytes_x);
	known->x_max = most(known->x_max, checked->x_max);
}

static void set_x(struct packet_checked *checked, uint32_t x_max)
{
	checked->x_max = x_max;
	checked->bytes_x = 0;
}

/* What holds behind an instruction, if CHECKED did before it. */
static struct packet_checked pass(const struct classic_insn *insn, struct packet_checked checked)
{
	const uint8_t mode = BPF_MODE(insn->code);
	switch (BPF_CLASS(insn->code)) {
	case BPF_LD:
		if (mode == BPF_ABS)
			checked.bytes = checked_behind(checked.bytes, insn->k, classic_size(insn));
		if (mode == BPF_IND)
			checked.bytes_x = checked_behind_x(checked.bytes_x, insn->k, classic_size(insn));
		break;
	case BPF_LDX:
		if (mode == BPF_MSH)
			checked.bytes = checked_behind(checked.bytes, insn->k, 1);
		set_x(&checked, mode == BPF_MSH ? MSH_MAX : mode == BPF_IMM ? insn->k : UINT32_MAX);
		break;
	case BPF_MISC:
		if (BPF_MISCOP(insn->code) == BPF_TAX)
			set_x(&checked, UINT32_MAX);
		break;
	}
	return checked;
}

void filter_find_checked(struct translator *t)
{
	for (size_t i = 0; i < t->n; i++)
		t->checked[i] = (struct packet_checked) { UINT32_MAX, UINT32_MAX, 0 };
	arrive(t, 0, &(struct packet_checked) { 0 });

	/* All ways lead forward: what leads to an instruction has been looked at before it. */
	for (size_t i = 0; i < t->n; i++) {
		const struct classic_insn *insn = &t->insns[i];
		const struct packet_checked behind = pass(insn, t->checked[i]);
		if (t->checked[i].bytes == UINT32_MAX || BPF_CLASS(insn->code) == BPF_RET || is_jump_always(insn))
			continue;
		if (BPF_CLASS(insn->code) == BPF_JMP) {
			arrive(t, i + 1 + insn->jt, &behind);
			arrive(t, i + 1 + insn->jf, &behind);
		} else {
			arrive(t, i + 1, &behind);
		}
	}
}
