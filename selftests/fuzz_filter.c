// SPDX-License-Identifier: Apache-2.0
/* The translator: any classic program that libpcap's bpf_validate accepts. Input: instructions, eight bytes each. */
#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>
#include "user/filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct filter_maps maps = { 3, 4 };
	struct filter_program program = { 0 };
	size_t n = size / sizeof(struct classic_insn);
	if (!n || n > 4096)
		return 0;
	struct classic_insn *insns = malloc(n * sizeof(*insns));
	if (!insns)
		return 0;
	memcpy(insns, data, n * sizeof(*insns));
	_Static_assert(sizeof(struct classic_insn) == sizeof(struct bpf_insn), "libpcap's instruction");
	const struct classic_program classic = { insns, n };
	if (bpf_validate((const struct bpf_insn *)insns, (int)n) &&
	    filter_translate(&classic, data[0] & 1 ? LINK_ETHERNET : LINK_RAW_IP, &maps, &program) == 0)
		filter_program_free(&program);
	free(insns);
	return 0;
}
