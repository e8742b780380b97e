/* SPDX-License-Identifier: Apache-2.0 */
/* The name of the executable that a process runs, from /proc, remembered. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include "bpf/socket.h"
#include "user/cleanup.h"

struct processes;

/* PROC_ROOT: /proc of the host. MAX: how many names are remembered, the least recently used go first. NULL: out of memory. */
struct processes *processes_new(const char *proc_root, size_t max);
void processes_free(struct processes *processes);
DEFINE_CLEANUP(struct processes *, processes_free)

/*
 * The executable's base name of the process that OWNER tells of, as it was then: from /proc/<pid>/exe, where that may be read
 * and surely is the same process still (it started before OWNER was written; its command name, or a thread's, is the
 * one that the hook saw, or it has run no other program since), else the name that the hook saw. "" where nothing is known. Valid
 * until the next call.
 */
const char *process_name(struct processes *processes, const struct socket_owner *owner);
