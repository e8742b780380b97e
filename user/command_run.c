// SPDX-License-Identifier: Apache-2.0
/* `sonde run` and `sonde status`: the sensor, and asking it. */
#include <errno.h>
#include <string.h>
#include "user/commands.h"
#include "user/control.h"
#include "user/probe.h"
#include "user/sensor.h"
#include "user/status.h"

#define STATUS_SECONDS   30
#define STATUS_MAX_BYTES (8 << 20)

int command_run(const struct command_line *line)
{
	const struct sensor_options options = { .input = line->input };
	struct settings settings;
	char reason[256];

	if (!command_settings(line, &settings))
		return EXIT_USAGE;
	log_setup((enum log_level)settings.log.level, (enum log_format)settings.log.format);
	int r = probe_required(reason, sizeof(reason));
	if (r < 0)
		log_error("the sensor cannot run here; `sonde check` tells more", "reason", reason);
	else
		r = sensor_run(&options, &settings);
	settings_free(&settings);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int command_status(const struct command_line *line)
{
	_cleanup_(buf_free) struct buf json = BUF_INIT(STATUS_MAX_BYTES), text = BUF_INIT(STATUS_MAX_BYTES);
	struct settings settings;

	if (!command_settings(line, &settings))
		return EXIT_USAGE;
	int r = control_ask(settings.control, "status", STATUS_SECONDS, &json);
	if (r < 0)
		fprintf(stderr,
		        "sonde status: no sensor answers on %s (%s); is `sonde run` running, as the same user?\n",
		        settings.control, LOG_ERRNO(r));
	else if (line->json)
		fputs(buf_text(&json), stdout);
	else if ((r = status_text(buf_text(&json), &text)) == 0)
		fputs(buf_text(&text), stdout);
	else
		fprintf(stderr, "sonde status: the sensor answered: %s", buf_text(&json));
	settings_free(&settings);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
