/* SPDX-License-Identifier: Apache-2.0 */
/* What `sonde replay` prints. */
#pragma once

#include <stdio.h>
#include "user/replay.h"

/* One JSON object, a line a flow: design and example in docs/replay.md. 0 or -errno. */
int replay_print_json(const struct replay_result *result, FILE *out);

/* Counts, and a table of the flows, biggest first. 0 or -errno. */
int replay_print_text(const struct replay_result *result, FILE *out);
