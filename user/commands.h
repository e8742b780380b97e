/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of `sonde`. Each prints for itself and returns an exit code: 0 done, 1 failed, 2 wrong usage or config. */
#pragma once

#include "user/settings.h"

#define EXIT_USAGE 2

struct command_line {
	struct config_input input;
	bool json;
	char *const *files; /* what follows the options */
	size_t n_files;
};

int command_run(const struct command_line *line);
int command_check(const struct command_line *line);
int command_replay(const struct command_line *line);
int command_status(const struct command_line *line);
int command_detach(const struct command_line *line);

/* The configuration of a command line; false: what is wrong was printed. Free with settings_free. */
bool command_settings(const struct command_line *line, struct settings *ret_settings);
