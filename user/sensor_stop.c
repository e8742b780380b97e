// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <inttypes.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include "user/pins.h"
#include "user/sensor_internal.h"

/*
 * Waits until no CPU runs a program that was just detached: BPF programs run in RCU read sections, and this membarrier
 * command is a grace period. Where it is refused (nohz_full), longer than any program runs.
 */
static void wait_for_programs(void)
{
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) < 0)
		usleep(100 * 1000);
}

/* Everything the kernel still holds becomes records; then the shipper gets one request's time to deliver them. */
static void flush(struct sensor *sensor)
{
	while (sensor_drain(sensor, SIZE_MAX))
		;
	int r = sensor_pass_flush(sensor);
	if (r < 0)
		log_error("the flow table could not be read to its end; what it holds is lost if the pins go", "error",
		          LOG_ERRNO(r));
	while (sensor_drain(sensor, SIZE_MAX))
		;
	naming_retry(sensor->queue, sensor->enrich, true);
}

static void log_summary(const struct sensor *sensor)
{
	struct books_state state;
	struct hook_stats total;
	uint64_t acked = 0, dropped = 0;

	books_read(sensor->books, &state);
	for (int kind = 0; kind < RECORD_KIND_MAX; kind++) {
		acked += state.kinds[kind].acked;
		for (int reason = 0; reason < DROP_REASON_MAX; reason++)
			dropped += state.kinds[kind].dropped[reason];
	}
	if (ifaces_total(sensor->ifaces, &total) < 0)
		return;
	log_info("stopped", "seen", LOG_FMT("%llu", total.seen), "observed",
	         LOG_FMT("%llu", total.verdicts[VERDICT_OBSERVED]), "records_acked", LOG_FMT("%" PRIu64, acked),
	         "records_dropped", LOG_FMT("%" PRIu64, dropped), "books_difference",
	         LOG_FMT("%" PRIu64, sensor->flow_difference.packets));
}

void sensor_stop(struct sensor *sensor)
{
	bool keep = sensor->settings.keep_attached;
	log_info(keep ? "stopping, the programs stay attached" : "stopping");
	if (!keep) {
		int r = ifaces_detach(sensor->ifaces);
		if (r < 0)
			log_error("a hook could not be detached; `sonde detach` tries again", "error", LOG_ERRNO(r));
		r = sensor->sockets ? sockets_detach(sensor->sockets) : 0;
		if (r < 0)
			log_error("a socket hook could not be detached; `sonde detach` tries again", "error",
			          LOG_ERRNO(r));
		wait_for_programs();
	}
	flush(sensor);
	ship_stop(sensor->ship, sensor->settings.backend.timeout);
	sensor->ship = NULL;
	queue_free(sensor->queue, DROP_SHUTDOWN);
	sensor->queue = NULL;
	log_summary(sensor);
	if (keep)
		return;
	int r = pins_remove(sensor->settings.bpffs, sensor->loader->layout);
	if (r < 0)
		log_error("the pins could not be removed; `sonde detach` tries again", "bpffs", sensor->settings.bpffs,
		          "error", LOG_ERRNO(r));
	else
		rmdir(sensor->settings.bpffs);
}
