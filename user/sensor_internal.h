/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of `sonde run` share; which file does what is said at each function. */
#pragma once

#include <event2/event.h>
#include "user/control.h"
#include "user/http.h"
#include "user/enrich.h"
#include "user/identity.h"
#include "user/ifaces.h"
#include "user/ifwatch.h"
#include "user/namespaces.h"
#include "user/naming.h"
#include "user/pod_list.h"
#include "user/podnet.h"
#include "user/process.h"
#include "user/readout.h"
#include "user/ring.h"
#include "user/sensor.h"
#include "user/ship.h"
#include "user/snapshot.h"
#include "user/sockets.h"

struct sensor {
	struct sensor_options options;
	struct settings settings;
	char host[256], stream_id[33];
	int lock; /* on the bpffs directory */

	struct event_base *base;
	struct event *ring_event, *ring_timer, *watch_event, *pass_timer, *pass_step, *signals[3];
	struct http *http;
	struct control *control;
	struct control_request *waiting[8]; /* status requests that wait for the pass under way */
	size_t n_waiting;

	struct loader *loader;
	struct books *books;
	struct queue *queue;
	struct ring *ring;
	uint64_t ring_position;    /* behind the last record received */
	struct identity *identity; /* NULL: no cgroup v2 */
	struct podnet *podnet;     /* NULL: pods' addresses are not to be had */
	struct processes *processes;
	struct enrich *enrich;
	struct sockets *sockets; /* NULL: no socket hooks */
	struct event *cgroups_event, *podnet_event, *tick_timer, *naming_timer;
	struct pod_list *pods; /* NULL: none is asked for */
	struct event *pods_timer;
	struct pod_list_status pods_seen; /* when it was looked at last */
	struct namespaces *namespaces;    /* NULL: no rules */
	struct event *namespaces_timer;
	bool namespaces_full, namespaces_unknown; /* as last told; logged when it begins */
	struct ifaces *ifaces;
	struct ifwatch *watch;
	struct sensor_netns *netns; /* NULL: no other network namespaces are watched */
	struct readout *readout;
	struct ship *ship;

	bool listed;  /* the first list of interfaces is complete: ready */
	bool passing; /* a pass over the flow table is under way */
	struct hook_stats before_pass;
	struct totals flow_difference;
};

/* sensor_start.c: the bpffs directory, made and locked. 0 or -errno, logged. */
int sensor_take_bpffs(struct sensor *sensor);
/* sensor_start.c: programs, maps, identity, delivery, interfaces, flow table. 0 or -errno, logged. */
int sensor_open(struct sensor *sensor);
/* sensor_stop.c: detaches, writes out everything there is, delivers it, removes the pins. */
void sensor_stop(struct sensor *sensor);

/* sensor_start.c: the loader's and the shipper's view of SETTINGS. */
struct loader_options sensor_loader_options(const struct settings *settings);
struct ship_options sensor_ship_options(struct sensor *sensor, const struct settings *settings);
struct decoder sensor_decoder(const struct sensor *sensor);
/* sensor_start.c: tells the programs of a socket of the sensor's own; DATA is the sensor. From any thread. */
void sensor_note_socket(int fd, bool open, void *data);

/*
 * sensor_identity.c: opens the indexes that names come from, and attaches the socket hooks, where they are wanted and can be;
 * needs the maps. Then lets the event loop keep the indexes current. 0 or -errno, logged but for -ENOMEM.
 */
int sensor_identity_open(struct sensor *sensor);
int sensor_identity_watch(struct sensor *sensor);
/* sensor_identity.c: takes in what changed, now: before names are looked up. */
void sensor_identity_read(struct sensor *sensor);
/* sensor_identity.c: the end of all of it; what is attached stays. */
void sensor_identity_close(struct sensor *sensor);

/* sensor_drain.c: takes up to MAX records out of the ring, into the books and the queue. Returns how many. */
size_t sensor_drain(struct sensor *sensor, size_t max);

/* sensor_drain.c: the same from any ring, into the sensor's books; *POSITION moves on. */
size_t sensor_drain_ring(struct sensor *sensor, struct ring *ring, uint64_t *position, size_t max);

/* sensor_pass.c: begins a pass over the flow table unless one is under way; its steps are run by the event loop. */
void sensor_pass_begin(struct sensor *sensor);
/* sensor_pass.c: a whole pass at once that writes everything there is (a stop). 0 or -errno. */
int sensor_pass_flush(struct sensor *sensor);
/* sensor_pass.c: the pass's callback on the event loop. */
void sensor_pass_step(evutil_socket_t fd, short what, void *data);
/* sensor_pass.c: what the books are now. 0 or -errno. Release with snapshot_clear. */
int sensor_snapshot(struct sensor *sensor, struct snapshot *ret_snapshot);
/* sensor_pass.c: answers a control request with the books as they are after the next pass. */
void sensor_status(struct sensor *sensor, struct control_request *request);

/*
 * sensor_namespaces.c: the kernel's verdicts follow RULES from now on, new pods' too; none: nothing is kept of them. 0 or
 * -errno, logged.
 */
int sensor_namespaces_apply(struct sensor *sensor, const struct config_rules *rules);
/* sensor_namespaces.c: the end of it. */
void sensor_namespaces_stop(struct sensor *sensor);

/* sensor_pods.c: asks for pod lists from now on, if that is configured, and logs what becomes of it. 0 or -errno, logged. */
int sensor_pods_start(struct sensor *sensor);
/* sensor_pods.c: the end of it. */
void sensor_pods_stop(struct sensor *sensor);

/*
 * sensor_netns.c: attaches inside the network namespaces of pods as far as they are there, if interfaces.netns says so, and
 * follows them from then on; detaches from those that a sensor before was in, if not. Needs interfaces and identity. 0 or
 * -errno, logged.
 */
int sensor_netns_open(struct sensor *sensor);
/* sensor_netns.c: the end of it, after that of identity; what is attached stays. */
void sensor_netns_close(struct sensor *sensor);

/* sensor_start.c: logs where the filter matches nothing whatever comes. */
void sensor_tell_filter(const struct sensor *sensor);

/* sensor_reload.c: SIGHUP. */
void sensor_reload(struct sensor *sensor);

/*
 * migrate.c: what a loader with another layout (other sizes, an older version) left attached and counted. Begin: its hooks
 * become ours, to be given our programs by the first list of interfaces; finish, after that list: its flows and ring are
 * drained, its accounts added to ours, its pins removed. 0 or -errno.
 */
int sensor_migrate_begin(struct sensor *sensor);
int sensor_migrate_finish(struct sensor *sensor);

/* recover.c: books what a loader that died had in its memory. */
void sensor_recover(struct sensor *sensor);
