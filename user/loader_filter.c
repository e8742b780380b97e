// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include "user/loader_filter.h"

_Static_assert(LINK_TYPE_MAX == 2, "LOADED_FILTER_NONE");

/* At most 15 characters: BPF_OBJ_NAME_LEN. */
static const char *const names[LINK_TYPE_MAX] = {
	[LINK_ETHERNET] = "sonde_filt_eth", [LINK_RAW_IP] = "sonde_filt_raw"
};

/* The verifier tells every step. Kernels before 6.4 keep the beginning of what has no room, and the reason is at the end. */
#define VERIFIER_LOG_BYTES (64 << 20)

/* What the kernel refused is loaded once more, for its reason: a log costs time and memory that sound programs save. */
static void explain(const char *name, const struct filter_program *program, struct buf *log)
{
	_cleanup_(freep) char *text = calloc(1, VERIFIER_LOG_BYTES);
	LIBBPF_OPTS(bpf_prog_load_opts, options, .log_level = 1, .log_buf = text, .log_size = VERIFIER_LOG_BYTES);
	if (!text)
		return;
	_cleanup_(closep) int fd =
		bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, name, "GPL", program->insns, program->n, &options);
	size_t size = strlen(text), room = log->max - log->size - 1;
	const char *end = size > room ? text + (size - room) : text;
	buf_appendf(log, "%s", end);
}

static int load_one(const char *expression, enum link_type link_type, const struct filter_maps *maps, struct buf *log,
                    struct loaded_filter *filter)
{
	_cleanup_(filter_program_free) struct filter_program program = { 0 };
	int r = filter_build(expression, link_type, maps, &program, &filter->refused);
	if (r < 0) {
		buf_appendf(log, "%s", buf_text(&filter->refused));
		return r;
	}
	int fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, names[link_type], "GPL", program.insns, program.n, NULL);
	if (fd < 0) {
		r = -errno;
		explain(names[link_type], &program, log);
		return r;
	}
	filter->programs[link_type].fd = fd;
	filter->programs[link_type].instructions = (uint32_t)program.n;
	return 0;
}

int loaded_filter_load(const char *expression, const struct filter_maps *maps, struct buf *log,
                       struct loaded_filter *ret_filter)
{
	_cleanup_(loaded_filter_close) struct loaded_filter filter = LOADED_FILTER_NONE;
	bool empty = !expression || filter_is_empty(expression);

	for (int link_type = 0; link_type < LINK_TYPE_MAX && !empty; link_type++) {
		int r = load_one(expression, (enum link_type)link_type, maps, log, &filter);
		if (r < 0)
			return r;
	}
	*ret_filter = filter;
	filter = LOADED_FILTER_NONE;
	return 0;
}

void loaded_filter_close(struct loaded_filter *filter)
{
	for (int link_type = 0; link_type < LINK_TYPE_MAX; link_type++)
		closep(&filter->programs[link_type].fd);
	buf_free(&filter->refused);
}
