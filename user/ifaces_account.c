// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <string.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "user/ifaces_internal.h"

void hook_stats_add(struct hook_stats *to, const struct hook_stats *from)
{
	to->seen += from->seen;
	for (int verdict = 0; verdict < VERDICT_MAX; verdict++)
		to->verdicts[verdict] += from->verdicts[verdict];
	to->bytes_observed += from->bytes_observed;
	to->table_full_packets += from->table_full_packets;
	to->table_full_bytes += from->table_full_bytes;
}

/* One slot of any layout's iface_stats; CPU_STATS has room for a value a CPU. */
static int slot_read(int map, uint32_t slot, struct hook_stats *cpu_stats, int cpus,
                     struct hook_stats ret_stats[static DIRECTION_MAX])
{
	struct hook_stats stats[DIRECTION_MAX] = { 0 };
	for (uint32_t direction = 0; direction < DIRECTION_MAX; direction++) {
		uint32_t index = slot * DIRECTION_MAX + direction;
		if (bpf_map_lookup_elem(map, &index, cpu_stats) < 0)
			return -errno;
		for (int cpu = 0; cpu < cpus; cpu++)
			hook_stats_add(&stats[direction], &cpu_stats[cpu]);
	}
	memcpy(ret_stats, stats, sizeof(stats));
	return 0;
}

int iface_stats_read(const struct ifaces *ifaces, uint32_t slot, struct hook_stats ret_stats[static DIRECTION_MAX])
{
	return slot_read(ifaces->loader->maps.iface_stats, slot, ifaces->cpu_stats, ifaces->cpus, ret_stats);
}

int iface_stats_clear(const struct ifaces *ifaces, uint32_t slot)
{
	memset(ifaces->cpu_stats, 0, sizeof(*ifaces->cpu_stats) * (size_t)ifaces->cpus);
	for (uint32_t direction = 0; direction < DIRECTION_MAX; direction++) {
		uint32_t index = slot * DIRECTION_MAX + direction;
		if (bpf_map_update_elem(ifaces->loader->maps.iface_stats, &index, ifaces->cpu_stats, BPF_ANY) < 0)
			return -errno;
	}
	return 0;
}

int ifaces_accounts(const struct ifaces *ifaces, void (*visit)(const struct iface_account *account, void *data),
                    void *data)
{
	struct iface *iface, *next;
	HASH_ITER (by_id, ifaces->by_id, iface, next) {
		struct iface_account account = { .info = &iface->info };
		int r = iface_stats_read(ifaces, iface->info.slot, account.stats);
		if (r < 0)
			return r;
		visit(&account, data);
	}
	return 0;
}

int ifaces_sum(const struct sensor_maps *maps, const struct books_state *state,
               struct hook_stats ret_sum[static DIRECTION_MAX])
{
	struct hook_stats sum[DIRECTION_MAX] = { 0 };
	uint32_t id, *previous = NULL;
	int cpus = libbpf_num_possible_cpus();
	if (cpus < 0)
		return cpus;
	_cleanup_(freep) struct hook_stats *cpu_stats = calloc((size_t)cpus, sizeof(*cpu_stats));
	if (!cpu_stats)
		return -ENOMEM;

	memcpy(sum, state->departed, sizeof(sum));
	for (; bpf_map_get_next_key(maps->ifaces, previous, &id) == 0; previous = &id) {
		struct hook_stats stats[DIRECTION_MAX];
		struct iface_info info;
		if (id == state->departed_iface_id || bpf_map_lookup_elem(maps->ifaces, &id, &info) < 0)
			continue;
		int r = slot_read(maps->iface_stats, info.slot, cpu_stats, cpus, stats);
		if (r < 0)
			return r;
		for (int direction = 0; direction < DIRECTION_MAX; direction++)
			hook_stats_add(&sum[direction], &stats[direction]);
	}
	memcpy(ret_sum, sum, sizeof(sum));
	return 0;
}

static void add_account(const struct iface_account *account, void *data)
{
	for (int direction = 0; direction < DIRECTION_MAX; direction++)
		hook_stats_add(data, &account->stats[direction]);
}

int ifaces_total(const struct ifaces *ifaces, struct hook_stats *ret_total)
{
	struct hook_stats total = { 0 };
	struct books_state state;

	books_read(ifaces->books, &state);
	for (int direction = 0; direction < DIRECTION_MAX; direction++)
		hook_stats_add(&total, &state.departed[direction]);
	int r = ifaces_accounts(ifaces, add_account, &total);
	if (r < 0)
		return r;
	*ret_total = total;
	return 0;
}

uint64_t ifaces_run_ns(const struct ifaces *ifaces)
{
	uint64_t sum = ifaces->departed_run_ns;
	struct iface *iface, *next;
	HASH_ITER (by_id, ifaces->by_id, iface, next)
		for (int direction = 0; direction < DIRECTION_MAX; direction++)
			sum += program_run_ns(iface->programs[direction]);
	return sum;
}

size_t ifaces_attached(const struct ifaces *ifaces)
{
	return HASH_CNT(by_id, ifaces->by_id);
}

const char *ifaces_name(const struct ifaces *ifaces, uint32_t iface_id)
{
	struct iface *iface;
	HASH_FIND(by_id, ifaces->by_id, &iface_id, sizeof(iface_id), iface);
	if (iface)
		return iface->info.name;
	for (size_t i = 0; i < DEPARTED_NAMES; i++)
		if (ifaces->departed[i].id == iface_id)
			return ifaces->departed[i].name;
	return "";
}

uint32_t ifaces_ifindex(const struct ifaces *ifaces, uint32_t iface_id)
{
	struct iface *iface;
	HASH_FIND(by_id, ifaces->by_id, &iface_id, sizeof(iface_id), iface);
	if (iface)
		return iface->info.domain ? 0 : iface->info.ifindex;
	for (size_t i = 0; i < DEPARTED_NAMES; i++)
		if (ifaces->departed[i].id == iface_id)
			return ifaces->departed[i].ifindex;
	return 0;
}
