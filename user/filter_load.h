/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A filter's loads from the packet: directly where the bytes are in the linear part, else by the helper; what lies behind
 * the end jumps to REJECT. Offsets are those on the wire: a VLAN tag that the kernel keeps beside the frame is put back.
 */
#pragma once

#include "user/filter_assemble.h"

/* Registers of a translated filter; R0 to R5 are free, helpers overwrite them. A and X always hold 32 bits. */
#define REG_CONTEXT BPF_REG_6
#define REG_A       BPF_REG_7
#define REG_X       BPF_REG_8
#define REG_ROUNDS  BPF_REG_9 /* left of a loop */

/* In the fast copy, where no helper is called, these are known all along; R0 to R2 are free. */
#define REG_AT_X     BPF_REG_3 /* data at X, where that was checked */
#define REG_DATA     BPF_REG_4
#define REG_DATA_END BPF_REG_5

/* Its stack, from the frame pointer: the classic program's memory lies at -4 * (index + 1). */
#define STACK_BYTES  (-72) /* what a helper reads, or a key of a map */
#define STACK_TAG    (-76) /* the tag's four bytes as a number */
#define STACK_OFFSET (-88)
#define STACK_VALUE  (-96)

#define CONTEXT(field) ((int16_t)offsetof(struct __sk_buff, field))

/* What is known where an instruction begins; without the tag in the metadata. */
struct packet_checked {
	uint32_t bytes;   /* so many are linear */
	uint32_t bytes_x; /* so many behind X, too, and REG_AT_X points there; 0: it does not */
	uint32_t x_max;   /* X is not greater */
};

struct packet_loader {
	bool tagged; /* the tag is in the metadata */
	uint32_t reject;
	/* The fast copy; NULL in the careful ones, where every load is checked, and falls back to the helper. */
	const struct packet_checked *checked;
	uint32_t careful; /* the label of the same instruction there: for what is not linear */
	bool *fails_over; /* to be set where that is used */
};

/* Direct access is for headers; offsets beyond this are left to the helper. */
#define DIRECT_MAX 4096

/*
 * A check is for some bytes more than are asked for: a packet that has those has these, and the next check is saved.
 * From the start of the frame, Ethernet's and IPv4's header; behind what is at X, the other port.
 */
#define CHECK_MIN    34
#define CHECK_MORE_X 2

/* What is known to be linear behind a load of the fast copy. KNOWN: before it. */
static inline uint32_t checked_behind(uint32_t known, uint32_t offset, uint32_t size)
{
	uint32_t end = offset + size;
	return offset > DIRECT_MAX || end <= known ? known : end < CHECK_MIN ? CHECK_MIN : end;
}

static inline uint32_t checked_behind_x(uint32_t known, uint32_t offset, uint32_t size)
{
	uint32_t end = offset + size;
	return offset > DIRECT_MAX || end <= known ? known : end + CHECK_MORE_X;
}

/* The greatest offset of a packet that can be asked for. */
#define OFFSET_MAX 0x7ffffff0

/* REG_DATA and REG_DATA_END, for the fast copy. */
void load_data(struct assembler *as);
/* STACK_TAG, for the loads with TAGGED. */
void load_tag(struct assembler *as);

/* Loads SIZE (1, 2 or 4) bytes at OFFSET, at most OFFSET_MAX, into DST: host byte order, 32 bits. */
void load_at(struct assembler *as, const struct packet_loader *loader, uint32_t offset, uint32_t size, uint8_t dst);

/* The same at the sum of REG_X and OFFSET. */
void load_at_x(struct assembler *as, const struct packet_loader *loader, uint32_t offset, uint32_t size, uint8_t dst);
