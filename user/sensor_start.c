// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <openssl/rand.h>
#include <string.h>
#include <sys/socket.h>
#include <bpf/bpf.h>
#include "user/cgroup_tree.h"
#include "user/clock.h"
#include "user/pins.h"
#include "user/probe.h"
#include "user/sensor_internal.h"
#include "version.h"

/* The queue's bounds: minutes of a busy node's flow records, or some seconds of its packet samples. */
#define QUEUE_RECORDS (64 << 10)
#define QUEUE_BYTES   (64 << 20)

static bool has_cgroup_tree(const struct settings *settings)
{
	_cleanup_(closep) int fd = -1;
	return cgroup_tree_open(settings->node.cgroup_root, &fd) == 0;
}

struct loader_options sensor_loader_options(const struct settings *settings)
{
	struct loader_options options = {
		.bpffs = settings->bpffs,
		.filter = settings->filter,
		.flows_max = (uint32_t)settings->flows.max,
		.ring_bytes = (uint32_t)settings->ring.bytes,
		.config = {
			.idle_timeout_ns = settings->flows.idle_timeout,
			.samples = settings->packets.enabled,
			.head_bytes = (uint32_t)settings->packets.head_bytes,
			.snaplen = (uint32_t)settings->packets.snaplen,
			.one_in = (uint32_t)settings->packets.one_in,
			.max_rate = (uint32_t)settings->packets.max_rate,
			.wake_bytes = (uint32_t)(settings->ring.bytes / 8),
			.namespaces = settings->namespaces.n > 0,
			.coarse_clock = feature_available(FEATURE_COARSE_CLOCK),
			.conntrack = feature_available(FEATURE_CONNTRACK),
			.sockets = settings->sockets.enabled && has_cgroup_tree(settings) && feature_available(FEATURE_SOCKETS),
		},
	};
	/* The same all through one boot, and another after it. */
	_cleanup_(fclosep) FILE *boot_id = fopen("/proc/sys/kernel/random/boot_id", "re");
	char id[40] = "";
	if (boot_id && fgets(id, sizeof(id), boot_id))
		for (const char *digit = id; *digit; digit++)
			options.config.id_salt = (options.config.id_salt ^ (uint8_t)*digit) * 0x100000001b3;
	return options;
}

/* The kernel asks for the cookie of each egress packet that opens a flow. */
void sensor_note_socket(int fd, bool open, void *data)
{
	const struct sensor *sensor = data;
	uint64_t cookie, now = clock_monotonic_ns();
	socklen_t size = sizeof(cookie);
	if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) < 0)
		return;
	if (open)
		bpf_map_update_elem(sensor->loader->maps.self_sockets, &cookie, &now, BPF_ANY);
	else
		bpf_map_delete_elem(sensor->loader->maps.self_sockets, &cookie);
}

struct ship_options sensor_ship_options(struct sensor *sensor, const struct settings *settings)
{
	struct ship_options options = {
		.url = settings->backend.url,
		.ca = settings->backend.ca,
		.cert = settings->backend.cert,
		.key = settings->backend.key,
		.gzip = settings->backend.compression == COMPRESSION_GZIP,
		.proxy = settings->backend.proxy,
		.no_proxy = settings->backend.no_proxy,
		.timeout_ns = settings->backend.timeout,
		.batch_records = settings->batch.records,
		.batch_bytes = settings->batch.bytes,
		.batch_age_ns = settings->batch.age,
		.resource = {
			.service_version = SONDE_VERSION,
			.host_name = sensor->host,
			.node_name = settings->node.name[0] ? settings->node.name : sensor->host,
		},
		.on_socket = sensor_note_socket,
		.on_socket_data = sensor,
	};
	memcpy(options.resource.stream_id, sensor->stream_id, sizeof(options.resource.stream_id));
	return options;
}

struct decoder sensor_decoder(const struct sensor *sensor)
{
	return (struct decoder) {
		.ifaces = sensor->ifaces,
		.enrich = sensor->enrich,
		.maps = &sensor->loader->maps,
	};
}

static void on_link_there(const struct link_info *link, void *data)
{
	struct sensor *sensor = data;
	enum iface_change change;
	int r = ifaces_there(sensor->ifaces, link, !sensor->listed || sensor->settings.interfaces.hotplug, &change);

	if (r == -EPROTONOSUPPORT)
		log_info("interface is neither Ethernet nor IP, leaving it alone", "interface", link->name);
	else if (r == -ENOSPC)
		log_warn("too many interfaces, leaving this one alone", "interface", link->name, "max",
		         LOG_FMT("%d", IFACE_SLOTS - 1));
	else if (r < 0 && r != -ENODEV)
		log_warn("interface could not be attached, leaving it alone until it changes", "interface", link->name,
		         "error", LOG_ERRNO(r));
	else if (change == IFACE_ATTACHED || change == IFACE_TAKEN_OVER || change == IFACE_DETACHED)
		log_debug(change == IFACE_ATTACHED   ? "interface attached"
		          : change == IFACE_DETACHED ? "interface detached"
		                                     : "interface taken over",
		          "interface", link->name);
}

static void on_link_gone(uint32_t ifindex, void *data)
{
	struct sensor *sensor = data;
	if (ifaces_gone(sensor->ifaces, ifindex))
		log_debug("interface is gone", "ifindex", LOG_FMT("%u", ifindex));
}

/* The end of a list: the first one makes the sensor ready. */
static void on_links_told(void *data)
{
	struct sensor *sensor = data;
	ifaces_sweep(sensor->ifaces);
	ifaces_begin(sensor->ifaces);
	if (sensor->listed)
		return;
	sensor->listed = true;
	int r = sensor_migrate_finish(sensor);
	if (r < 0)
		log_warn("pins of a former layout could not be removed, trying again at the next start", "error",
		         LOG_ERRNO(r));
	log_info("watching", "interfaces", LOG_FMT("%zu", ifaces_attached(sensor->ifaces)), "hook",
	         feature_available(FEATURE_TCX) ? "tcx" : "clsact", "backend", sensor->settings.backend.url, "pins",
	         sensor->settings.bpffs);
}

int sensor_take_bpffs(struct sensor *sensor)
{
	const char *dir = sensor->settings.bpffs;
	int r = pins_prepare(dir);
	if (r == -ENOTTY)
		log_error("bpffs: the directory is not on a BPF file system; mount one or choose another", "bpffs",
		          dir);
	else if (r < 0)
		log_error("bpffs: the directory cannot be made; mount a BPF file system there (mount -t bpf), or give "
		          "CAP_SYS_ADMIN once",
		          "bpffs", dir, "error", LOG_ERRNO(r));
	if (r < 0)
		return r;
	r = pins_lock(dir, &sensor->lock);
	if (r == -EWOULDBLOCK)
		log_error("another sensor runs with the same bpffs directory; stop it, or choose another", "bpffs",
		          dir);
	return r;
}

void sensor_tell_filter(const struct sensor *sensor)
{
	if (*sensor->loader->filter_refused)
		log_info("the filter makes no sense on interfaces without link header, nothing matches there",
		         "libpcap", sensor->loader->filter_refused);
}

static int open_kernel(struct sensor *sensor)
{
	struct loader_options options = sensor_loader_options(&sensor->settings);
	int r = loader_open(&options, &sensor->loader);
	if (r < 0) {
		log_error("the BPF programs could not be loaded; `sonde check` tells what this kernel lacks", "error",
		          LOG_ERRNO(r), "libbpf", loader_messages());
		return r;
	}
	sensor_tell_filter(sensor);
	r = books_open(sensor->loader->maps.books, &sensor->books);
	if (r == 0)
		r = ring_open(sensor->loader->maps.ring, sensor->loader->maps.ring_bytes, &sensor->ring);
	if (r == 0)
		r = pins_set_current(sensor->settings.bpffs, sensor->loader->layout);
	if (r < 0)
		log_error("the BPF maps could not be opened", "error", LOG_ERRNO(r));
	return r;
}

static int open_namespaces(struct sensor *sensor)
{
	return sensor_namespaces_apply(sensor, &sensor->settings.namespaces);
}

static int open_interfaces(struct sensor *sensor)
{
	struct ifaces_options options = {
		.loader = sensor->loader,
		.books = sensor->books,
		.include = &sensor->settings.interfaces.include,
		.exclude = &sensor->settings.interfaces.exclude,
		.proc_root = sensor->settings.node.proc_root,
	};
	struct ifwatch_events events = {
		.there = on_link_there,
		.gone = on_link_gone,
		.dumped = on_links_told,
		.data = sensor,
	};
	int r = ifaces_open(&options, &sensor->ifaces);
	if (r == 0)
		r = sensor_migrate_begin(sensor);
	if (r == 0)
		r = ifwatch_open(&events, &sensor->watch);
	if (r == 0) {
		ifaces_begin(sensor->ifaces);
		r = ifwatch_dump(sensor->watch);
	}
	if (r < 0)
		log_error("the interfaces could not be listed", "error", LOG_ERRNO(r));
	return r;
}

static int open_delivery(struct sensor *sensor)
{
	uint8_t random[16];
	if (RAND_bytes(random, sizeof(random)) != 1)
		return -EIO;
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(sensor->stream_id + 2 * i, 3, "%02x", random[i]);
	if (gethostname(sensor->host, sizeof(sensor->host) - 1) < 0)
		return -errno;

	int r = queue_new(sensor->books, QUEUE_RECORDS, QUEUE_BYTES, &sensor->queue);
	if (r < 0)
		return r;
	struct ship_options options = sensor_ship_options(sensor, &sensor->settings);
	if (!options.url[0])
		log_warn("backend.url is empty: records are counted and dropped as no_backend");
	return ship_start(&options, sensor->queue, &sensor->ship);
}

static int open_readout(struct sensor *sensor)
{
	struct readout_options options = {
		.maps = &sensor->loader->maps,
		.books = sensor->books,
		.queue = sensor->queue,
		.queue_books = sensor->books,
		.decoder = sensor_decoder(sensor),
		.active_timeout_ns = sensor->settings.flows.active_timeout,
		.idle_timeout_ns = sensor->settings.flows.idle_timeout,
	};
	return readout_open(&options, &sensor->readout);
}

int sensor_open(struct sensor *sensor)
{
	int (*const steps[])(struct sensor *) = { open_kernel,      sensor_pods_start, sensor_identity_open,
		                                  open_namespaces,  open_delivery,     open_interfaces,
		                                  sensor_netns_open };
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		int r = steps[i](sensor);
		if (r < 0)
			return r;
	}
	sensor_recover(sensor);
	return open_readout(sensor);
}
