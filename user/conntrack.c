// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "bpf/flow.h"
#include "conntrack.skel.h"
#include "user/conntrack.h"

static int share(struct bpf_map *map, int fd)
{
	int r = bpf_map__set_pin_path(map, NULL);
	return r < 0 || fd < 0 ? r : bpf_map__reuse_fd(map, fd);
}

static int load(struct conntrack_bpf *skeleton, int details, int request, int *ret_program)
{
	int r = share(skeleton->maps.details, details);
	if (r == 0)
		r = share(skeleton->maps.details_request, request);
	if (r == 0)
		r = conntrack_bpf__load(skeleton);
	if (r < 0)
		return r;
	int program = fcntl(bpf_program__fd(skeleton->progs.sonde_conntrack), F_DUPFD_CLOEXEC, 0);
	if (program < 0)
		return -errno;
	*ret_program = program;
	return 0;
}

int conntrack_load(int details, int request, int *ret_program)
{
	libbpf_print_fn_t print = libbpf_set_print(NULL);
	struct conntrack_bpf *skeleton = conntrack_bpf__open();
	int r = skeleton ? load(skeleton, details, request, ret_program) : -errno;
	conntrack_bpf__destroy(skeleton);
	libbpf_set_print(print);
	return r;
}
