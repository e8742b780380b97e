// SPDX-License-Identifier: Apache-2.0
#include "user/filter_load.h"

/* The verifier lets a packet pointer move by 65,535 bytes. */
#define DIRECT_X_MAX 0xfff0
#define FAST_X_MAX   (DIRECT_X_MAX - 2 * DIRECT_MAX)

/* Where a tag is on the wire: behind the two addresses of the Ethernet header. */
#define TAG_OFFSET 12
#define TAG_END    16
#define TAG_SIZE   (TAG_END - TAG_OFFSET)

static uint8_t width(uint32_t size)
{
	return size == 1 ? BPF_B : size == 2 ? BPF_H : BPF_W;
}

static void to_host(struct assembler *as, uint32_t size, uint8_t reg)
{
	if (size > 1)
		emit(as, BPF_ALU | BPF_END | BPF_TO_BE, reg, 0, 0, (int32_t)size * 8);
}

void load_tag(struct assembler *as)
{
	load(as, BPF_W, BPF_REG_0, REG_CONTEXT, CONTEXT(vlan_proto));
	to_host(as, 2, BPF_REG_0);
	emit(as, BPF_ALU | BPF_LSH | BPF_K, BPF_REG_0, 0, 0, 16);
	load(as, BPF_W, BPF_REG_1, REG_CONTEXT, CONTEXT(vlan_tci));
	emit(as, BPF_ALU | BPF_OR | BPF_X, BPF_REG_0, BPF_REG_1, 0, 0);
	store(as, BPF_W, BPF_REG_10, STACK_TAG, BPF_REG_0);
}

/* SIZE bytes of the frame as the kernel has it, at the offset in R2, into DST, as they are. Not there: REJECT. */
static void load_by_helper(struct assembler *as, const struct packet_loader *loader, uint32_t size, uint8_t dst)
{
	move(as, BPF_REG_1, REG_CONTEXT);
	move(as, BPF_REG_3, BPF_REG_10);
	add_imm(as, BPF_REG_3, STACK_BYTES);
	move_imm(as, BPF_REG_4, (int32_t)size);
	call(as, BPF_FUNC_skb_load_bytes);
	emit_jump(as, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_0, 0, 0, loader->reject);
	load(as, width(size), dst, BPF_REG_10, STACK_BYTES);
}

/* From the frame as the kernel has it, at a constant offset. */
static void load_frame(struct assembler *as, const struct packet_loader *loader, uint32_t offset, uint32_t size,
                       uint8_t dst)
{
	uint32_t slow = label_new(as, 1), done = label_new(as, 1);
	bool direct = offset + size <= DIRECT_MAX;

	if (direct) {
		load(as, BPF_W, BPF_REG_1, REG_CONTEXT, CONTEXT(data));
		load(as, BPF_W, BPF_REG_2, REG_CONTEXT, CONTEXT(data_end));
		move(as, BPF_REG_3, BPF_REG_1);
		add_imm(as, BPF_REG_3, (int32_t)(offset + size));
		emit_jump(as, BPF_JMP | BPF_JGT | BPF_X, BPF_REG_3, BPF_REG_2, 0, slow);
		load(as, width(size), dst, BPF_REG_1, (int16_t)offset);
		jump(as, done);
		label_place(as, slow);
	}
	move_imm(as, BPF_REG_2, (int32_t)offset);
	load_by_helper(as, loader, size, dst);
	label_place(as, done);
	to_host(as, size, dst);
}

/* From the frame as the kernel has it, at the offset in R2, at most OFFSET_MAX. */
static void load_frame_at_r2(struct assembler *as, const struct packet_loader *loader, uint32_t size, uint8_t dst)
{
	uint32_t slow = label_new(as, 1), done = label_new(as, 1);

	emit_jump(as, BPF_JMP | BPF_JGT | BPF_K, BPF_REG_2, 0, DIRECT_X_MAX, slow);
	load(as, BPF_W, BPF_REG_3, REG_CONTEXT, CONTEXT(data));
	emit(as, BPF_ALU64 | BPF_ADD | BPF_X, BPF_REG_3, BPF_REG_2, 0, 0);
	load(as, BPF_W, BPF_REG_4, REG_CONTEXT, CONTEXT(data_end));
	move(as, BPF_REG_5, BPF_REG_3);
	add_imm(as, BPF_REG_5, (int32_t)size);
	emit_jump(as, BPF_JMP | BPF_JGT | BPF_X, BPF_REG_5, BPF_REG_4, 0, slow);
	load(as, width(size), dst, BPF_REG_3, 0);
	jump(as, done);
	label_place(as, slow);
	load_by_helper(as, loader, size, dst);
	label_place(as, done);
	to_host(as, size, dst);
}

/* One byte on the wire, at the offset in R2, into R0. */
static void load_wire_byte(struct assembler *as, const struct packet_loader *loader)
{
	uint32_t behind = label_new(as, 1), frame = label_new(as, 1), done = label_new(as, 1);

	emit_jump(as, BPF_JMP | BPF_JLT | BPF_K, BPF_REG_2, 0, TAG_OFFSET, frame);
	emit_jump(as, BPF_JMP | BPF_JGE | BPF_K, BPF_REG_2, 0, TAG_END, behind);
	load(as, BPF_W, BPF_REG_0, BPF_REG_10, STACK_TAG);
	move_imm(as, BPF_REG_1, TAG_END - 1);
	emit(as, BPF_ALU64 | BPF_SUB | BPF_X, BPF_REG_1, BPF_REG_2, 0, 0);
	emit(as, BPF_ALU64 | BPF_LSH | BPF_K, BPF_REG_1, 0, 0, 3);
	emit(as, BPF_ALU64 | BPF_RSH | BPF_X, BPF_REG_0, BPF_REG_1, 0, 0);
	emit(as, BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_0, 0, 0, 0xff);
	jump(as, done);
	label_place(as, behind);
	add_imm(as, BPF_REG_2, -TAG_SIZE);
	label_place(as, frame);
	load_by_helper(as, loader, 1, BPF_REG_0);
	label_place(as, done);
}

/* Where the tag begins or ends within what is loaded, at the offset in R2: byte by byte, since it is rare. */
static void load_straddling(struct assembler *as, const struct packet_loader *loader, uint32_t size, uint8_t dst)
{
	store(as, BPF_DW, BPF_REG_10, STACK_OFFSET, BPF_REG_2);
	emit(as, BPF_ST | BPF_MEM | BPF_DW, BPF_REG_10, 0, STACK_VALUE, 0);
	for (uint32_t i = 0; i < size; i++) {
		load(as, BPF_DW, BPF_REG_2, BPF_REG_10, STACK_OFFSET);
		add_imm(as, BPF_REG_2, (int32_t)i);
		load_wire_byte(as, loader);
		load(as, BPF_DW, BPF_REG_1, BPF_REG_10, STACK_VALUE);
		emit(as, BPF_ALU64 | BPF_LSH | BPF_K, BPF_REG_1, 0, 0, 8);
		emit(as, BPF_ALU64 | BPF_OR | BPF_X, BPF_REG_1, BPF_REG_0, 0, 0);
		store(as, BPF_DW, BPF_REG_10, STACK_VALUE, BPF_REG_1);
	}
	load(as, BPF_DW, dst, BPF_REG_10, STACK_VALUE);
}

static void fail_over(struct assembler *as, const struct packet_loader *loader, uint8_t code, uint8_t reg,
                      uint8_t other, int32_t imm)
{
	emit_jump(as, code, reg, other, imm, loader->careful);
	*loader->fails_over = true;
}

/* To the careful copy, if less than NEED bytes from the pointer START are linear. */
static void check(struct assembler *as, const struct packet_loader *loader, uint8_t start, uint32_t need)
{
	move(as, BPF_REG_1, start);
	add_imm(as, BPF_REG_1, (int32_t)need);
	fail_over(as, loader, BPF_JMP | BPF_JGT | BPF_X, BPF_REG_1, REG_DATA_END, 0);
}

/* Too far away for direct access. Always so, but what follows is to look as if it were reached, for the verifier. */
static bool is_far(struct assembler *as, const struct packet_loader *loader, uint32_t offset)
{
	if (offset > DIRECT_MAX)
		fail_over(as, loader, BPF_JMP | BPF_JGE | BPF_K, REG_A, 0, 0);
	return offset > DIRECT_MAX;
}

static void load_fast(struct assembler *as, const struct packet_loader *loader, uint32_t offset, uint32_t size,
                      uint8_t dst)
{
	uint32_t known = loader->checked->bytes, behind = checked_behind(known, offset, size);
	if (is_far(as, loader, offset))
		return;
	if (behind > known)
		check(as, loader, REG_DATA, behind);
	load(as, width(size), dst, REG_DATA, (int16_t)offset);
	to_host(as, size, dst);
}

static void load_fast_x(struct assembler *as, const struct packet_loader *loader, uint32_t offset, uint32_t size,
                        uint8_t dst)
{
	uint32_t known = loader->checked->bytes_x, behind = checked_behind_x(known, offset, size);
	if (is_far(as, loader, offset))
		return;
	if (behind > known) {
		if (loader->checked->x_max > FAST_X_MAX)
			fail_over(as, loader, BPF_JMP | BPF_JGT | BPF_K, REG_X, 0, FAST_X_MAX);
		move(as, REG_AT_X, REG_DATA);
		emit(as, BPF_ALU64 | BPF_ADD | BPF_X, REG_AT_X, REG_X, 0, 0);
		check(as, loader, REG_AT_X, behind);
	}
	load(as, width(size), dst, REG_AT_X, (int16_t)offset);
	to_host(as, size, dst);
}

void load_data(struct assembler *as)
{
	load(as, BPF_W, REG_DATA, REG_CONTEXT, CONTEXT(data));
	load(as, BPF_W, REG_DATA_END, REG_CONTEXT, CONTEXT(data_end));
}

void load_at(struct assembler *as, const struct packet_loader *loader, uint32_t offset, uint32_t size, uint8_t dst)
{
	if (loader->checked) {
		load_fast(as, loader, offset, size, dst);
	} else if (!loader->tagged || offset + size <= TAG_OFFSET) {
		load_frame(as, loader, offset, size, dst);
	} else if (offset >= TAG_END) {
		load_frame(as, loader, offset - TAG_SIZE, size, dst);
	} else if (offset >= TAG_OFFSET && offset + size <= TAG_END) {
		load(as, BPF_W, dst, BPF_REG_10, STACK_TAG);
		emit(as, BPF_ALU | BPF_RSH | BPF_K, dst, 0, 0, (int32_t)(TAG_END - offset - size) * 8);
		if (size < TAG_SIZE)
			emit(as, BPF_ALU | BPF_AND | BPF_K, dst, 0, 0, size == 1 ? 0xff : 0xffff);
	} else {
		move_imm(as, BPF_REG_2, (int32_t)offset);
		load_straddling(as, loader, size, dst);
	}
}

void load_at_x(struct assembler *as, const struct packet_loader *loader, uint32_t offset, uint32_t size, uint8_t dst)
{
	if (loader->checked) {
		load_fast_x(as, loader, offset, size, dst);
		return;
	}
	uint32_t behind = label_new(as, 1), plain = label_new(as, 1), done = label_new(as, 1);
	move(as, BPF_REG_2, REG_X);
	add_imm(as, BPF_REG_2, (int32_t)offset);
	emit_jump(as, BPF_JMP | BPF_JGT | BPF_K, BPF_REG_2, 0, OFFSET_MAX, loader->reject);
	if (loader->tagged) {
		emit_jump(as, BPF_JMP | BPF_JGE | BPF_K, BPF_REG_2, 0, TAG_END, behind);
		emit_jump(as, BPF_JMP | BPF_JLE | BPF_K, BPF_REG_2, 0, TAG_OFFSET - (int32_t)size, plain);
		load_straddling(as, loader, size, dst);
		jump(as, done);
		label_place(as, behind);
		add_imm(as, BPF_REG_2, -TAG_SIZE);
		label_place(as, plain);
	}
	load_frame_at_r2(as, loader, size, dst);
	label_place(as, done);
}
