// SPDX-License-Identifier: GPL-2.0-only
/* The sensor's kernel side, one translation unit: each included file is one stage, and holds that stage's maps. */
#include "vmlinux.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#include "bpf/compat.bpf.h"
#include "bpf/config.bpf.h"
#include "bpf/account.bpf.h"
#include "bpf/packet.bpf.h"
#include "bpf/parse_transport.bpf.h"
#include "bpf/parse.bpf.h"
#include "bpf/self.bpf.h"
#include "bpf/dedupe.bpf.h"
#include "bpf/policy.bpf.h"
#include "bpf/flow.bpf.h"
#include "bpf/slot.bpf.h"
#include "bpf/sample.bpf.h"
#include "bpf/rate.bpf.h"
#include "bpf/emit.bpf.h"
#include "bpf/details.bpf.h"
#include "bpf/hook_tc.bpf.h"
#include "bpf/socket.bpf.h"
#include "bpf/hook_sock.bpf.h"
#include "bpf/loader.bpf.h"

char LICENSE[] SEC("license") = "GPL";
