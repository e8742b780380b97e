// SPDX-License-Identifier: Apache-2.0
/* `sonde check`: can the sensor run here, and what is used instead of what is missing? */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/utsname.h>
#include "user/certificate.h"
#include "user/clock.h"
#include "user/commands.h"
#include "user/filter.h"
#include "user/identity.h"
#include "user/loader.h"
#include "user/pins.h"
#include "user/post.h"
#include "user/probe.h"
#include "user/sensor_internal.h"

enum result { RESULT_OK, RESULT_WARN, RESULT_FAIL };
static const char *const result_names[] = { "ok", "warn", "fail" };

/* The answers, in the order in which they are found. */
struct report {
	json_t *checks;
	bool failed;
};

static void tell(struct report *report, enum result result, const char *name, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static void tell(struct report *report, enum result result, const char *name, const char *format, ...)
{
	char detail[8192];
	va_list args;
	va_start(args, format);
	vsnprintf(detail, sizeof(detail), format, args);
	va_end(args);
	json_array_append_new(report->checks, json_pack("{s:s,s:s,s:s}", "name", name, "result", result_names[result],
	                                                "detail", detail));
	report->failed = report->failed || result == RESULT_FAIL;
}

static uint64_t effective_capabilities(void)
{
	uint64_t capabilities = 0;
	char line[256];
	_cleanup_(fclosep) FILE *file = fopen("/proc/self/status", "re");
	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, "CapEff:", strlen("CapEff:")) == 0)
			capabilities = strtoull(line + strlen("CapEff:"), NULL, 16);
	return capabilities;
}

struct capability {
	int number;
	const char *name, *what_for;
};

/* Without them the host's own interfaces are watched all the same. */
static void check_namespace_capabilities(struct report *report)
{
	static const struct capability needed[] = {
		{ CAP_SYS_ADMIN, "CAP_SYS_ADMIN", "entering the network namespaces of pods" },
		{ CAP_SYS_PTRACE, "CAP_SYS_PTRACE", "finding the network namespaces of pods" },
	};
	uint64_t have = effective_capabilities();
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		if (have & 1ULL << needed[i].number)
			tell(report, RESULT_OK, needed[i].name, "there");
		else
			tell(report, RESULT_WARN, needed[i].name,
			     "missing; interfaces.netns: all needs it for %s: only the host's own interfaces will be watched",
			     needed[i].what_for);
	}
}

static void check_capabilities(struct report *report)
{
	static const struct capability needed[] = {
		{ 39 /* CAP_BPF */, "CAP_BPF", "loading programs, making and pinning maps" },
		{ CAP_NET_ADMIN, "CAP_NET_ADMIN", "attaching to interfaces" },
		{ 38 /* CAP_PERFMON */, "CAP_PERFMON", "direct access to packets with variable offsets" },
	};
	uint64_t have = effective_capabilities();
	bool all = have & 1ULL << CAP_SYS_ADMIN;

	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		if (have & 1ULL << needed[i].number)
			tell(report, RESULT_OK, needed[i].name, "there");
		else if (all && needed[i].number != CAP_NET_ADMIN)
			tell(report, RESULT_OK, needed[i].name, "covered by CAP_SYS_ADMIN");
		else
			tell(report, RESULT_FAIL, needed[i].name, "missing; it is needed for %s", needed[i].what_for);
	}
	if (!(have & 1ULL << CAP_SYS_PTRACE))
		tell(report, RESULT_WARN, "CAP_SYS_PTRACE",
		     "missing; processes of other users are told by their command names, of 15 bytes");
}

static void check_kernel(struct report *report, const struct settings *settings)
{
	struct loader_options options;
	struct utsname name;
	char reason[256];

	uname(&name);
	if (probe_required(reason, sizeof(reason)) < 0) {
		tell(report, RESULT_FAIL, "kernel", "%s: %s", name.release, reason);
		return;
	}
	tell(report, RESULT_OK, "kernel", "%s", name.release);
	for (int feature = 0; feature < FEATURE_MAX; feature++) {
		const struct feature_info *info = feature_info(feature);
		if (feature_available(feature))
			tell(report, RESULT_OK, info->name, "there");
		else
			tell(report, RESULT_OK, info->name, "not used (the kernel has it since %s): %s instead",
			     info->since, info->instead);
	}
	options = sensor_loader_options(settings);
	int r = loader_try(&options);
	if (r < 0)
		tell(report, RESULT_FAIL, "programs", "the kernel refuses them: %s; %s", LOG_ERRNO(r),
		     loader_messages());
	else
		tell(report, RESULT_OK, "programs", "load, with room for %" PRIu64 " flows", settings->flows.max);
}

/* One link type: what the expression became, and what a packet costs. */
static void check_filter_for(struct report *report, const char *expression, enum link_type link_type, const char *name)
{
	const struct filter_maps no_maps = { -1, -1 };
	_cleanup_(filter_program_free) struct filter_program program = { 0 };
	_cleanup_(buf_free) struct buf refused = BUF_INIT(4096);
	unsigned ns;

	int r = filter_build(expression, link_type, &no_maps, &program, &refused);
	if (r == 0)
		r = filter_measure(expression, link_type, &ns);
	if (r < 0)
		tell(report, RESULT_FAIL, "filter", "%s: %s", name, LOG_ERRNO(r));
	else if (refused.size)
		tell(report, RESULT_WARN, "filter", "%s: nothing matches, since libpcap refuses it there: %s", name,
		     buf_text(&refused));
	else
		tell(report, RESULT_OK, "filter",
		     "%s: %zu classic instructions, %zu of eBPF; about %u ns a packet (an estimate on this machine)",
		     name, program.n_classic, program.n, ns);
}

static void check_filter(struct report *report, const struct settings *settings)
{
	if (filter_is_empty(settings->filter)) {
		tell(report, RESULT_OK, "filter", "none: every packet is observed");
		return;
	}
	check_filter_for(report, settings->filter, LINK_ETHERNET, "Ethernet");
	check_filter_for(report, settings->filter, LINK_RAW_IP, "raw IP");
}

static void check_bpffs(struct report *report, const struct settings *settings)
{
	_cleanup_(closep) int lock = -1;
	bool made = access(settings->bpffs, F_OK) < 0;
	int r = pins_prepare(settings->bpffs);
	if (r < 0)
		tell(report, RESULT_FAIL, "bpffs",
		     "%s cannot be used: %s; mount a BPF file system (mount -t bpf bpf /sys/fs/bpf)", settings->bpffs,
		     r == -ENOTTY ? "it is not on a BPF file system" : LOG_ERRNO(r));
	else if (pins_lock(settings->bpffs, &lock) == -EWOULDBLOCK)
		tell(report, RESULT_WARN, "bpffs", "%s is in use by a running sensor", settings->bpffs);
	else
		tell(report, RESULT_OK, "bpffs", "%s", settings->bpffs);
	if (made)
		rmdir(settings->bpffs);
}

static void check_directory(struct report *report, const char *name, const char *path, const char *without)
{
	if (access(path, R_OK | X_OK) == 0)
		tell(report, RESULT_OK, name, "%s", path);
	else
		tell(report, RESULT_WARN, name, "%s cannot be read (%s): %s", path, strerrordesc_np(errno), without);
}

/* What each source of names is good for, and what records lack without it. */
static void check_identity(struct report *report, const struct settings *settings)
{
	struct identity_options options = {
		.cgroup_root = settings->node.cgroup_root,
		.pods_dir = settings->node.pods_dir,
		.max_cgroups = 16384,
	};
	_cleanup_(identity_freep) struct identity *identity = NULL;
	_cleanup_(podnet_freep) struct podnet *podnet = NULL;
	char containers[PATH_MAX];

	int r = identity_open(&options, &identity);
	if (r < 0) {
		tell(report, RESULT_WARN, "cgroups",
		     "no cgroup v2 tree at %s (%s): records will carry no pod names and no processes",
		     options.cgroup_root, LOG_ERRNO(r));
		return;
	}
	tell(report, identity_fd(identity) < 0 ? RESULT_WARN : RESULT_OK, "cgroups", "%s%s", options.cgroup_root,
	     identity_fd(identity) < 0 ? ", read again and again: raise fs.inotify.max_user_watches" : "");
	r = podnet_open(identity, &podnet);
	if (r == 0)
		tell(report, RESULT_OK, "addresses", "of pods are read by rtnetlink");
	else
		tell(report, RESULT_WARN, "addresses",
		     "of pods cannot be read (%s): ends without a socket are not named", LOG_ERRNO(r));
	snprintf(containers, sizeof(containers), "%s/../containers", options.pods_dir);
	check_directory(report, "pods", options.pods_dir, "pods are named by their uid only");
	check_directory(report, "containers", containers, "containers are told by their id only");
}

static void check_certificate(struct report *report, const char *name, const char *path)
{
	if (!*path)
		return;
	int64_t expiry = certificate_expiry(path), now = (int64_t)(clock_realtime_ns() / NS_PER_SEC);
	if (!expiry)
		tell(report, RESULT_FAIL, name, "no certificate can be read from %s", path);
	else if (expiry < now)
		tell(report, RESULT_FAIL, name, "%s expired %" PRId64 " days ago", path, (now - expiry) / 86400);
	else
		tell(report, expiry - now < 30 * 86400 ? RESULT_WARN : RESULT_OK, name,
		     "%s expires in %" PRId64 " days", path, (expiry - now) / 86400);
}

/* An empty batch: it shows name, route, both certificates and that the backend speaks OTLP. */
static void check_backend(struct report *report, const struct settings *settings)
{
	struct sensor sensor = { .host = "check" };
	struct ship_options options = sensor_ship_options(&sensor, settings);
	_cleanup_(post_freep) struct post *post = NULL;
	_cleanup_(buf_free) struct buf empty = BUF_INIT(1);
	struct post_result result;

	if (!*options.url) {
		tell(report, RESULT_WARN, "backend", "backend.url is empty: records will be dropped as no_backend");
		return;
	}
	check_certificate(report, "backend.ca", options.ca);
	check_certificate(report, "backend.cert", options.cert);
	options.on_socket = NULL;
	int r = post_new(&options, &post);
	if (r == 0)
		r = post_start(post, &empty, false);
	if (r < 0) {
		tell(report, RESULT_FAIL, "backend", "%s: %s", options.url, LOG_ERRNO(r));
		return;
	}
	while (!post_wait(post, -1, options.timeout_ns, &result))
		;
	if (!result.status)
		tell(report, RESULT_FAIL, "backend", "%s: %s", options.url, result.error);
	else
		tell(report, result.status / 100 == 2 ? RESULT_OK : RESULT_FAIL, "backend", "%s answers with %d",
		     options.url, result.status);
}

static void print_report(const struct report *report, bool json)
{
	const json_t *check;
	size_t i;

	if (json) {
		json_t *root = json_pack("{s:b,s:O}", "ok", !report->failed, "checks", report->checks);
		json_dumpf(root, stdout, JSON_INDENT(2));
		printf("\n");
		json_decref(root);
		return;
	}
	json_array_foreach(report->checks, i, check)
		printf("%-5s %-16s %s\n", json_string_value(json_object_get(check, "result")),
	               json_string_value(json_object_get(check, "name")),
	               json_string_value(json_object_get(check, "detail")));
	printf("%s\n", report->failed ? "the sensor cannot run here as configured" : "the sensor can run here");
}

int command_check(const struct command_line *line)
{
	struct settings settings;
	if (!command_settings(line, &settings))
		return EXIT_USAGE;

	struct report report = { .checks = json_array() };
	check_capabilities(&report);
	if (settings.interfaces.netns == NETNS_ALL)
		check_namespace_capabilities(&report);
	check_kernel(&report, &settings);
	check_filter(&report, &settings);
	check_bpffs(&report, &settings);
	check_identity(&report, &settings);
	check_backend(&report, &settings);
	print_report(&report, line->json);
	json_decref(report.checks);
	settings_free(&settings);
	return report.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
