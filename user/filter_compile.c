// SPDX-License-Identifier: Apache-2.0
/* The one file that knows libpcap: its struct bpf_insn and struct bpf_program are not the kernel's. */
#include <ctype.h>
#include <errno.h>
#include <pcap/pcap.h>
#include <string.h>
#include "user/cleanup.h"
#include "user/filter.h"
#include "user/filter_position.h"

#define SNAPSHOT_LENGTH 262144 /* what tcpdump takes */

/* SKF_AD_OFF of linux/filter.h, and further below it: offsets of which the kernel's socket filters alone know. */
#define KERNEL_OFFSETS ((uint32_t)-0x200000)

DEFINE_CLEANUP(pcap_t *, pcap_close)

bool filter_is_empty(const char *expression)
{
	while (isspace((unsigned char)*expression))
		expression++;
	return !*expression;
}

static bool needs_live_handle(const struct bpf_program *program)
{
	for (unsigned i = 0; i < program->bf_len; i++) {
		const struct bpf_insn *insn = &program->bf_insns[i];
		if (BPF_CLASS(insn->code) == BPF_LD && BPF_MODE(insn->code) == BPF_ABS && insn->k >= KERNEL_OFFSETS)
			return true;
	}
	return false;
}

static int copy_program(const struct bpf_program *program, struct classic_program *ret_program)
{
	struct classic_insn *insns = calloc(program->bf_len, sizeof(*insns));
	if (!insns)
		return -ENOMEM;
	for (unsigned i = 0; i < program->bf_len; i++) {
		const struct bpf_insn *insn = &program->bf_insns[i];
		insns[i] = (struct classic_insn) { insn->code, insn->jt, insn->jf, insn->k };
	}
	*ret_program = (struct classic_program) { insns, program->bf_len };
	return 0;
}

int filter_try(const char *expression, enum link_type link_type, struct classic_program *ret_program, struct buf *error)
{
	_cleanup_(pcap_closep) pcap_t *handle =
		pcap_open_dead(link_type == LINK_ETHERNET ? DLT_EN10MB : DLT_RAW, SNAPSHOT_LENGTH);
	struct bpf_program program;
	if (!handle)
		return -ENOMEM;
	if (pcap_compile(handle, &program, expression, 1, PCAP_NETMASK_UNKNOWN) < 0) {
		const char *reason = pcap_geterr(handle);
		const char *preamble = "can't parse filter expression: ";
		if (strncmp(reason, preamble, strlen(preamble)) == 0)
			reason += strlen(preamble);
		buf_appendf(error, "%s", reason);
		return -EINVAL;
	}
	int r = 0;
	if (needs_live_handle(&program)) {
		buf_appendf(error, FILTER_NEEDS_HANDLE);
		r = -EINVAL;
	} else if (ret_program) {
		r = copy_program(&program, ret_program);
	}
	pcap_freecode(&program);
	return r;
}

int filter_compile(const char *expression, enum link_type link_type, struct classic_program *ret_program,
                   struct buf *error)
{
	_cleanup_(buf_free) struct buf reason = BUF_INIT(4096);
	int r = filter_try(expression, link_type, ret_program, &reason);
	if (r == -EINVAL)
		filter_explain(expression, link_type, buf_text(&reason), error);
	return r;
}

void classic_free(struct classic_program *program)
{
	free(program->insns);
	*program = (struct classic_program) { 0 };
}
