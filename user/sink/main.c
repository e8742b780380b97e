// SPDX-License-Identifier: Apache-2.0
/* sonde-sink: an OTLP/HTTP receiver that puts on its disk what it acknowledges. */
#include <event2/event.h>
#include <getopt.h>
#include <inttypes.h>
#include <locale.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include "user/log.h"
#include "user/sink/address.h"
#include "user/sink/server.h"
#include "user/sink/settings.h"
#include "user/sink/tls.h"
#include "user/version.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

#define SETS_MAX    64
#define ERROR_MAX   65536
#define GRACE       5  /* seconds that requests in progress have at the end */
#define OTHER_FILES 64 /* descriptors beside those of connections */

struct sink {
	struct sink_settings settings;
	struct event_base *base;
	struct store *store;
	struct ingest *ingest;
	struct metrics metrics;
	struct metrics_server *metrics_server;
	struct server *server;
	struct event *signals[3];
	bool stopping;
};

static const char usage[] = "usage: sonde-sink [-c FILE] [--set KEY=VALUE]... [--help] [--version]\n";

static void print_problems(const struct buf *error)
{
	fputs(buf_text(error), stderr);
}

static int print_help(void)
{
	_cleanup_(buf_free) struct buf keys = BUF_INIT(ERROR_MAX);
	if (config_help(&sink_schema, &keys) < 0)
		return EXIT_FAILED;
	printf("%s\nReceives logs of OTLP over HTTP with mutual TLS, and stores them before it acknowledges them.\n\n"
	       "Keys, for FILE (YAML), --set, and the environment (log.level: SONDE_SINK_LOG_LEVEL):\n%s",
	       usage, buf_text(&keys));
	return EXIT_DONE;
}

/* -1: go on; else the exit code. */
static int parse_options(int argc, char **argv, struct config_input *input, const char *sets[static SETS_MAX])
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "set", required_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },
		{ 0 },
	};
	for (int option; (option = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
		switch (option) {
		case 'c':
			input->file = optarg;
			break;
		case 's':
			if (input->n_sets == SETS_MAX) {
				fprintf(stderr, "sonde-sink: more than %d --set\n", SETS_MAX);
				return EXIT_USAGE;
			}
			sets[input->n_sets++] = optarg;
			break;
		case 'h':
			return print_help();
		case 'v':
			printf("sonde-sink %s\n", SONDE_VERSION);
			return EXIT_DONE;
		default:
			fputs(usage, stderr);
			return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "sonde-sink: unexpected argument \"%s\"\n%s", argv[optind], usage);
		return EXIT_USAGE;
	}
	input->sets = sets;
	input->environment = environ;
	return -1;
}

static void on_end(void *data)
{
	struct sink *sink = data;
	event_base_loopexit(sink->base, NULL);
}

static void on_stop_signal(evutil_socket_t number, short what, void *data)
{
	struct sink *sink = data;
	if (sink->stopping) {
		event_base_loopbreak(sink->base);
		return;
	}
	struct timeval grace = { .tv_sec = GRACE };
	sink->stopping = true;
	log_info("stopping, finishing the requests in progress", "signal", sigabbrev_np((int)number));
	event_base_loopexit(sink->base, &grace);
	server_stop(sink->server, on_end, sink);
}

static int load_context(const struct sink_settings *settings, SSL_CTX **ret_context)
{
	_cleanup_(buf_free) struct buf error = BUF_INIT(ERROR_MAX);
	int r = tls_context_new(settings->ca, settings->cert, settings->key, ret_context, &error);
	if (r < 0)
		print_problems(&error);
	return r;
}

static void on_reload_signal(evutil_socket_t number, short what, void *data)
{
	struct sink *sink = data;
	SSL_CTX *context;
	if (load_context(&sink->settings, &context) < 0) {
		log_error("cannot read the new certificates, keeping the old ones");
		return;
	}
	server_set_context(sink->server, context);
	SSL_CTX_free(context);
	log_info("read ca, cert and key again");
}

static int watch_signals(struct sink *sink)
{
	static const struct {
		int number;
		event_callback_fn callback;
	} signals[] = {
		{ SIGINT, on_stop_signal },
		{ SIGTERM, on_stop_signal },
		{ SIGHUP, on_reload_signal },
	};
	_Static_assert(ARRAY_SIZE(signals) == ARRAY_SIZE(sink->signals), "an event for each signal");
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* write(2) says it as well */
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		sink->signals[i] = evsignal_new(sink->base, signals[i].number, signals[i].callback, sink);
		if (!sink->signals[i] || evsignal_add(sink->signals[i], NULL) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* accept(2) shall not be what ends first. */
static void raise_file_limit(void)
{
	struct rlimit limit;
	rlim_t need = SERVER_CONNECTIONS_MAX + OTHER_FILES;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= need)
		return;
	limit.rlim_cur = limit.rlim_max < need ? limit.rlim_max : need;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur < need)
		log_warn("the limit of open files is low, connections beyond it have to wait", "limit",
		         LOG_FMT("%ju", (uintmax_t)limit.rlim_cur));
}

static int open_store(struct sink *sink)
{
	_cleanup_(buf_free) struct buf error = BUF_INIT(ERROR_MAX);
	struct store_report report;
	int r = store_open(sink->settings.dir, &sink->store, &report, &error);
	if (r < 0) {
		print_problems(&error);
		return r;
	}
	if (report.cut || report.journal.torn)
		log_info("the last run did not end by itself: cut off what it had not acknowledged", "bytes",
		         LOG_FMT("%" PRIu64, report.cut));
	if (report.journal.damaged)
		log_error("the journal is damaged: batches it does not know may be stored again", "dir",
		          sink->settings.dir);
	if (report.missing)
		log_error("the latest files are shorter than what was acknowledged: something cut them", "dir",
		          sink->settings.dir, "bytes", LOG_FMT("%" PRIu64, report.missing));
	return ingest_new(sink->store, &sink->metrics, &sink->ingest);
}

static void refresh_metrics(struct metrics *metrics, void *data)
{
	const struct sink *sink = data;
	metrics->streams = store_streams(sink->store);
}

static int listen_failed(const char *key, const char *listen, int error)
{
	log_error("cannot listen", "key", key, "address", listen, "error", LOG_ERRNO(error));
	return error;
}

/* "0.0.0.0:4318" with the port where it really listens. */
static void bound_address(const char *listen, uint16_t port, char text[static ADDRESS_TEXT_MAX])
{
	const char *colon = strrchr(listen, ':');
	snprintf(text, ADDRESS_TEXT_MAX, "%.*s:%u", colon ? (int)(colon - listen) : 0, listen, port);
}

static int start(struct sink *sink)
{
	const struct sink_settings *settings = &sink->settings;
	SSL_CTX *context;
	uint16_t port, metrics_port;
	char address[ADDRESS_TEXT_MAX], metrics_address[ADDRESS_TEXT_MAX] = "";
	int r = load_context(settings, &context);
	if (r < 0)
		return r;

	struct server_options options = {
		.listen = settings->listen,
		.context = context,
		.ingest = sink->ingest,
		.metrics = &sink->metrics,
		.max_body = settings->max_body,
	};
	r = server_new(sink->base, &options, &sink->server, &port);
	SSL_CTX_free(context);
	if (r < 0)
		return listen_failed("listen", settings->listen, r);
	bound_address(settings->listen, port, address);

	if (*settings->metrics.listen) {
		r = metrics_server_new(sink->base, settings->metrics.listen, &sink->metrics, refresh_metrics, sink,
		                       &sink->metrics_server, &metrics_port);
		if (r < 0)
			return listen_failed("metrics.listen", settings->metrics.listen, r);
		bound_address(settings->metrics.listen, metrics_port, metrics_address);
	}
	log_info("listening", "address", address, "dir", settings->dir, "metrics",
	         *metrics_address ? metrics_address : NULL, "version", SONDE_VERSION, "streams",
	         LOG_FMT("%zu", store_streams(sink->store)));
	return 0;
}

static void release(struct sink *sink)
{
	if (sink->server)
		server_free(sink->server);
	if (sink->metrics_server)
		metrics_server_free(sink->metrics_server);
	if (sink->ingest)
		ingest_free(sink->ingest);
	if (sink->store)
		store_close(sink->store);
	for (size_t i = 0; i < ARRAY_SIZE(sink->signals); i++)
		if (sink->signals[i])
			event_free(sink->signals[i]);
	if (sink->base)
		event_base_free(sink->base);
	sink_settings_free(&sink->settings);
}

static int run(struct sink *sink)
{
	sink->base = event_base_new();
	if (!sink->base)
		return -ENOMEM;
	int r = watch_signals(sink);
	if (r == 0)
		r = open_store(sink);
	if (r == 0)
		r = start(sink);
	if (r == 0 && event_base_dispatch(sink->base) < 0)
		r = -EIO;
	return r;
}

int main(int argc, char **argv)
{
	const char *sets[SETS_MAX];
	struct config_input input = { 0 };
	int code = parse_options(argc, argv, &input, sets);
	if (code >= 0)
		return code;

	struct sink sink = { 0 };
	_cleanup_(buf_free) struct buf error = BUF_INIT(ERROR_MAX);
	if (sink_settings_load(&input, &sink.settings, &error) < 0) {
		print_problems(&error);
		return EXIT_USAGE;
	}
	log_setup((enum log_level)sink.settings.log.level, (enum log_format)sink.settings.log.format);
	raise_file_limit();
	int r = run(&sink);
	if (r == 0)
		log_info("stopped");
	else
		log_error("cannot run", "error", LOG_ERRNO(r));
	release(&sink);
	return r == 0 ? EXIT_DONE : EXIT_FAILED;
}
