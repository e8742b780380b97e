// SPDX-License-Identifier: Apache-2.0
/* The sensor's keys, and what their values must be. docs/configuration.md explains them; a unit test compares the two.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <regex.h>
#include <string.h>
#include <sys/un.h>
#include "user/filter.h"
#include "user/listen.h"
#include "user/settings.h"

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

/* "host[:port]" or "[v6][:port]" of SIZE bytes, from behind "https://" (RFC 3986, 3.2, without user information). */
static bool is_authority(const char *text, size_t size)
{
	char host[256];
	struct in6_addr address;
	if (size >= sizeof(host))
		return false;
	memcpy(host, text, size);
	host[size] = '\0';

	char *port = strchr(host, ':');
	if (*host == '[') {
		char *bracket = strchr(host, ']');
		if (!bracket)
			return false;
		port = bracket[1] ? bracket + 1 : NULL;
		*bracket = '\0';
		if (inet_pton(AF_INET6, host + 1, &address) != 1)
			return false;
	} else {
		size_t length = strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._");
		if (!length || host + length != (port ? port : host + size))
			return false;
	}
	if (!port)
		return true;
	size_t digits = strspn(port + 1, "0123456789");
	unsigned long number = strtoul(port + 1, NULL, 10);
	return *port == ':' && digits && digits <= 5 && !port[1 + digits] && number >= 1 && number <= UINT16_MAX;
}

static const char *url_fault(const char *url)
{
	static const char scheme[] = "https://";
	if (!strncasecmp(url, "http://", strlen("http://")))
		return "must begin with https://: records leave over mutual TLS only";
	if (strncmp(url, scheme, strlen(scheme)))
		return "must be https://host[:port][/path]";

	const char *authority = url + strlen(scheme);
	size_t size = strcspn(authority, "/?#");
	const char *path = authority + size;
	size_t length = strlen(path);
	if (memchr(authority, '@', size))
		return "must not hold a user or a password; the client certificate says who we are";
	if (!is_authority(authority, size))
		return "must be https://host[:port][/path] with a host name or address (IPv6 in brackets)";
	if (strpbrk(path, "?#"))
		return "must not hold a query or a fragment (? or #)";
	for (const char *c = path; *c; c++)
		if (!isgraph((unsigned char)*c) || strchr("\"<>\\^`{|}", *c))
			return "must have spaces and the like in its path encoded, as %20";
	if (length && path[length - 1] == '/')
		return "must not end with a slash; /v1/logs is appended";
	if (length >= strlen("/v1/logs") && !strcmp(path + length - strlen("/v1/logs"), "/v1/logs"))
		return "must not end with /v1/logs; it is appended";
	return NULL;
}

static int check_url(const char *value, struct buf *error)
{
	const char *fault = *value ? url_fault(value) : NULL;
	if (!fault)
		return 0;
	buf_appendf(error, "%s", fault);
	return -EINVAL;
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

static int check_proxy(const char *value, struct buf *error)
{
	static const char scheme[] = "http://";
	const char *authority = strncmp(value, scheme, strlen(scheme)) == 0 ? value + strlen(scheme) : "";
	if (!*value)
		return 0;
	if (strchr(authority, '@')) {
		buf_appendf(error, "must not hold a user or a password: a proxy that asks for them is not supported");
		return -EINVAL;
	}
	/* libcurl's default port for a proxy, 1080, is hardly ever meant. */
	const char *port = strrchr(value, ':');
	if (is_authority(authority, strlen(authority)) && port > value + strlen("http:") && port[1] &&
	    !strchr(port, ']'))
		return 0;
	buf_appendf(error, "must be http://host:port; what goes through the proxy is TLS up to the backend");
	return -EINVAL;
}

static int check_glob(const char *value, struct buf *error)
{
	if (*value)
		return 0;
	buf_appendf(error, "matches no namespace; write \"*\" for all");
	return -EINVAL;
}

static const char *const namespace_actions[] = { [NAMESPACE_ALLOW] = "allow", [NAMESPACE_DENY] = "deny", NULL };
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
	{ KEY(ring.bytes, BYTES), "16MiB", 64 * KIB, GIB, .help = "ring buffer from kernel to sensor; a power of two" },
	{ KEY(backend.url, STRING), "", .max = 1024, .check = check_url,
	  .help = "https://host[:port][/path] of an OTLP/HTTP receiver; empty: records are dropped, counted" },
	{ KEY(backend.ca, STRING), "", .max = 4095, .check = check_optional_path, .live = true,
	  .help = "file (PEM) of the authorities the backend's certificate may come from; empty: the system's" },
	{ KEY(backend.cert, STRING), "", .max = 4095, .check = check_optional_path, .live = true,
	  .help = "file (PEM) of the client certificate" },
	{ KEY(backend.key, STRING), "", .max = 4095, .check = check_optional_path, .live = true,
	  .help = "file (PEM) of the client certificate's private key" },
	{ KEY(backend.proxy, STRING), "", .max = 1024, .check = check_proxy, .live = true,
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
	{ KEY(node.pods_dir, STRING), "/var/log/pods", .max = 4095, .check = check_path,
	  .help = "the kubelet's directory that names the pods" },
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
