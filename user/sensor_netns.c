// SPDX-License-Identifier: Apache-2.0
/* Pods' own network namespaces, while the sensor runs: visited when they come, left when they go. */
#include <errno.h>
#include "user/netns_watch.h"
#include "user/sensor_internal.h"

struct sensor_netns {
	struct netns_watch *watch;
	struct event *timer;
	bool started;              /* the namespaces that were there at the start have been visited */
	bool refused[REFUSAL_MAX]; /* logged */
};

static const char *capability(int error)
{
	return error == -EACCES ? "CAP_SYS_PTRACE" : "CAP_SYS_ADMIN";
}

/* Counted for each, said once. */
static void refuse(struct sensor *sensor, int error)
{
	enum domain_refusal refusal = error == -EACCES || error == -EPERM ? REFUSAL_PERMISSION
	                              : error == -ENOSPC                  ? REFUSAL_FULL
	                                                                  : REFUSAL_ERROR;
	ifaces_refuse(sensor->ifaces, refusal);
	if (sensor->netns->refused[refusal])
		return;
	sensor->netns->refused[refusal] = true;
	if (refusal == REFUSAL_PERMISSION)
		log_warn("pods' network namespaces cannot be entered, watching this host's interfaces only; give the "
		         "capability, or set interfaces.netns: host",
		         "missing", capability(error));
	else if (refusal == REFUSAL_FULL)
		log_warn("too many interfaces in pods' network namespaces, leaving further ones alone");
	else
		log_warn("a pod's network namespace cannot be watched, trying again", "error", LOG_ERRNO(error));
}

static void on_there(uint32_t inode, pid_t pid, bool fresh, void *data)
{
	struct sensor *sensor = data;
	struct domain_visit visit;
	bool may_attach = !sensor->netns->started || sensor->settings.interfaces.hotplug;

	int r = ifaces_visit(sensor->ifaces, inode, pid, may_attach, &visit);
	if (r == -ESTALE) /* the process has ended since */
		return;
	if (r == 0)
		r = visit.error;
	if (r < 0 && fresh)
		refuse(sensor, r);
	if (visit.attached || visit.gone)
		log_debug("network namespace of a pod", "domain", LOG_FMT("%u", visit.domain), "attached",
		          LOG_FMT("%u", visit.attached), "gone", LOG_FMT("%u", visit.gone), "pid", LOG_FMT("%d", pid));
}

static void on_gone(uint32_t inode, void *data)
{
	const struct sensor *sensor = data;
	ifaces_leave(sensor->ifaces, inode);
}

static void on_refused(int error, void *data)
{
	refuse(data, error);
}

static void on_timer(evutil_socket_t fd, short what, void *data)
{
	struct sensor *sensor = data;
	netns_watch_tick(sensor->netns->watch);
	unsigned gone = ifaces_settle(sensor->ifaces);
	if (gone)
		log_debug("network namespaces of pods are gone", "number", LOG_FMT("%u", gone));
}

/* What a sensor before had attached elsewhere is not wanted any more. */
static int withdraw(struct sensor *sensor)
{
	int r = ifaces_withdraw(sensor->ifaces);
	if (r < 0)
		log_warn("hooks in pods' network namespaces could not be detached, they go with the pods", "error",
		         LOG_ERRNO(r));
	return 0;
}

static int start(struct sensor *sensor)
{
	const struct timeval period = { .tv_usec = NETNS_WATCH_MS * 1000 };
	const struct netns_watch_events events = {
		.there = on_there, .gone = on_gone, .refused = on_refused, .data = sensor
	};
	int r = netns_watch_open(sensor->identity, sensor->settings.node.proc_root, &events, &sensor->netns->watch);
	if (r < 0)
		return r;
	/* Before a former layout is drained: its programs in pods' namespaces have to be replaced by then. */
	on_timer(-1, 0, sensor);
	sensor->netns->started = true;
	sensor->netns->timer = event_new(sensor->base, -1, EV_PERSIST, on_timer, sensor);
	return sensor->netns->timer && event_add(sensor->netns->timer, &period) == 0 ? 0 : -ENOMEM;
}

int sensor_netns_open(struct sensor *sensor)
{
	if (sensor->settings.interfaces.netns != NETNS_ALL)
		return withdraw(sensor);
	if (!sensor->identity) {
		log_warn("no cgroup v2 tree, pods' network namespaces cannot be found: watching this host's interfaces "
		         "only");
		return withdraw(sensor);
	}
	sensor->netns = calloc(1, sizeof(*sensor->netns));
	int r = sensor->netns ? start(sensor) : -ENOMEM;
	if (r < 0)
		log_error("pods' network namespaces cannot be watched", "error", LOG_ERRNO(r));
	return r;
}

void sensor_netns_close(struct sensor *sensor)
{
	if (!sensor->netns)
		return;
	if (sensor->netns->timer)
		event_free(sensor->netns->timer);
	netns_watch_free(sensor->netns->watch);
	free(sensor->netns);
	sensor->netns = NULL;
}
