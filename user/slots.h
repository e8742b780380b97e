/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The per-CPU slots in front of the flow table (struct flow_slot), as the loader reads them: a flow's totals are those in
 * the table plus what its slots have not folded yet. The order of reading makes the sum exact:
 *
 *	slots_index()		which flows are in which slot, and each slot's sequence
 *	the entry is read	from the table
 *	slots_add()		the slots' share, unless a slot was folded since the index: then the entry is read again
 *
 * A slot that a flow gets behind the index is left to the next pass: the sum is then of a moment a little earlier. A flow
 * that is over, and was for FLOW_GRACE_NS, gets none: its sum is final.
 */
#pragma once

#include <stdbool.h>
#include "user/loader.h"

struct slots;

/* Maps the slots of MAPS (which may be closed afterwards) into memory, to read. 0 or -errno. */
int slots_open(const struct sensor_maps *maps, struct slots **ret_slots);
void slots_free(struct slots *slots);
DEFINE_CLEANUP(struct slots *, slots_free)

/* Notes which flows are in slots now. */
void slots_index(struct slots *slots);

/*
 * Adds to FLOW, read from the table after slots_index(), what its slots have counted: packets, bytes, last_ns. False: a
 * slot changed hands or was folded since the index; FLOW is to be read AGAIN first, and then since the former call.
 */
bool slots_add(struct slots *slots, struct flow *flow, bool again);
