// SPDX-License-Identifier: Apache-2.0
/* The pod list while the sensor runs, where one is configured: started, listened to, stopped. */
#include <errno.h>
#include <string.h>
#include "user/sensor_internal.h"
#include "version.h"

#define LOOK_SECONDS 1

/* Logs what changed since the last look, once. */
static void on_look(evutil_socket_t fd, short what, void *data)
{
	struct sensor *sensor = data;
	const char *url = sensor->settings.node.pods_url;
	struct pod_list_status status, *last = &sensor->pods_seen;
	pod_list_status(sensor->pods, &status);
	if (status.up && !last->up)
		log_info("pod list up", "url", url, "pods", LOG_FMT("%zu", status.pods));
	else if (!status.up && strcmp(status.last_error, last->last_error) != 0)
		log_warn(status.listed_ns ? "no pod list, keeping the old one and trying again"
		                          : "no pod list, records go without labels and controllers until there is one",
		         "url", url, "error", status.last_error);
	if (status.labels_left_out && !last->labels_left_out)
		log_warn("labels of pods are left out: too many of one pod, or against the API's rules", "labels",
		         LOG_FMT("%zu", status.labels_left_out), "max", LOG_FMT("%d", POD_LABELS_MAX));
	*last = status;
}

int sensor_pods_start(struct sensor *sensor)
{
	const struct settings *settings = &sensor->settings;
	const struct timeval period = { .tv_sec = LOOK_SECONDS };
	const struct pod_list_options options = {
		.url = settings->node.pods_url,
		.ca = settings->node.pods_ca,
		.token_file = settings->node.pods_token_file,
		.version = SONDE_VERSION,
		.interval_ns = settings->node.pods_interval,
		.timeout_ns = POD_LIST_TIMEOUT_NS,
		.bytes_max = POD_LIST_BYTES_MAX,
		.on_socket = sensor_note_socket,
		.on_socket_data = sensor,
	};
	if (!*options.url)
		return 0;
	int r = pod_list_start(&options, &sensor->pods);
	if (r < 0) {
		log_error("the pod list's thread cannot be started", "error", LOG_ERRNO(r));
		return r;
	}
	sensor->pods_timer = event_new(sensor->base, -1, EV_PERSIST, on_look, sensor);
	return sensor->pods_timer && event_add(sensor->pods_timer, &period) == 0 ? 0 : -ENOMEM;
}

void sensor_pods_stop(struct sensor *sensor)
{
	if (sensor->pods_timer)
		event_free(sensor->pods_timer);
	sensor->pods_timer = NULL;
	pod_list_stop(sensor->pods);
	sensor->pods = NULL;
}
