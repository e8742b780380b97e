/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes eBPF with labels. A jump of eBPF reaches 32,767 instructions: where one has to go further, a jump on the way
 * takes it on (an island).
 */
#pragma once

#include <errno.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct assembler {
	struct bpf_insn *insns;
	size_t n, capacity;
	size_t *labels; /* where each is; SIZE_MAX: not yet */
	uint32_t n_labels, max_labels;
	struct fixup {
		size_t insn;
		uint32_t label;
	} * fixups; /* jumps to labels that are not placed yet, in the order of insn */
	size_t n_fixups, max_fixups;
	size_t bound; /* where the last label was placed */
	int error;    /* 0, -ENOMEM, -E2BIG: the first one, and it stays */
};

void assembler_clear(struct assembler *as);

/* A new label, or the first of N in a row. */
uint32_t label_new(struct assembler *as, uint32_t n);
/* It is here: the next instruction. */
void label_place(struct assembler *as, uint32_t label);

/* Appends an instruction. */
void emit(struct assembler *as, uint8_t code, uint8_t dst, uint8_t src, int16_t off, int32_t imm);
/* Appends a jump, conditional or not. */
void emit_jump(struct assembler *as, uint8_t code, uint8_t dst, uint8_t src, int32_t imm, uint32_t label);
/* Loads a map's address: two instructions. */
void emit_map(struct assembler *as, uint8_t dst, int map);

/* To be called at least every ISLAND_UNIT instructions, where no label of its own lies ahead within the unit. */
#define ISLAND_UNIT 1024
void emit_island(struct assembler *as);

/* The instructions that are used over and over. */
static inline void move(struct assembler *as, uint8_t dst, uint8_t src)
{
	emit(as, BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0);
}

static inline void move_imm(struct assembler *as, uint8_t dst, int32_t imm)
{
	emit(as, BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, imm);
}

static inline void add_imm(struct assembler *as, uint8_t dst, int32_t imm)
{
	emit(as, BPF_ALU64 | BPF_ADD | BPF_K, dst, 0, 0, imm);
}

/* SIZE: BPF_B, BPF_H, BPF_W, BPF_DW. */
static inline void load(struct assembler *as, uint8_t size, uint8_t dst, uint8_t src, int16_t off)
{
	emit(as, (uint8_t)(BPF_LDX | BPF_MEM | size), dst, src, off, 0);
}

static inline void store(struct assembler *as, uint8_t size, uint8_t dst, int16_t off, uint8_t src)
{
	emit(as, (uint8_t)(BPF_STX | BPF_MEM | size), dst, src, off, 0);
}

static inline void call(struct assembler *as, int32_t helper)
{
	emit(as, BPF_JMP | BPF_CALL, 0, 0, 0, helper);
}

static inline void jump(struct assembler *as, uint32_t label)
{
	emit_jump(as, BPF_JMP | BPF_JA, 0, 0, 0, label);
}
