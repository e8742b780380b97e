// SPDX-License-Identifier: Apache-2.0
/* Who is at the ends of flows, while the sensor runs: the indexes are opened here, and kept current by the event loop. */
#include <errno.h>
#include <sys/socket.h>
#include "user/clock.h"
#include "user/sensor_internal.h"

/* Cgroups that are remembered: a node has some hundred, and those that are gone stay for their last records. */
#define CGROUPS_MAX   16384
#define PROCESSES_MAX 16384
#define TICK_MS       250
#define RETRY_MS      100 /* of records that wait for names */

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71 /* Linux 5.14 */
#endif

static int open_identity(struct sensor *sensor)
{
	const struct identity_options options = {
		.cgroup_root = sensor->settings.node.cgroup_root,
		.pods_dir = sensor->settings.node.pods_dir,
		.max_cgroups = CGROUPS_MAX,
	};
	int r = identity_open(&options, &sensor->identity);
	if (r == -ENOTSUP) {
		log_warn("no cgroup v2 tree, records will carry no pod names", "node.cgroup_root", options.cgroup_root);
		return 0;
	}
	if (r < 0)
		log_error("the cgroup tree cannot be read", "node.cgroup_root", options.cgroup_root, "error",
		          LOG_ERRNO(r));
	else if (identity_fd(sensor->identity) < 0)
		log_warn(
			"cgroups cannot be watched, reading the tree again and again; raise fs.inotify.max_user_watches",
			"node.cgroup_root", options.cgroup_root);
	return r;
}

static int open_podnet(struct sensor *sensor)
{
	if (!sensor->identity)
		return 0;
	int r = podnet_open(sensor->identity, &sensor->podnet);
	if (r == 0)
		return 0;
	log_warn("pods' addresses cannot be read, naming by socket and cgroup alone", "error", LOG_ERRNO(r));
	return r == -ENOMEM ? r : 0;
}

/* Of this network namespace; 0: the kernel does not tell. */
static uint64_t netns_cookie(void)
{
	uint64_t cookie = 0;
	socklen_t size = sizeof(cookie);
	_cleanup_(closep) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) < 0)
		return 0;
	return cookie;
}

/* Where they cannot be attached, names come from cgroups, interfaces and addresses. */
static void open_sockets(struct sensor *sensor)
{
	if (!sensor->identity || !sensor_loader_options(&sensor->settings).config.sockets)
		return;
	int r = sockets_attach(sensor->loader, identity_tree(sensor->identity), &sensor->sockets);
	if (r < 0)
		log_warn("the socket hooks cannot be attached, going on without processes and socket records",
		         "node.cgroup_root", sensor->settings.node.cgroup_root, "error", LOG_ERRNO(r));
	else if (sockets_found(sensor->sockets) < 0)
		log_info("sockets that exist already cannot be listed, their owners are known by cgroup alone");
}

int sensor_identity_open(struct sensor *sensor)
{
	int r = open_identity(sensor);
	if (r == 0)
		r = open_podnet(sensor);
	if (r < 0)
		return r;
	sensor->processes = processes_new(sensor->settings.node.proc_root, PROCESSES_MAX);
	if (!sensor->processes)
		return -ENOMEM;
	open_sockets(sensor);
	const struct enrich_options options = {
		.identity = sensor->identity,
		.podnet = sensor->podnet,
		.processes = sensor->processes,
		.pods = sensor->pods,
		.sockets = sensor->sockets ? sensor->loader->maps.sockets : -1,
		.bound = sensor->sockets ? sensor->loader->maps.bound : -1,
		.netns_cookie = netns_cookie(),
	};
	return enrich_open(&options, &sensor->enrich);
}

void sensor_identity_read(struct sensor *sensor)
{
	int r = sensor->identity ? identity_read(sensor->identity) : 0;
	if (r < 0)
		log_warn("notifications about cgroups could not be read, trying again with the next one", "error",
		         LOG_ERRNO(r));
	r = sensor->podnet ? podnet_read(sensor->podnet) : 0;
	if (r < 0)
		log_warn("notifications about pods' interfaces could not be read, trying again with the next one",
		         "error", LOG_ERRNO(r));
}

static void on_change(evutil_socket_t fd, short what, void *data)
{
	sensor_identity_read(data);
}

static void on_tick(evutil_socket_t fd, short what, void *data)
{
	struct sensor *sensor = data;
	if (sensor->identity)
		identity_tick(sensor->identity);
	if (sensor->podnet)
		podnet_tick(sensor->podnet);
}

static void on_retry(evutil_socket_t fd, short what, void *data)
{
	struct sensor *sensor = data;
	sensor_identity_read(sensor);
	naming_retry(sensor->queue, sensor->enrich, false);
}

/* FD -1: nothing to watch, which is no failure. */
static int watch(struct sensor *sensor, int fd, struct event **ret_event)
{
	if (fd < 0)
		return 0;
	*ret_event = event_new(sensor->base, fd, EV_READ | EV_PERSIST, on_change, sensor);
	return *ret_event && event_add(*ret_event, NULL) == 0 ? 0 : -ENOMEM;
}

static int repeat(struct sensor *sensor, int ms, event_callback_fn callback, struct event **ret_event)
{
	const struct timeval period = { .tv_usec = ms * 1000 };
	*ret_event = event_new(sensor->base, -1, EV_PERSIST, callback, sensor);
	return *ret_event && event_add(*ret_event, &period) == 0 ? 0 : -ENOMEM;
}

int sensor_identity_watch(struct sensor *sensor)
{
	int r = 0;
	if (sensor->identity)
		r = watch(sensor, identity_fd(sensor->identity), &sensor->cgroups_event);
	if (r == 0 && sensor->podnet)
		r = watch(sensor, podnet_fd(sensor->podnet), &sensor->podnet_event);
	if (r < 0)
		return r;
	r = repeat(sensor, TICK_MS, on_tick, &sensor->tick_timer);
	return r < 0 ? r : repeat(sensor, RETRY_MS, on_retry, &sensor->naming_timer);
}

void sensor_identity_close(struct sensor *sensor)
{
	struct event *events[] = { sensor->cgroups_event, sensor->podnet_event, sensor->tick_timer,
		                   sensor->naming_timer };
	for (size_t i = 0; i < ARRAY_SIZE(events); i++)
		if (events[i])
			event_free(events[i]);
	sockets_free(sensor->sockets);
	enrich_free(sensor->enrich);
	processes_free(sensor->processes);
	podnet_free(sensor->podnet);
	identity_free(sensor->identity);
}
