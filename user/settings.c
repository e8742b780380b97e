// SPDX-License-Identifier: Apache-2.0
/* The sensor's keys, and what their values must be. docs/configuration.md explains them; a unit test compares the two.
 */
#include <ctype.h>
#include <errno.h>
#include <regex.h>
#include <string.h>
#include <sys/un.h>
#include "user/filter.h"
#include "user/listen.h"
#include "user/settings.h"
#include "user/settings_url.h"

#define KIB 1024ULL
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define MS  1000000ULL
#define S   (1000 * MS)
#define MIN (60 * S)
#define H   (60 * MIN)

/* By itself, not in the parentheses that anchor it: those would make one of "a)(b". */
static int check_regex(const char *value, struct buf *error)
{
	regex_t regex;
	char text[128];
	if (!*value) {
		buf_appendf(error, "matches no name; write .* for all interfaces");
		return -EINVAL;
	}
	int r = regcomp(&regex, value, REG_EXTENDED | REG_NOSUB);
	if (r) {
		regerror(r, &regex, text, sizeof(text));
		buf_appendf(error, "is not an extended regular expression (%s)", text);
		return -EINVAL;
	}
	regfree(&regex);
	return 0;
}

static int check_path(const char *value, struct buf *error)
{
	if (*value == '/')
		return 0;
	buf_appendf(error, "must be an absolute path");
	return -EINVAL;
}

static int check_optional_path(const char *value, struct buf *error)
{
	return *value ? check_path(value, error) : 0;
}

static int check_listen(const char *value, struct buf *error)
{
	char host[64];
	uint16_t port;
	if (!*value || listen_split(value, host, &port) == 0)
		return 0;
	buf_appendf(error, "must be address:port, such as 127.0.0.1:9797 or [::1]:9797, or empty for no endpoint");
	return -EINVAL;
}

/* What becomes a resource attribute: the name of a node or host (RFC 1123, and the underscores that are out there). */
static int check_node_name(const char *value, struct buf *error)
{
	for (const char *c = value; *c; c++) {
		if (!isalnum((unsigned char)*c) && !strchr("-._", *c)) {
			buf_appendf(error, "must be a host name of letters, digits, '-', '.' and '_'");
			return -EINVAL;
		}
	}
	return 0;
}

/* Compiles for Ethernet: what libpcap refuses for raw IP alone matches nothing there. */
static int check_filter(const char *value, struct buf *error)
{
	_cleanup_(classic_free) struct classic_program program = { 0 };
	_cleanup_(buf_free) struct buf reason = BUF_INIT(4096);
	if (filter_is_empty(value))
		return 0;
	int r = filter_compile(value, LINK_ETHERNET, &program, &reason);
	if (r < 0)
		buf_appendf(error, "is not a capture filter: %s", r == -EINVAL ? buf_text(&reason) : "out of memory");
	return r < 0 ? -EINVAL : 0;
}

static int check_glob(const char *value, struct buf *error)
{
	if (*value)
		return 0;
	buf_appendf(error, "matches no namespace; write \"*\" for all");
	return -EINVAL;
}

static const char *const namespace_actions[] = { [NAMESPACE_ALLOW] = "allow", [NAMESPACE_DENY] = "deny", NULL };
static const char *const netns_scopes[] = { [NETNS_HOST] = "host", [NETNS_ALL] = "all", NULL };
static const char *const compressions[] = { [COMPRESSION_NONE] = "none", [COMPRESSION_GZIP] = "gzip", NULL };
static const char *const levels[] = {
	[LOG_ERROR] = "error", [LOG_WARN] = "warn", [LOG_INFO] = "info", [LOG_DEBUG] = "debug", NULL
};
static const char *const formats[] = { [LOG_LOGFMT] = "logfmt", [LOG_JSON] = "json", NULL };

#define KEY(member, type) #member, CONFIG_##type, offsetof(struct settings, member)

/* snaplen's and ring.bytes' ranges keep the largest record far below the smallest ring. */
static const struct config_key keys[] = {
	{ KEY(interfaces.include, LIST), "", .max = 255, .check = check_regex, .live = true,
	  .help = "interfaces to watch, extended regular expressions; empty: all but lo" },
	{ KEY(interfaces.exclude, LIST), "", .max = 255, .check = check_regex, .live = true,
	  .help = "interfaces to leave alone, extended regular expressions; wins over include" },
	{ KEY(interfaces.hotplug, BOOL), "true", .live = true, .help = "watch interfaces that appear later too" },
	{ KEY(interfaces.netns, ENUM), "host", .choices = netns_scopes,
	  .help = "all: also watch inside the network namespaces of pods, see docs/datapath.md" },
	{ KEY(namespaces, RULES), "", .max = 255, .choices = namespace_actions, .check = check_glob, .live = true,
	  .help = "which Kubernetes namespaces are observed, the first rule that matches; none matches: allow" },
	{ KEY(filter, STRING), "", .max = FILTER_TEXT_MAX, .check = check_filter, .lines = true, .live = true,
	  .help = "observe only packets that match this expression, pcap-filter(7); empty: all" },
	{ KEY(flows.max, COUNT), "262144", 16, 16777216, .help = "flows the kernel's table holds" },
	{ KEY(flows.interval, DURATION), "10s", 100 * MS, H, .help = "time between two readings of the flow table" },
	{ KEY(flows.active_timeout, DURATION), "60s", 100 * MS, 24 * H,
	  .help = "a flow that goes on is written this often" },
	{ KEY(flows.idle_timeout, DURATION), "15s", 100 * MS, 24 * H,
	  .help = "a flow without packets for so long is over" },
	{ KEY(packets.enabled, BOOL), "true", .live = true, .help = "ship samples of packets beside the flows" },
	{ KEY(packets.head_bytes, BYTES), "1024", 0, 16 * MIB, .live = true,
	  .help = "sample each direction of a flow until it sent so many bytes" },
	{ KEY(packets.snaplen, BYTES), "256", 64, 9216, .live = true, .help = "bytes kept of a sampled packet" },
	{ KEY(packets.one_in, COUNT), "0", 0, 1000000000, .live = true,
	  .help = "sample one in so many of all other packets, by chance; 0: none" },
	{ KEY(packets.max_rate, COUNT), "10000", 0, 1000000, .live = true,
	  .help = "samples per second and CPU, with a fair share for each pod; 0: no bound" },
	{ KEY(sockets.enabled, BOOL), "true",
	  .help = "follow sockets: which process is at an end, connections, their round-trip times and retransmits" },
	{ KEY(ring.bytes, BYTES), "16MiB", 64 * KIB, GIB, .help = "ring buffer from kernel to sensor; a power of two" },
	{ KEY(backend.url, STRING), "", .max = 1024, .check = settings_check_url,
	  .help = "https://host[:port][/path] of an OTLP/HTTP receiver; empty: records are dropped, counted" },
	{ KEY(backend.ca, STRING), "", .max = 4095, .check = check_optional_path, .live = true,
	  .help = "file (PEM) of the authorities the backend's certificate may come from; empty: the system's" },
	{ KEY(backend.cert, STRING), "", .max = 4095, .check = check_optional_path, .live = true,
	  .help = "file (PEM) of the client certificate" },
	{ KEY(backend.key, STRING), "", .max = 4095, .check = check_optional_path, .live = true,
	  .help = "file (PEM) of the client certificate's private key" },
	{ KEY(backend.proxy, STRING), "", .max = 1024, .check = settings_check_proxy, .live = true,
	  .help = "http://host:port of a proxy that the backend is reached through (CONNECT); empty: none" },
	{ KEY(backend.no_proxy, STRING), "", .max = 1024, .live = true,
	  .help = "hosts, domains and networks reached without the proxy, separated by commas; *: all" },
	{ KEY(backend.compression, ENUM), "gzip", .choices = compressions, .help = "of what is sent" },
	{ KEY(backend.timeout, DURATION), "10s", 100 * MS, 5 * MIN, .live = true,
	  .help = "longest wait for an answer, connecting included" },
	{ KEY(batch.records, COUNT), "8192", 1, 65536, .help = "a batch is sent when it has so many records" },
	{ KEY(batch.bytes, BYTES), "1MiB", 4 * KIB, 16 * MIB, .help = "... or so many bytes, before compression" },
	{ KEY(batch.age, DURATION), "1s", 10 * MS, MIN, .help = "... or when its oldest record waited so long" },
	{ KEY(metrics.listen, STRING), "127.0.0.1:9797", .max = 63, .check = check_listen,
	  .help = "address:port of /metrics, /healthz and /readyz; empty: none" },
	{ KEY(node.name, STRING), "", .max = 253, .check = check_node_name,
	  .help = "the node's name in records; empty: the host's name" },
	{ KEY(node.cgroup_root, STRING), "/sys/fs/cgroup", .max = 4095, .check = check_path,
	  .help = "where the host's cgroup tree is mounted" },
	{ KEY(node.proc_root, STRING), "/proc", .max = 4095, .check = check_path,
	  .help = "where the host's processes are to be found" },
	{ KEY(node.pods_dir, STRING), "/var/log/pods", .max = 4095, .check = check_path,
	  .help = "the kubelet's directory that names the pods" },
	{ KEY(node.pods_url, STRING), "", .max = 1024, .check = settings_check_pods_url,
	  .help = "https://host[:port]/path of a pod list, for pods' labels and controllers; empty: none is asked for" },
	{ KEY(node.pods_ca, STRING), "", .max = 4095, .check = check_optional_path,
	  .help = "file (PEM) of the authorities its certificate may come from; empty: the system's" },
	{ KEY(node.pods_token_file, STRING), "", .max = 4095, .check = check_optional_path,
	  .help = "file of the bearer token it asks for, read at each request; empty: none is sent" },
	{ KEY(node.pods_interval, DURATION), "30s", 10 * S, H, .help = "time between two requests for the pod list" },
	{ KEY(log.level, ENUM), "info", .choices = levels, .live = true,
	  .help = "least severe lines that are written" },
	{ KEY(log.format, ENUM), "logfmt", .choices = formats, .live = true, .help = "of the lines on standard error" },
	{ KEY(control, STRING), "/run/sonde/control.sock", .max = sizeof(((struct sockaddr_un *)0)->sun_path) - 1,
	  .check = check_path, .help = "socket that sonde status talks to" },
	{ KEY(bpffs, STRING), "/sys/fs/bpf/sonde", .max = 1023, .check = check_path,
	  .help = "directory below a BPF file system for the pinned maps and links" },
	{ KEY(keep_attached, BOOL), "false", .help = "leave the programs counting in the kernel after a stop" },
};

static void check_settings(const void *config, struct config_report *report)
{
	const struct settings *settings = config;
	if (settings->flows.active_timeout < settings->flows.interval)
		config_conflict(report, "flows.active_timeout", "flows.interval",
		                "is less than flows.interval; a flow is written at readings only");
	if (settings->ring.bytes & (settings->ring.bytes - 1))
		config_conflict(report, "ring.bytes", NULL, "must be a power of two, such as 8MiB or 16MiB");
	if (*settings->backend.cert && !*settings->backend.key)
		config_conflict(report, "backend.key", "backend.cert",
		                "is no key for the certificate; set both or none");
	if (*settings->backend.key && !*settings->backend.cert)
		config_conflict(report, "backend.cert", "backend.key",
		                "is no certificate for the key; set both or none");
}

/* The sink may run beside the sensor, in one pod even. */
static const char *const foreign_variables[] = { "SONDE_SINK_", NULL };

const struct config_schema settings_schema = {
	.env_prefix = "SONDE_",
	.env_ignore = foreign_variables,
	.keys = keys,
	.n_keys = ARRAY_SIZE(keys),
	.size = sizeof(struct settings),
	.check = check_settings,
};

int settings_load(const struct config_input *input, struct settings *ret_settings, struct buf *error)
{
	return config_load(&settings_schema, input, ret_settings, NULL, error);
}

void settings_free(struct settings *settings)
{
	config_free(&settings_schema, settings);
}
