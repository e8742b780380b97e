// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <string.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "user/attach.h"
#include "user/cleanup.h"
#include "user/conntrack.h"
#include "user/loader.h"
#include "user/probe.h"
#include "user/sockets_survey.h"

/* Instructions of the smallest programs; the UAPI header leaves the encoding to everybody. */
#define INSN(c, d, s, o, i) ((struct bpf_insn) { .code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) })
#define INSN_RETURN_NEXT    INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, -1)
#define INSN_CALL(helper)   INSN(BPF_JMP | BPF_CALL, 0, 0, 0, (helper))
#define INSN_EXIT           INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

static int load_classifier(const struct bpf_insn *insns, size_t n)
{
	return bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "sonde_probe", "GPL", insns, n, NULL);
}

/* A link on the loopback device, for the moment of the probe; the program lets every packet pass. */
static bool probe_tcx(void)
{
	const struct bpf_insn insns[] = { INSN_RETURN_NEXT, INSN_EXIT };
	_cleanup_(closep) int program = load_classifier(insns, ARRAY_SIZE(insns));
	if (program < 0)
		return false;
	_cleanup_(closep) int link = bpf_link_create(program, (int)if_nametoindex("lo"), ATTACH_TCX_INGRESS, NULL);
	return link >= 0;
}

static bool probe_coarse_clock(void)
{
	const struct bpf_insn insns[] = { INSN_CALL(BPF_FUNC_ktime_get_coarse_ns), INSN_RETURN_NEXT, INSN_EXIT };
	_cleanup_(closep) int program = load_classifier(insns, ARRAY_SIZE(insns));
	return program >= 0;
}

static bool probe_conntrack(void)
{
	_cleanup_(closep) int program = -1;
	return conntrack_load(-1, -1, &program) == 0;
}

/* The hooks themselves; and a kernel that knows links on cgroups looks for the cgroup, before it says that there is none. */
static bool probe_sockets(void)
{
	const struct bpf_insn insns[] = { INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 1), INSN_EXIT };
	LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = BPF_CGROUP_INET_SOCK_CREATE);
	_cleanup_(closep) int program =
		bpf_prog_load(BPF_PROG_TYPE_CGROUP_SOCK, "sonde_probe", "GPL", insns, ARRAY_SIZE(insns), &options);
	if (program < 0)
		return false;
	_cleanup_(closep) int link = bpf_link_create(program, -1, BPF_CGROUP_INET_SOCK_CREATE, NULL);
	return link < 0 && errno == EBADF && loader_try_sockets() == 0;
}

static bool probe_socket_iter(void)
{
	_cleanup_(survey_freep) struct survey *survey = NULL;
	return survey_open(NULL, &survey) == 0;
}

static const struct {
	struct feature_info info;
	bool (*probe)(void);
} features[FEATURE_MAX] = {
	[FEATURE_TCX] = { { "tcx", "6.6", "clsact filters" }, probe_tcx },
	[FEATURE_COARSE_CLOCK] = { { "coarse_clock", "5.11", "the exact clock, 25 ns more a packet" },
	                           probe_coarse_clock },
	[FEATURE_CONNTRACK] = { { "conntrack", "5.18 and nf_conntrack", "records without translated addresses" },
	                        probe_conntrack },
	[FEATURE_SOCKETS] = { { "sockets", "5.9, with CONFIG_CGROUP_BPF",
	                        "no processes and no socket records, pods by the cgroups of packets alone" },
	                      probe_sockets },
	[FEATURE_SOCKET_ITER] = { { "socket_iter", "5.12",
	                            "nothing is known of sockets older than the sensor, connections' health at close "
	                            "only" },
	                          probe_socket_iter },
};

/* Probed from the main thread only. */
static enum { UNKNOWN, YES, NO } known[FEATURE_MAX];

const struct feature_info *feature_info(enum feature feature)
{
	return &features[feature].info;
}

enum feature feature_find(const char *name)
{
	int feature = 0;
	while (feature < FEATURE_MAX && strcmp(features[feature].info.name, name) != 0)
		feature++;
	return feature;
}

bool feature_available(enum feature feature)
{
	if (known[feature] == UNKNOWN)
		known[feature] = features[feature].probe() ? YES : NO;
	return known[feature] == YES;
}

void feature_disable(enum feature feature)
{
	known[feature] = NO;
}

int probe_required(char *reason, size_t size)
{
	const struct bpf_insn insns[] = { INSN_RETURN_NEXT, INSN_EXIT };
	_cleanup_(closep) int program = load_classifier(insns, ARRAY_SIZE(insns));
	if (program < 0) {
		int r = -errno;
		snprintf(reason, size, "cannot load a BPF program (%s): %s", strerrordesc_np(-r),
		         r == -EPERM ? "the capabilities BPF and NET_ADMIN (before Linux 5.8: SYS_ADMIN) are needed"
		                     : "the kernel needs CONFIG_BPF_SYSCALL and CONFIG_NET_CLS_ACT");
		return r;
	}
	_cleanup_(closep) int ring = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "sonde_probe", 0, 0, 4096, NULL);
	if (ring < 0) {
		int r = -errno;
		snprintf(reason, size, "cannot create a BPF ring buffer (%s): Linux 5.8 or newer is needed",
		         strerrordesc_np(-r));
		return r;
	}
	if (access("/sys/kernel/btf/vmlinux", R_OK) < 0) {
		snprintf(reason, size, "no /sys/kernel/btf/vmlinux: the kernel needs CONFIG_DEBUG_INFO_BTF");
		return -ENOTSUP;
	}
	return 0;
}
