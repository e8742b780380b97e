// SPDX-License-Identifier: Apache-2.0
/* The rules of `namespaces` while the sensor runs: pods come and go, and so does what the kernel is told of them. */
#include "user/sensor_internal.h"

static void tell(struct sensor *sensor)
{
	size_t left_out = namespaces_left_out(sensor->namespaces), unknown = namespaces_unknown(sensor->namespaces);
	if (left_out && !sensor->namespaces_full)
		log_warn("more cgroups than verdicts can be kept for, the flows of the others are not sampled", "max",
		         LOG_FMT("%d", POLICY_CGROUPS_MAX));
	if (unknown && !sensor->namespaces_unknown)
		log_warn("pods whose namespace is not known, observing them until it is", "cgroups",
		         LOG_FMT("%zu", unknown), "node.pods_dir", sensor->settings.node.pods_dir);
	sensor->namespaces_full = left_out > 0;
	sensor->namespaces_unknown = unknown > 0;
}

static void on_timer(evutil_socket_t fd, short what, void *data)
{
	struct sensor *sensor = data;
	namespaces_tick(sensor->namespaces);
	tell(sensor);
}

static int start(struct sensor *sensor, const struct config_rules *rules)
{
	const struct timeval period = { .tv_usec = NAMESPACES_TICK_NS / 1000 };
	const struct namespaces_options options = {
		.identity = sensor->identity,
		.map = sensor->loader->maps.policy_cgroups,
		.rules = rules,
	};
	if (!sensor->identity) {
		log_error("namespaces need a cgroup v2 tree to tell pods by", "node.cgroup_root",
		          sensor->settings.node.cgroup_root);
		return -ENOTSUP;
	}
	int r = namespaces_open(&options, &sensor->namespaces);
	if (r < 0)
		return r;
	sensor->namespaces_timer = event_new(sensor->base, -1, EV_PERSIST, on_timer, sensor);
	return sensor->namespaces_timer && event_add(sensor->namespaces_timer, &period) == 0 ? 0 : -ENOMEM;
}

void sensor_namespaces_stop(struct sensor *sensor)
{
	if (sensor->namespaces_timer)
		event_free(sensor->namespaces_timer);
	sensor->namespaces_timer = NULL;
	namespaces_free(sensor->namespaces);
	sensor->namespaces = NULL;
}

int sensor_namespaces_apply(struct sensor *sensor, const struct config_rules *rules)
{
	int r = 0;
	if (!rules->n)
		sensor_namespaces_stop(sensor);
	else if (!sensor->namespaces)
		r = start(sensor, rules);
	else
		namespaces_apply(sensor->namespaces, rules);
	if (r < 0)
		sensor_namespaces_stop(sensor);
	else if (rules->n)
		tell(sensor);
	return r;
}
