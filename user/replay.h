/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames of a capture through the programs themselves (BPF_PROG_TEST_RUN), in maps of their own, by the capture's clock:
 * what the sensor would have made of this traffic at an interface's ingress hook. docs/replay.md.
 */
#pragma once

#include "user/capture.h"
#include "user/replay_flows.h"
#include "user/settings.h"

struct replay;

/*
 * Loads the programs with what SETTINGS say of filter, flows and packets; INTERFACE names the tap in the flows, "" for no
 * name. 0 or -errno; REASON, if not empty, says more. The calling thread stays on one CPU from then on. Free with
 * replay_free.
 */
int replay_open(const struct settings *settings, const char *interface, struct buf *reason, struct replay **ret_replay);
void replay_free(struct replay *replay);
DEFINE_CLEANUP(struct replay *, replay_free)

/*
 * One frame. Time does not go back: a frame that is older than the latest one counts as of that time. 0, -errno; -E2BIG:
 * more flows than replay_flows.h bears.
 */
int replay_frame(struct replay *replay, const struct capture_frame *frame);

struct replay_result {
	uint64_t packets; /* the sum of verdicts */
	uint64_t verdicts[VERDICT_MAX];
	uint64_t samples, sampled_bytes;
	const struct replay_flows *flows; /* the replay's */
};

/* Ends all flows. 0 or -errno; -EPROTO: the verdicts do not add up to the packets. */
int replay_finish(struct replay *replay, struct replay_result *ret_result);
