// SPDX-License-Identifier: Apache-2.0
#include <bpf/bpf.h>
#include "user/program.h"

uint64_t program_run_ns(int program)
{
	struct bpf_prog_info info = { 0 };
	uint32_t size = sizeof(info);
	return program >= 0 && bpf_obj_get_info_by_fd(program, &info, &size) == 0 ? info.run_time_ns : 0;
}
