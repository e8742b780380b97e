/* SPDX-License-Identifier: Apache-2.0 */
/* `sonde run`: everything put together on one event loop. */
#pragma once

#include "user/settings.h"

struct sensor_options {
	struct config_input input; /* to read again on SIGHUP */
};

/*
 * Runs until SIGINT or SIGTERM: takes SETTINGS over (left empty). Logs what goes wrong. 0 after a clean stop; -errno where
 * it could not start.
 */
int sensor_run(const struct sensor_options *options, struct settings *settings);
