// SPDX-License-Identifier: Apache-2.0
#include <linux/bpf_common.h>
#include "user/filter_internal.h"

static void tail_call(struct translator *t, const struct filter_maps *maps, enum program_slot slot)
{
	move(&t->as, BPF_REG_1, REG_CONTEXT);
	emit_map(&t->as, BPF_REG_2, maps->filters);
	move_imm(&t->as, BPF_REG_3, (int32_t)slot);
	call(&t->as, BPF_FUNC_tail_call);
}

/* This hook's account into R0; there is none: to NONE. */
static void find_account(struct translator *t, const struct filter_maps *maps, uint32_t none)
{
	struct assembler *as = &t->as;
	load(as, BPF_W, BPF_REG_1, REG_CONTEXT, (int16_t)offsetof(struct __sk_buff, cb[CB_STATS]));
	store(as, BPF_W, BPF_REG_10, STACK_BYTES, BPF_REG_1);
	emit_map(as, BPF_REG_1, maps->iface_stats);
	move(as, BPF_REG_2, BPF_REG_10);
	add_imm(as, BPF_REG_2, STACK_BYTES);
	call(as, BPF_FUNC_map_lookup_elem);
	emit_jump(as, BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, 0, none);
}

/* Adds REG_A to a counter of the account in R0. Plainly: see account.bpf.h. */
static void count(struct translator *t, size_t counter)
{
	load(&t->as, BPF_DW, BPF_REG_1, BPF_REG_0, (int16_t)counter);
	emit(&t->as, BPF_ALU64 | BPF_ADD | BPF_X, BPF_REG_1, REG_A, 0, 0);
	store(&t->as, BPF_DW, BPF_REG_0, (int16_t)counter, BPF_REG_1);
}

/* Whether a jump waits for LABEL: what nothing leads to must not be written. */
static bool is_wanted(const struct assembler *as, uint32_t label)
{
	for (size_t i = 0; i < as->n_fixups; i++)
		if (as->fixups[i].label == label)
			return true;
	return false;
}

/* The end that most packets of a busy node come to: one look-up, one addition. */
static void end_reject(struct translator *t, const struct filter_maps *maps, uint32_t uncounted, uint32_t out)
{
	label_place(&t->as, t->reject);
	load(&t->as, BPF_W, REG_A, REG_CONTEXT, CONTEXT(cb[CB_PACKETS]));
	emit_jump(&t->as, BPF_JMP | BPF_JEQ | BPF_K, REG_A, 0, 0, uncounted);
	find_account(t, maps, out);
	count(t, offsetof(struct hook_stats, verdicts[VERDICT_FILTERED]));
	jump(&t->as, out);
	label_place(&t->as, uncounted);
	tail_call(t, maps, PROGRAM_FILTERED);
}

/* A tail call missed. As in sonde_entry: what nobody counted is one packet. */
static void end_error(struct translator *t, const struct filter_maps *maps, uint32_t out)
{
	uint32_t seen = label_new(&t->as, 1);
	find_account(t, maps, out);
	load(&t->as, BPF_W, REG_A, REG_CONTEXT, CONTEXT(cb[CB_PACKETS]));
	emit_jump(&t->as, BPF_JMP | BPF_JNE | BPF_K, REG_A, 0, 0, seen);
	move_imm(&t->as, REG_A, 1);
	count(t, offsetof(struct hook_stats, seen));
	label_place(&t->as, seen);
	count(t, offsetof(struct hook_stats, verdicts[VERDICT_ERROR]));
}

void filter_end(struct translator *t, const struct filter_maps *maps)
{
	struct assembler *as = &t->as;
	uint32_t uncounted = label_new(as, 1), error = label_new(as, 1), out = label_new(as, 1);
	bool matches = is_wanted(as, t->match);

	if (is_wanted(as, t->reject)) {
		end_reject(t, maps, uncounted, out);
		if (matches)
			jump(as, error);
	}
	if (matches) {
		label_place(as, t->match);
		tail_call(t, maps, PROGRAM_MAIN);
	}
	label_place(as, error);
	end_error(t, maps, out);
	label_place(as, out);
	move_imm(as, BPF_REG_0, -1 /* TC_ACT_UNSPEC */);
	emit(as, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}
