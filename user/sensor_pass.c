// SPDX-License-Identifier: Apache-2.0
#include "user/sensor_internal.h"
#include "user/status.h"

#define STATUS_MAX_BYTES (8 << 20)

/* What the records of a pass are completed with. */
static void refresh(struct sensor *sensor)
{
	sensor_identity_read(sensor);
	int r = sensor->sockets ? sockets_refresh(sensor->sockets) : 0;
	if (r < 0)
		log_warn("the sockets could not be walked, flows keep the round-trip times of the last time", "error",
		         LOG_ERRNO(r));
}

void sensor_pass_begin(struct sensor *sensor)
{
	if (sensor->passing)
		return;
	if (ifaces_total(sensor->ifaces, &sensor->before_pass) < 0)
		return;
	sensor->passing = true;
	refresh(sensor);
	readout_begin(sensor->readout, false);
	event_active(sensor->pass_step, EV_TIMEOUT, 0);
}

/* Compares packets with flows, now that the table was read from end to end. */
static void compare(struct sensor *sensor)
{
	struct books_state state;
	struct readout_result result;
	struct hook_stats after;

	books_read(sensor->books, &state);
	readout_result(sensor->readout, &result);
	/* A packet counts in its flow before it does at its hook: one a CPU may be in between, for a moment. */
	for (int attempt = 0; attempt < 10 && ifaces_total(sensor->ifaces, &after) == 0; attempt++) {
		sensor->flow_difference = flow_difference(&sensor->before_pass, &after, &state, &result);
		if (!sensor->flow_difference.packets && !sensor->flow_difference.bytes)
			break;
	}
}

int sensor_snapshot(struct sensor *sensor, struct snapshot *ret_snapshot)
{
	struct snapshot_sources sources = {
		.loader = sensor->loader,
		.ifaces = sensor->ifaces,
		.books = sensor->books,
		.queue = sensor->queue,
		.ring = sensor->ring,
		.ring_position = sensor->ring_position,
		.readout = sensor->readout,
		.ship = sensor->ship,
		.flow_difference = sensor->flow_difference,
	};
	return snapshot_take(&sources, ret_snapshot);
}

static void answer_waiting(struct sensor *sensor)
{
	_cleanup_(buf_free) struct buf json = BUF_INIT(STATUS_MAX_BYTES);
	_cleanup_(snapshot_clear) struct snapshot snapshot = { 0 };
	if (!sensor->n_waiting)
		return;

	int r = sensor_snapshot(sensor, &snapshot);
	if (r == 0)
		r = status_json(&snapshot, sensor->settings.backend.url, &json);
	while (sensor->n_waiting)
		control_reply(sensor->waiting[--sensor->n_waiting],
		              r < 0 ? "{\"error\":\"the maps could not be read\"}\n" : buf_text(&json));
}

void sensor_pass_step(evutil_socket_t fd, short what, void *data)
{
	struct sensor *sensor = data;
	sensor_identity_read(sensor);
	int r = readout_step(sensor->readout);
	if (r > 0) {
		/* Behind whatever else is ready by now, the ring above all. */
		event_active(sensor->pass_step, EV_TIMEOUT, 0);
		return;
	}
	if (r < 0)
		log_warn("the flow table could not be read, trying again at the next interval", "error", LOG_ERRNO(r));
	else
		compare(sensor);
	sensor->passing = false;
	answer_waiting(sensor);
}

int sensor_pass_flush(struct sensor *sensor)
{
	int r = ifaces_total(sensor->ifaces, &sensor->before_pass);
	refresh(sensor);
	readout_begin(sensor->readout, true);
	while (r >= 0 && (r = readout_step(sensor->readout)) > 0) {
		sensor_identity_read(sensor);
		sensor_drain(sensor, SIZE_MAX);
	}
	if (r == 0)
		compare(sensor);
	return r;
}

void sensor_status(struct sensor *sensor, struct control_request *request)
{
	if (sensor->n_waiting == ARRAY_SIZE(sensor->waiting)) {
		control_reply(request, "{\"error\":\"too many status requests at once\"}\n");
		return;
	}
	sensor->waiting[sensor->n_waiting++] = request;
	sensor_pass_begin(sensor);
	/* Where not even the pass could begin, the answer says what is known. */
	if (!sensor->passing)
		answer_waiting(sensor);
}
