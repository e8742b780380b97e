// SPDX-License-Identifier: Apache-2.0
#include <string.h>
#include "user/cleanup.h"
#include "user/filter_assemble.h"

#define REACH 32767 /* of a jump, in instructions */
/* A jump waits for its label this long at most; what is left is for a unit and an island. */
#define WAIT_MAX (REACH - 2 * ISLAND_UNIT)
/* Jumps that wait longer than this are taken on by an island together with the oldest one. */
#define WAIT_OLD 8192

/* The kernel's BPF_COMPLEXITY_LIMIT_INSNS: nothing longer is ever loaded. */
#define INSNS_MAX 1000000

/* Room for one more: 0, or the assembler's error. */
static int grow(struct assembler *as, void *array, size_t n, size_t *capacity, size_t size)
{
	void **items = array;
	if (as->error || n < *capacity)
		return as->error;
	size_t more = *capacity ? *capacity * 2 : 256;
	void *grown = reallocarray(*items, more, size);
	if (!grown)
		return as->error = -ENOMEM;
	*items = grown;
	*capacity = more;
	return 0;
}

void assembler_clear(struct assembler *as)
{
	free(as->insns);
	free(as->labels);
	free(as->fixups);
	*as = (struct assembler) { 0 };
}

uint32_t label_new(struct assembler *as, uint32_t n)
{
	uint32_t first = as->n_labels;
	if (first + n > as->max_labels && !as->error) {
		uint32_t max = 2 * as->max_labels + n;
		size_t *grown = reallocarray(as->labels, max, sizeof(*grown));
		if (grown) {
			as->labels = grown;
			as->max_labels = max;
		} else {
			as->error = -ENOMEM;
		}
	}
	if (as->error)
		return 0;
	memset(&as->labels[first], 0xff, n * sizeof(*as->labels));
	as->n_labels += n;
	return first;
}

static void patch(struct assembler *as, size_t insn, size_t target)
{
	ptrdiff_t distance = (ptrdiff_t)target - (ptrdiff_t)insn - 1;
	if (distance > REACH || distance < -REACH)
		as->error = -E2BIG;
	else
		as->insns[insn].off = (int16_t)distance;
}

void label_place(struct assembler *as, uint32_t label)
{
	size_t kept = 0;
	if (as->error)
		return;
	as->labels[label] = as->bound = as->n;
	for (size_t i = 0; i < as->n_fixups; i++) {
		if (as->fixups[i].label == label)
			patch(as, as->fixups[i].insn, as->n);
		else
			as->fixups[kept++] = as->fixups[i];
	}
	as->n_fixups = kept;
}

void emit(struct assembler *as, uint8_t code, uint8_t dst, uint8_t src, int16_t off, int32_t imm)
{
	if (as->n >= INSNS_MAX && !as->error)
		as->error = -E2BIG;
	if (grow(as, &as->insns, as->n, &as->capacity, sizeof(*as->insns)) < 0)
		return;
	as->insns[as->n++] =
		(struct bpf_insn) { .code = code, .dst_reg = dst & 0xf, .src_reg = src & 0xf, .off = off, .imm = imm };
}

void emit_jump(struct assembler *as, uint8_t code, uint8_t dst, uint8_t src, int32_t imm, uint32_t label)
{
	emit(as, code, dst, src, 0, imm);
	if (as->error)
		return;
	if (as->labels[label] != SIZE_MAX)
		patch(as, as->n - 1, as->labels[label]);
	else if (grow(as, &as->fixups, as->n_fixups, &as->max_fixups, sizeof(*as->fixups)) == 0)
		as->fixups[as->n_fixups++] = (struct fixup) { as->n - 1, label };
}

void emit_map(struct assembler *as, uint8_t dst, int map)
{
	emit(as, BPF_LD | BPF_DW | BPF_IMM, dst, BPF_PSEUDO_MAP_FD, 0, map);
	emit(as, 0, 0, 0, 0, 0);
}

/* Whether the next instruction can be come to at all but by a jump that is still to be placed. */
static bool is_reached(const struct assembler *as)
{
	uint8_t last = as->n ? as->insns[as->n - 1].code : 0;
	return as->bound == as->n || (last != (BPF_JMP | BPF_JA) && last != (BPF_JMP | BPF_EXIT));
}

void emit_island(struct assembler *as)
{
	if (as->error || !as->n_fixups || as->n - as->fixups[0].insn < WAIT_MAX)
		return;

	/* The verifier wants no instruction that is never reached: no jump around where nobody comes along. */
	bool around = is_reached(as);
	uint32_t behind = label_new(as, 1);
	size_t old = 0;
	if (around)
		jump(as, behind);
	while (old < as->n_fixups && as->n - as->fixups[old].insn > WAIT_OLD)
		old++;
	while (old && !as->error) {
		uint32_t label = as->fixups[0].label;
		size_t kept = 0, island = as->n, left = 0;
		for (size_t i = 0; i < as->n_fixups; i++) {
			if (i < old && as->fixups[i].label == label) {
				patch(as, as->fixups[i].insn, island);
				continue;
			}
			left += i < old;
			as->fixups[kept++] = as->fixups[i];
		}
		as->n_fixups = kept;
		old = left;
		jump(as, label);
	}
	if (around)
		label_place(as, behind);
}
