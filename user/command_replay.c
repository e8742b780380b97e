// SPDX-License-Identifier: Apache-2.0
/* `sonde replay`: capture files in the order of their packets' time, and what came of them. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "user/commands.h"
#include "user/probe.h"
#include "user/replay.h"
#include "user/replay_text.h"

/* A capture file, and the frame that comes next in it. */
struct source {
	struct capture *capture;
	struct capture_frame frame;
	bool there;
};

struct sources {
	struct source *items;
	size_t n;
	bool broken; /* at least one could not be read to its end */
};

static void sources_clear(struct sources *sources)
{
	for (size_t i = 0; i < sources->n; i++)
		capture_free(sources->items[i].capture);
	free(sources->items);
}

static void advance(struct sources *sources, struct source *source)
{
	char reason[CAPTURE_REASON_SIZE] = "";
	int r = capture_next(source->capture, &source->frame, reason);
	source->there = r > 0;
	if (r >= 0)
		return;
	fprintf(stderr, "sonde replay: %s: %s; what comes before that counts\n", capture_path(source->capture),
	        *reason ? reason : LOG_ERRNO(r));
	sources->broken = true;
}

static int sources_open(const struct command_line *line, struct sources *sources)
{
	char reason[CAPTURE_REASON_SIZE] = "out of memory";
	sources->items = calloc(line->n_files, sizeof(*sources->items));
	if (!sources->items)
		return -ENOMEM;
	for (size_t i = 0; i < line->n_files; i++) {
		int r = capture_open(line->files[i], &sources->items[i].capture, reason);
		if (r < 0) {
			fprintf(stderr, "sonde replay: %s: %s\n", line->files[i], reason);
			return r;
		}
		sources->n++;
	}
	for (size_t i = 0; i < sources->n; i++)
		advance(sources, &sources->items[i]);
	return 0;
}

/* Of the frames that come next the oldest; NULL: all files are at their end. */
static struct source *oldest(const struct sources *sources)
{
	struct source *found = NULL;
	for (size_t i = 0; i < sources->n; i++) {
		struct source *source = &sources->items[i];
		if (source->there && (!found || source->frame.time_ns < found->frame.time_ns))
			found = source;
	}
	return found;
}

static int replay_all(struct sources *sources, struct replay *replay)
{
	struct source *source;
	while ((source = oldest(sources))) {
		int r = replay_frame(replay, &source->frame);
		if (r < 0)
			return r;
		advance(sources, source);
	}
	return 0;
}

/* The one file's name; several files, or standard input: which it was, no flow could say. */
static const char *tap_name(const struct command_line *line)
{
	if (line->n_files != 1 || strcmp(line->files[0], "-") == 0)
		return "";
	const char *slash = strrchr(line->files[0], '/');
	return slash ? slash + 1 : line->files[0];
}

static int replay_files(const struct command_line *line, const struct settings *settings, struct sources *sources)
{
	_cleanup_(buf_free) struct buf reason = BUF_INIT(1 << 16);
	_cleanup_(replay_freep) struct replay *replay = NULL;
	struct replay_result result;

	int r = replay_open(settings, tap_name(line), &reason, &replay);
	if (r == 0)
		r = replay_all(sources, replay);
	if (r == 0)
		r = replay_finish(replay, &result);
	if (r == 0)
		r = line->json ? replay_print_json(&result, stdout) : replay_print_text(&result, stdout);
	if (r == -EPROTO)
		fprintf(stderr, "sonde replay: the verdicts do not add up to the packets\n");
	else if (r == -E2BIG)
		fprintf(stderr, "sonde replay: more than %u flows; split the captures, or set a filter\n",
		        REPLAY_FLOWS_MAX);
	else if (r < 0)
		fprintf(stderr, "sonde replay: %s%s%s\n", LOG_ERRNO(r), reason.size ? ": " : "", buf_text(&reason));
	return r;
}

int command_replay(const struct command_line *line)
{
	_cleanup_(sources_clear) struct sources sources = { 0 };
	struct settings settings;
	char reason[256];

	if (!line->n_files) {
		fprintf(stderr, "sonde replay: which capture file? see `sonde replay --help`\n");
		return EXIT_USAGE;
	}
	if (!command_settings(line, &settings))
		return EXIT_USAGE;
	int r = sources_open(line, &sources);
	if (r == 0 && (r = probe_required(reason, sizeof(reason))) < 0)
		fprintf(stderr, "sonde replay: the programs cannot run here: %s\n", reason);
	if (r == 0)
		r = replay_files(line, &settings, &sources);
	settings_free(&settings);
	return r < 0 || sources.broken ? EXIT_FAILURE : EXIT_SUCCESS;
}
