// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "bpf/config.h"
#include "sensor.skel.h"
#include "survey.skel.h"
#include "user/program.h"
#include "user/sockets_survey.h"

struct survey {
	struct survey_bpf *skeleton;
	int owners, connections, refresh; /* links: what a walk is made from */
};

static int share(struct bpf_map *map, const struct bpf_map *original)
{
	int r = bpf_map__set_pin_path(map, NULL);
	return r < 0 || !original ? r : bpf_map__reuse_fd(map, bpf_map__fd(original));
}

static int share_maps(struct survey_bpf *survey, const struct sensor_bpf *sensor)
{
	int r = share(survey->maps.socket_owners, sensor ? sensor->maps.socket_owners : NULL);
	if (r == 0)
		r = share(survey->maps.socket_bound, sensor ? sensor->maps.socket_bound : NULL);
	if (r == 0)
		r = share(survey->maps.sockets, sensor ? sensor->maps.sockets : NULL);
	if (r == 0)
		r = share(survey->maps.connections, sensor ? sensor->maps.connections : NULL);
	return r < 0 ? r : share(survey->maps.bound, sensor ? sensor->maps.bound : NULL);
}

/* MAP: what is walked through; -1: files. */
static int walk_link(const struct bpf_program *program, int map, int *ret_link)
{
	union bpf_iter_link_info info = { .map.map_fd = map >= 0 ? (uint32_t)map : 0 };
	LIBBPF_OPTS(bpf_link_create_opts, options);
	if (map >= 0) {
		options.iter_info = &info;
		options.iter_info_len = sizeof(info);
	}
	int link = bpf_link_create(bpf_program__fd(program), 0, BPF_TRACE_ITER, &options);
	if (link < 0)
		return -errno;
	*ret_link = link;
	return 0;
}

static int survey_load(struct survey *survey, const struct sensor_bpf *sensor)
{
	survey->skeleton = survey_bpf__open();
	if (!survey->skeleton)
		return -errno;
	int r = share_maps(survey->skeleton, sensor);
	if (r == 0)
		r = survey_bpf__load(survey->skeleton);
	if (r == 0)
		r = walk_link(survey->skeleton->progs.sonde_find_owners, -1, &survey->owners);
	if (r == 0)
		r = walk_link(survey->skeleton->progs.sonde_find_connections, -1, &survey->connections);
	if (r == 0)
		r = walk_link(survey->skeleton->progs.sonde_refresh, bpf_map__fd(survey->skeleton->maps.socket_owners),
		              &survey->refresh);
	return r;
}

int survey_open(const struct loader *loader, struct survey **ret_survey)
{
	_cleanup_(survey_freep) struct survey *survey = calloc(1, sizeof(*survey));
	if (!survey)
		return -ENOMEM;
	survey->owners = survey->connections = survey->refresh = -1;
	libbpf_print_fn_t print = libbpf_set_print(NULL);
	int r = survey_load(survey, loader ? loader->skeleton : NULL);
	libbpf_set_print(print);
	if (r < 0)
		return r;
	*ret_survey = TAKE_PTR(survey);
	return 0;
}

void survey_free(struct survey *survey)
{
	if (!survey)
		return;
	closep(&survey->owners);
	closep(&survey->connections);
	closep(&survey->refresh);
	survey_bpf__destroy(survey->skeleton);
	free(survey);
}

/* One walk to its end; how many bytes the program wrote, or -errno. */
static int64_t walk(int link)
{
	_cleanup_(closep) int fd = bpf_iter_create(link);
	char buffer[4096];
	int64_t sum = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	/* EAGAIN: a read looked at as many files as one may, and found nothing. */
	while ((n = read(fd, buffer, sizeof(buffer))) > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		sum += n > 0 ? n : 0;
	return n < 0 ? -errno : sum;
}

int64_t survey_find(struct survey *survey)
{
	int64_t bytes = walk(survey->owners);
	int64_t r = bytes < 0 ? bytes : walk(survey->connections);
	return r < 0 ? r : bytes / (int64_t)sizeof(uint64_t);
}

int survey_refresh(struct survey *survey)
{
	int64_t r = walk(survey->refresh);
	return r < 0 ? (int)r : 0;
}

uint64_t survey_run_ns(const struct survey *survey)
{
	return program_run_ns(bpf_program__fd(survey->skeleton->progs.sonde_find_owners)) +
	       program_run_ns(bpf_program__fd(survey->skeleton->progs.sonde_find_connections)) +
	       program_run_ns(bpf_program__fd(survey->skeleton->progs.sonde_refresh));
}
