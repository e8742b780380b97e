// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include "user/settings_url.h"

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

/* NULL: none, and *ret_path is what follows host and port. */
static const char *https_fault(const char *url, const char **ret_path)
{
	static const char scheme[] = "https://";
	if (strncmp(url, scheme, strlen(scheme)))
		return "must be https://host[:port][/path]";

	const char *authority = url + strlen(scheme);
	size_t size = strcspn(authority, "/?#");
	const char *path = authority + size;
	if (!is_authority(authority, size))
		return "must be https://host[:port][/path] with a host name or address (IPv6 in brackets)";
	for (const char *c = path; *c; c++)
		if (!isgraph((unsigned char)*c) || strchr("\"<>\\^`{|}", *c))
			return "must have spaces and the like in its path encoded, as %20";
	*ret_path = path;
	return NULL;
}

static bool is_http(const char *url)
{
	return strncasecmp(url, "http://", strlen("http://")) == 0;
}

/* Whether user or password stand before the host. */
static bool has_user(const char *url)
{
	const char *authority = strstr(url, "://");
	return authority && memchr(authority + 3, '@', strcspn(authority + 3, "/?#"));
}

static int tell(const char *fault, struct buf *error)
{
	if (!fault)
		return 0;
	buf_appendf(error, "%s", fault);
	return -EINVAL;
}

static const char *url_fault(const char *url)
{
	const char *path;
	if (is_http(url))
		return "must begin with https://: records leave over mutual TLS only";
	if (has_user(url))
		return "must not hold a user or a password; the client certificate says who we are";
	const char *fault = https_fault(url, &path);
	if (fault)
		return fault;
	size_t length = strlen(path);
	if (strpbrk(path, "?#"))
		return "must not hold a query or a fragment (? or #)";
	if (length && path[length - 1] == '/')
		return "must not end with a slash; /v1/logs is appended";
	if (length >= strlen("/v1/logs") && !strcmp(path + length - strlen("/v1/logs"), "/v1/logs"))
		return "must not end with /v1/logs; it is appended";
	return NULL;
}

int settings_check_url(const char *value, struct buf *error)
{
	return tell(*value ? url_fault(value) : NULL, error);
}

static const char *pods_url_fault(const char *url)
{
	const char *path;
	if (is_http(url))
		return "must begin with https://: no token is sent unencrypted";
	if (has_user(url))
		return "must not hold a user or a password; the token in node.pods_token_file says who we are";
	const char *fault = https_fault(url, &path);
	if (fault)
		return fault;
	if (*path != '/' || !path[1])
		return "must name the list: /pods at a kubelet, /api/v1/pods at an API server";
	return strchr(path, '#') ? "must not hold a fragment (#)" : NULL;
}

int settings_check_pods_url(const char *value, struct buf *error)
{
	return tell(*value ? pods_url_fault(value) : NULL, error);
}

int settings_check_proxy(const char *value, struct buf *error)
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
