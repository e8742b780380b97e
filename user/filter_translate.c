// SPDX-License-Identifier: Apache-2.0
/* Classic BPF to eBPF, instruction by instruction. */
#include <linux/bpf_common.h>
#include <linux/filter.h>
#include <stdlib.h>
#include <string.h>
#include "user/cleanup.h"
#include "user/filter_internal.h"

/*
 * Rounds of a loop: only `protochain` has one, a round a header. The verifier walks through each round of each loop, and
 * has patience for so many in all.
 */
#define LOOP_ROUNDS_MAX 64
#define LOOP_ROUNDS_MIN 4
#define LOOP_ROUNDS_ALL 256

/* Whether what is at label comes next anyway. */
static bool follows(const struct translator *t, size_t i, uint32_t label)
{
	do
		i++;
	while (i < t->n && !t->reached[i]);
	return label == t->first + LABELS * (uint32_t)i + LABEL_INSN;
}

static void go(struct translator *t, size_t i, size_t target)
{
	uint32_t label = filter_label(t, target);
	if (!follows(t, i, label))
		jump(&t->as, label);
}

/* The condition that holds where this one does not; 0: there is none. */
static uint8_t inverse(uint8_t operation)
{
	switch (operation) {
	case BPF_JEQ:
		return BPF_JNE;
	case BPF_JGT:
		return BPF_JLE;
	case BPF_JGE:
		return BPF_JLT;
	default:
		return 0;
	}
}

static void translate_branch(struct translator *t, size_t i, const struct classic_insn *insn)
{
	uint8_t operation = BPF_OP(insn->code), source = BPF_SRC(insn->code);
	uint32_t yes = filter_label(t, i + 1 + insn->jt), no = filter_label(t, i + 1 + insn->jf);
	uint8_t src = source == BPF_X ? REG_X : 0;
	int32_t imm = source == BPF_X ? 0 : (int32_t)insn->k;
	struct filter_run run;

	if (filter_find_run(t, i, &run)) {
		filter_write_run(t, &run, follows(t, i, filter_label(t, run.no)));
		return;
	}
	if (yes != no && follows(t, i, yes) && inverse(operation)) {
		emit_jump(&t->as, BPF_JMP32 | inverse(operation) | source, REG_A, src, imm, no);
		return;
	}
	if (yes != no)
		emit_jump(&t->as, BPF_JMP32 | operation | source, REG_A, src, imm, yes);
	if (!follows(t, i, no))
		jump(&t->as, no);
}

/*
 * Makes the verifier forget what it knows of A and X. It would follow a loop's rounds with all values that the rounds
 * before can have left, and give up; with any value, one round is as good as another.
 */
static void forget_values(struct translator *t)
{
	load(&t->as, BPF_W, BPF_REG_0, REG_CONTEXT, CONTEXT(len));
	for (int twice = 0; twice < 2; twice++) {
		emit(&t->as, BPF_ALU64 | BPF_XOR | BPF_X, REG_A, BPF_REG_0, 0, 0);
		emit(&t->as, BPF_ALU64 | BPF_XOR | BPF_X, REG_X, BPF_REG_0, 0, 0);
	}
}

/* A loop's end: once more, unless it has gone on for too long. */
static void translate_jump_back(struct translator *t, size_t target)
{
	forget_values(t);
	emit(&t->as, BPF_ALU64 | BPF_SUB | BPF_K, REG_ROUNDS, 0, 0, 1);
	emit_jump(&t->as, BPF_JMP | BPF_JEQ | BPF_K, REG_ROUNDS, 0, 0, t->reject);
	jump(&t->as, t->first + LABELS * (uint32_t)target + LABEL_AGAIN);
}

/* Shifts by 32 or more give 0; eBPF's would take the number modulo 32. */
static void translate_shift(struct translator *t, const struct classic_insn *insn)
{
	struct assembler *as = &t->as;
	bool by_x = BPF_SRC(insn->code) == BPF_X;
	if (!by_x && insn->k >= 32) {
		move_imm(as, REG_A, 0);
		return;
	}
	uint32_t small = label_new(as, 1), done = label_new(as, 1);
	if (by_x) {
		emit_jump(as, BPF_JMP32 | BPF_JLT | BPF_K, REG_X, 0, 32, small);
		move_imm(as, REG_A, 0);
		jump(as, done);
	}
	label_place(as, small);
	emit(as, (uint8_t)insn->code, REG_A, by_x ? REG_X : 0, 0, by_x ? 0 : (int32_t)insn->k);
	label_place(as, done);
}

static void translate_arithmetic(struct translator *t, const struct classic_insn *insn)
{
	uint8_t operation = BPF_OP(insn->code);
	bool by_x = BPF_SRC(insn->code) == BPF_X;

	if (operation == BPF_NEG) {
		emit(&t->as, BPF_ALU | BPF_NEG, REG_A, 0, 0, 0);
		return;
	}
	if (operation == BPF_LSH || operation == BPF_RSH) {
		translate_shift(t, insn);
		return;
	}
	if (by_x && (operation == BPF_DIV || operation == BPF_MOD))
		emit_jump(&t->as, BPF_JMP32 | BPF_JEQ | BPF_K, REG_X, 0, 0, t->reject);
	/* The codes are the same in both languages, of 32 bits here as there. */
	emit(&t->as, (uint8_t)insn->code, REG_A, by_x ? REG_X : 0, 0, by_x ? 0 : (int32_t)insn->k);
}

static int16_t memory(uint32_t index)
{
	return (int16_t)(-4 * ((int)index + 1));
}

/* The length on the wire, as far as that is known: with the tag that is not in the frame. */
static void load_length(struct translator *t, uint8_t dst)
{
	load(&t->as, BPF_W, dst, REG_CONTEXT, t->replay ? CONTEXT(cb[CB_LENGTH]) : CONTEXT(len));
	if (t->loader.tagged)
		emit(&t->as, BPF_ALU | BPF_ADD | BPF_K, dst, 0, 0, 4);
}

static void translate_load(struct translator *t, const struct classic_insn *insn)
{
	uint8_t dst = BPF_CLASS(insn->code) == BPF_LD ? REG_A : REG_X;
	uint32_t size = classic_size(insn);

	switch (BPF_MODE(insn->code)) {
	case BPF_IMM:
		emit(&t->as, BPF_ALU | BPF_MOV | BPF_K, dst, 0, 0, (int32_t)insn->k);
		break;
	case BPF_MEM:
		load(&t->as, BPF_W, dst, BPF_REG_10, memory(insn->k));
		break;
	case BPF_LEN:
		load_length(t, dst);
		break;
	case BPF_ABS:
		load_at(&t->as, &t->loader, insn->k, size, dst);
		break;
	case BPF_IND:
		load_at_x(&t->as, &t->loader, insn->k, size, dst);
		break;
	case BPF_MSH:
		/* Four times the low half of a byte: an IPv4 header's length. */
		load_at(&t->as, &t->loader, insn->k, 1, dst);
		emit(&t->as, BPF_ALU | BPF_AND | BPF_K, dst, 0, 0, 0xf);
		emit(&t->as, BPF_ALU | BPF_LSH | BPF_K, dst, 0, 0, 2);
		break;
	}
}

static void translate_insn(struct translator *t, size_t i)
{
	const struct classic_insn *insn = &t->insns[i];
	switch (BPF_CLASS(insn->code)) {
	case BPF_LD:
	case BPF_LDX:
		translate_load(t, insn);
		break;
	case BPF_ST:
		store(&t->as, BPF_W, BPF_REG_10, memory(insn->k), REG_A);
		break;
	case BPF_STX:
		store(&t->as, BPF_W, BPF_REG_10, memory(insn->k), REG_X);
		break;
	case BPF_ALU:
		translate_arithmetic(t, insn);
		break;
	case BPF_JMP:
		if (is_jump_always(insn))
			translate_jump_back(t, ja_target(i, insn));
		else
			translate_branch(t, i, insn);
		return;
	case BPF_RET: /* of A: what is always the same has a label */
		emit_jump(&t->as, BPF_JMP32 | BPF_JEQ | BPF_K, REG_A, 0, 0, t->reject);
		jump(&t->as, t->match);
		return;
	case BPF_MISC:
		if (BPF_MISCOP(insn->code) == BPF_TAX)
			emit(&t->as, BPF_ALU | BPF_MOV | BPF_X, REG_X, REG_A, 0, 0);
		else
			emit(&t->as, BPF_ALU | BPF_MOV | BPF_X, REG_A, REG_X, 0, 0);
		break;
	}
	go(t, i, i + 1);
}

static int32_t loop_rounds(const struct translator *t)
{
	int32_t loops = 0;
	for (size_t i = 0; i < t->n; i++)
		loops += t->begins_loop[i];
	int32_t rounds = loops ? LOOP_ROUNDS_ALL / loops : 0;
	return rounds < LOOP_ROUNDS_MIN ? LOOP_ROUNDS_MIN : rounds > LOOP_ROUNDS_MAX ? LOOP_ROUNDS_MAX : rounds;
}

/* Everything that the marked instructions lead to. */
static void translate_reached(struct translator *t)
{
	filter_find_reached(t);
	for (size_t i = 0; i < t->n; i++) {
		if (!t->reached[i])
			continue;
		emit_island(&t->as);
		label_place(&t->as, t->first + LABELS * (uint32_t)i + LABEL_INSN);
		if (t->begins_loop[i]) {
			move_imm(&t->as, REG_ROUNDS, loop_rounds(t));
			forget_values(t);
		}
		label_place(&t->as, t->first + LABELS * (uint32_t)i + LABEL_AGAIN);
		if (t->loader.checked) {
			t->loader.checked = &t->checked[i];
			t->loader.careful = t->careful + LABELS * (uint32_t)i + LABEL_INSN;
			t->loader.fails_over = &t->fails_over[i];
		}
		translate_insn(t, i);
	}
}

/* The whole program once. */
static void translate_copy(struct translator *t)
{
	t->first = label_new(&t->as, LABELS * (uint32_t)t->n);
	if (t->as.error)
		return;
	memset(t->reached, 0, t->n * sizeof(*t->reached));
	filter_reach(t, 0);
	uint32_t entry = filter_label(t, 0);
	if (entry != t->first)
		jump(&t->as, entry);
	translate_reached(t);
}

static bool has_loops(const struct translator *t)
{
	return memchr(t->begins_loop, true, t->n * sizeof(*t->begins_loop));
}

/*
 * For packets whose headers are linear, as most are. Where one turns out not to be, or ends, the same instruction of a
 * careful copy goes on: registers and memory mean the same. Loops stay careful: each round's way over there would be one
 * more for the verifier to walk.
 */
static void translate_fast(struct translator *t)
{
	t->careful = label_new(&t->as, LABELS * (uint32_t)t->n);
	t->loader.checked = t->checked;
	filter_find_checked(t);
	load_data(&t->as);
	translate_copy(t);
	t->loader.checked = NULL;
	if (t->as.error)
		return;
	memcpy(t->reached, t->fails_over, t->n * sizeof(*t->reached));
	t->first = t->careful;
	translate_reached(t);
}

/* A, X and memory are 0 at first. */
static void translate_begin(struct translator *t)
{
	uint32_t zeroed = 0;
	move(&t->as, REG_CONTEXT, BPF_REG_1);
	move_imm(&t->as, REG_A, 0);
	move_imm(&t->as, REG_X, 0);
	for (size_t i = 0; i < t->n; i++) {
		const struct classic_insn *insn = &t->insns[i];
		uint16_t class = BPF_CLASS(insn->code);
		if ((class != BPF_LD && class != BPF_LDX) || BPF_MODE(insn->code) != BPF_MEM || zeroed & 1U << insn->k)
			continue;
		zeroed |= 1U << insn->k;
		emit(&t->as, BPF_ST | BPF_MEM | BPF_W, BPF_REG_10, 0, memory(insn->k), 0);
	}
}

static void translator_clear(struct translator *t)
{
	assembler_clear(&t->as);
	free(t->insns);
	free(t->reached);
	free(t->begins_loop);
	free(t->fails_over);
	free(t->ways);
	free(t->checked);
	free(t->values);
}

static int translator_init(struct translator *t, const struct classic_program *classic)
{
	t->n = classic->n;
	t->insns = calloc(classic->n, sizeof(*t->insns));
	t->reached = calloc(classic->n, sizeof(*t->reached));
	t->begins_loop = calloc(classic->n, sizeof(*t->begins_loop));
	t->fails_over = calloc(classic->n, sizeof(*t->fails_over));
	t->ways = calloc(classic->n, sizeof(*t->ways));
	t->checked = calloc(classic->n, sizeof(*t->checked));
	t->values = calloc(classic->n, sizeof(*t->values));
	if (!t->insns || !t->reached || !t->begins_loop || !t->fails_over || !t->ways || !t->checked || !t->values)
		return -ENOMEM;
	memcpy(t->insns, classic->insns, classic->n * sizeof(*t->insns));
	t->match = label_new(&t->as, 1);
	t->reject = t->loader.reject = label_new(&t->as, 1);
	int r = filter_simplify(t);
	if (r < 0)
		return r;
	filter_count_ways(t);
	return filter_find_loops(t);
}

int filter_translate(const struct classic_program *classic, enum link_type link_type, const struct filter_maps *maps,
                     struct filter_program *ret_program)
{
	_cleanup_(translator_clear) struct translator t = { 0 };
	int r = translator_init(&t, classic);
	if (r < 0)
		return r;
	t.replay = maps->replay;

	translate_begin(&t);
	if (link_type == LINK_ETHERNET) {
		uint32_t plain = label_new(&t.as, 1);
		load(&t.as, BPF_W, BPF_REG_0, REG_CONTEXT, CONTEXT(vlan_present));
		emit_jump(&t.as, BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, 0, plain);
		load_tag(&t.as);
		t.loader.tagged = true;
		translate_copy(&t);
		t.loader.tagged = false;
		emit_island(&t.as);
		label_place(&t.as, plain);
	}
	if (has_loops(&t))
		translate_copy(&t);
	else
		translate_fast(&t);
	filter_end(&t, maps);
	if (t.as.error)
		return t.as.error;
	*ret_program = (struct filter_program) {
		.insns = TAKE_PTR(t.as.insns),
		.n = t.as.n,
		.n_classic = classic->n,
	};
	return 0;
}

void filter_program_free(struct filter_program *program)
{
	free(program->insns);
	*program = (struct filter_program) { 0 };
}
