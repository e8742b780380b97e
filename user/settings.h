/* SPDX-License-Identifier: Apache-2.0 */
/* The sensor's configuration: each key of docs/configuration.md as a typed member. Durations: ns. Sizes: bytes. */
#pragma once

#include "user/config.h"
#include "user/log.h"

enum namespace_action { NAMESPACE_ALLOW, NAMESPACE_DENY };
enum netns_scope { NETNS_HOST, NETNS_ALL };
enum compression { COMPRESSION_NONE, COMPRESSION_GZIP };

struct settings {
	struct {
		struct config_list include,
			exclude; /* extended regular expressions (POSIX), anchored at both ends; exclude wins */
		bool hotplug;
		int netns; /* enum netns_scope */
	} interfaces;
	struct config_rules namespaces; /* globs of Kubernetes namespaces, enum namespace_action; no match: allow */
	char *filter;                   /* pcap-filter(7); "" or white space: none */
	struct {
		uint64_t max;
		uint64_t interval, active_timeout, idle_timeout;
	} flows;
	struct {
		bool enabled;
		uint64_t head_bytes, snaplen;
		uint64_t one_in;   /* 0: none by chance */
		uint64_t max_rate; /* samples per second and CPU; 0: no bound */
	} packets;
	struct {
		bool enabled;
	} sockets;
	struct {
		uint64_t bytes; /* a power of two, multiple of the page size */
	} ring;
	struct {
		char *url, *ca, *cert, *key;
		char *proxy;     /* "http://host:port"; "": none */
		char *no_proxy;  /* hosts that are reached without it, as libcurl's CURLOPT_NOPROXY takes them */
		int compression; /* enum compression */
		uint64_t timeout;
	} backend;
	struct {
		uint64_t records, bytes, age;
	} batch;
	struct {
		char *listen; /* "address:port", "[v6]:port"; "": no endpoint */
	} metrics;
	struct {
		char *name; /* "": the host name */
		char *cgroup_root, *proc_root, *pods_dir;
		char *pods_url; /* of a pod list; "": none is asked for */
		char *pods_ca, *pods_token_file;
		uint64_t pods_interval;
	} node;
	struct {
		int level;  /* enum log_level */
		int format; /* enum log_format */
	} log;
	char *control;
	char *bpffs;
	bool keep_attached;
};

extern const struct config_schema settings_schema;

/*
 * config_load for the sensor, and the checks that concern several keys (certificate without key, snaplen beyond the
 * ring, ...). Free with settings_free. Errors as config_load.
 */
int settings_load(const struct config_input *input, struct settings *ret_settings, struct buf *error);
void settings_free(struct settings *settings);
