// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <bpf/bpf.h>
#include "bpf/iface.h"
#include "user/vlans.h"

/* Every entry has the mark of the latest round as its value: what has another one was not told again. */
struct round {
	int map, error;
	uint8_t mark;
};

static void tell(uint32_t iface_id, uint16_t vid, uint16_t outer, void *data)
{
	struct round *round = data;
	const struct vlan_key key = { .iface_id = iface_id, .vid = vid, .outer = outer };
	if (bpf_map_update_elem(round->map, &key, &round->mark, BPF_ANY) < 0 && round->error == 0)
		round->error = -errno;
}

static void remove_others(const struct round *round)
{
	struct vlan_key key, next;
	int r = bpf_map_get_next_key(round->map, NULL, &next);
	while (r == 0) {
		uint8_t mark;
		key = next;
		r = bpf_map_get_next_key(round->map, &key, &next);
		if (bpf_map_lookup_elem(round->map, &key, &mark) == 0 && mark != round->mark)
			bpf_map_delete_elem(round->map, &key);
	}
}

int vlans_tell(int map, const struct places *places)
{
	struct round round = { .map = map };
	struct vlan_key first;
	if (bpf_map_get_next_key(map, NULL, &first) == 0 && bpf_map_lookup_elem(map, &first, &round.mark) == 0)
		round.mark++;
	places_vlans(places, tell, &round);
	remove_others(&round);
	return round.error;
}
