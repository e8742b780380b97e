// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <bpf/bpf.h>
#include "user/clock.h"
#include "user/metrics.h"
#include "user/pins.h"
#include "user/sensor_internal.h"

/* Records taken from the ring before other events get their turn. */
#define DRAIN_RECORDS 4096
/* The reader looks into the ring by itself so often; in between it is woken when the ring fills. */
#define DRAIN_MS 100

static void on_ring(evutil_socket_t fd, short what, void *data)
{
	struct sensor *sensor = data;
	sensor_identity_read(sensor);
	if (sensor_drain(sensor, DRAIN_RECORDS) == DRAIN_RECORDS)
		event_active(sensor->ring_event, EV_READ, 0);
}

static void on_pass_timer(evutil_socket_t fd, short what, void *data)
{
	sensor_pass_begin(data);
}

static void on_watch(evutil_socket_t fd, short what, void *data)
{
	struct sensor *sensor = data;
	int r = ifwatch_read(sensor->watch);
	if (r < 0)
		log_warn("interface notifications could not be read, trying again with the next one", "error",
		         LOG_ERRNO(r));
}

static void on_stop(evutil_socket_t signal, short what, void *data)
{
	struct sensor *sensor = data;
	event_base_loopbreak(sensor->base);
}

static void on_hangup(evutil_socket_t signal, short what, void *data)
{
	sensor_reload(data);
}

static void on_request(struct control_request *request, const char *command, void *data)
{
	if (strcmp(command, "status") == 0)
		sensor_status(data, request);
	else
		control_reply(request, "{\"error\":\"unknown command\"}\n");
}

static int page_metrics(struct buf *out, void *data)
{
	struct sensor *sensor = data;
	uint64_t misses[ENRICH_MISS_MAX];
	_cleanup_(snapshot_clear) struct snapshot snapshot = { 0 };
	int r = sensor_snapshot(sensor, &snapshot);
	if (r < 0)
		return r;
	enrich_misses(sensor->enrich, misses);
	struct pod_list_status pods;
	if (sensor->pods)
		pod_list_status(sensor->pods, &pods);
	struct metrics_extra extra = {
		.flows_max = sensor->loader->maps.flows_max,
		.filter_instructions = sensor->loader->filter_instructions,
		.enrich_misses = misses,
		.pods = sensor->pods ? &pods : NULL,
		.sockets_run_ns = sensor->sockets ? sockets_run_ns(sensor->sockets) : 0,
		.cgroup_rereads = sensor->identity ? identity_rereads(sensor->identity) : 0,
	};
	return metrics_format(&snapshot, &extra, out);
}

static bool page_ready(void *data)
{
	return ((const struct sensor *)data)->listed;
}

static struct event *add_event(struct sensor *sensor, int fd, short what, event_callback_fn callback,
                               uint64_t period_ns)
{
	struct timeval period = { .tv_sec = (time_t)(period_ns / NS_PER_SEC),
		                  .tv_usec = (suseconds_t)(period_ns % NS_PER_SEC / 1000) };
	struct event *event = event_new(sensor->base, fd, what | EV_PERSIST, callback, sensor);
	if (event && event_add(event, period_ns ? &period : NULL) < 0) {
		event_free(event);
		return NULL;
	}
	return event;
}

static int open_events(struct sensor *sensor)
{
	/* Edge-triggered: a wake-up is what a program sent, not each look at a ring that has something in it. */
	sensor->ring_event = add_event(sensor, sensor->loader->maps.ring, EV_READ | EV_ET, on_ring, 0);
	sensor->ring_timer = add_event(sensor, -1, 0, on_ring, DRAIN_MS * NS_PER_MS);
	sensor->watch_event = add_event(sensor, ifwatch_fd(sensor->watch), EV_READ, on_watch, 0);
	sensor->pass_timer = add_event(sensor, -1, 0, on_pass_timer, sensor->settings.flows.interval);
	sensor->pass_step = event_new(sensor->base, -1, 0, sensor_pass_step, sensor);
	if (!sensor->ring_event || !sensor->ring_timer || !sensor->watch_event || !sensor->pass_timer ||
	    !sensor->pass_step)
		return -ENOMEM;
	return 0;
}

static int open_signals(struct sensor *sensor)
{
	signal(SIGPIPE, SIG_IGN);
	sensor->signals[0] = add_event(sensor, SIGINT, EV_SIGNAL, on_stop, 0);
	sensor->signals[1] = add_event(sensor, SIGTERM, EV_SIGNAL, on_stop, 0);
	sensor->signals[2] = add_event(sensor, SIGHUP, EV_SIGNAL, on_hangup, 0);
	return sensor->signals[0] && sensor->signals[1] && sensor->signals[2] ? 0 : -ENOMEM;
}

static int open_services(struct sensor *sensor)
{
	const struct http_pages pages = { .metrics = page_metrics, .ready = page_ready, .data = sensor };
	const struct settings *settings = &sensor->settings;
	int r = control_open(sensor->base, settings->control, on_request, sensor, &sensor->control);
	if (r < 0) {
		log_error(r == -EADDRINUSE
		                  ? "another sensor answers on the control socket; stop it, or choose another path"
		                  : "the control socket cannot be made",
		          "control", settings->control, "error", LOG_ERRNO(r));
		return r;
	}
	if (settings->metrics.listen[0])
		r = http_open(sensor->base, settings->metrics.listen, &pages, &sensor->http);
	if (r < 0)
		log_error("the metrics endpoint cannot listen; choose another address in metrics.listen",
		          "metrics.listen", settings->metrics.listen, "error", LOG_ERRNO(r));
	return r;
}

static int sensor_start(struct sensor *sensor)
{
	/* Two descriptors an interface. */
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}

	sensor->base = event_base_new();
	if (!sensor->base)
		return -ENOMEM;
	int (*const steps[])(struct sensor *) = { sensor_take_bpffs, open_signals, open_services,
		                                  sensor_open,       open_events,  sensor_identity_watch };
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		int r = steps[i](sensor);
		if (r < 0)
			return r;
	}
	return 0;
}

static void sensor_free(struct sensor *sensor)
{
	struct event *events[] = { sensor->ring_event, sensor->ring_timer, sensor->watch_event, sensor->pass_timer,
		                   sensor->pass_step,  sensor->signals[0], sensor->signals[1],  sensor->signals[2] };
	control_free(sensor->control);
	http_free(sensor->http);
	for (size_t i = 0; i < ARRAY_SIZE(events); i++)
		if (events[i])
			event_free(events[i]);
	if (sensor->ship)
		ship_stop(sensor->ship, 0);
	queue_free(sensor->queue, DROP_SHUTDOWN);
	readout_free(sensor->readout);
	ifwatch_free(sensor->watch);
	ifaces_free(sensor->ifaces);
	sensor_namespaces_stop(sensor);
	sensor_pods_stop(sensor);
	sensor_identity_close(sensor);
	sensor_netns_close(sensor);
	ring_free(sensor->ring);
	books_free(sensor->books);
	loader_free(sensor->loader);
	closep(&sensor->lock);
	if (sensor->base)
		event_base_free(sensor->base);
	settings_free(&sensor->settings);
	free(sensor);
}
DEFINE_CLEANUP(struct sensor *, sensor_free)

/* After a start that failed: pins stay only where a former sensor's hooks need them. */
static void remove_unused_pins(const struct sensor *sensor)
{
	uint32_t id;
	if (sensor->lock < 0)
		return;
	if (sensor->loader && bpf_map_get_next_key(sensor->loader->maps.ifaces, NULL, &id) < 0 && errno == ENOENT)
		pins_remove(sensor->settings.bpffs, sensor->loader->layout);
	/* Fails where there is something in it. */
	rmdir(sensor->settings.bpffs);
}

int sensor_run(const struct sensor_options *options, struct settings *settings)
{
	_cleanup_(sensor_freep) struct sensor *sensor = calloc(1, sizeof(*sensor));
	if (!sensor)
		return -ENOMEM;
	sensor->options = *options;
	sensor->settings = *settings;
	*settings = (struct settings) { 0 };
	sensor->lock = -1;

	int r = sensor_start(sensor);
	if (r < 0) {
		remove_unused_pins(sensor);
		return r;
	}
	event_base_dispatch(sensor->base);
	sensor_stop(sensor);
	return 0;
}
