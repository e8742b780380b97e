// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>
#include "user/https.h"

/* A certificate that was replaced on disk is in use after so long, however long the server keeps a connection. */
#define CONNECTION_MAX_SECONDS 600L

static curl_socket_t open_socket(void *opaque, curlsocktype purpose, struct curl_sockaddr *address)
{
	const struct https *https = opaque;
	int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
	if (fd >= 0 && https->on_socket)
		https->on_socket(fd, true, https->on_socket_data);
	return fd;
}

static int close_socket(void *opaque, curl_socket_t fd)
{
	const struct https *https = opaque;
	if (https->on_socket)
		https->on_socket(fd, false, https->on_socket_data);
	return close(fd);
}

static const char *or_null(const char *text)
{
	return *text ? text : NULL;
}

static int set_tls(CURL *easy, const struct https *https)
{
	https_set(easy, SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	https_set(easy, SSL_VERIFYPEER, 1L);
	https_set(easy, SSL_VERIFYHOST, 2L);
	if (*https->ca) {
		https_set(easy, CAINFO, https->ca);
		/* Else the system's directory of certificates would be trusted beside it. */
		https_set(easy, CAPATH, NULL);
	}
	https_set(easy, SSLCERT, or_null(https->cert));
	https_set(easy, SSLKEY, or_null(https->key));
	/* OpenSSL asks at the terminal for the password of a key that has one, unless it is given one. */
	https_set(easy, KEYPASSWD, "");
	/* The files are read at each connection: no CA kept for a day, no session resumed with an older certificate. */
	https_set(easy, CA_CACHE_TIMEOUT, 0L);
	https_set(easy, SSL_SESSIONID_CACHE, 0L);
	https_set(easy, MAXLIFETIME_CONN, CONNECTION_MAX_SECONDS);
	return 0;
}

int https_prepare(CURL *easy, const struct https *https)
{
	https_set(easy, PROTOCOLS_STR, "https");
	https_set(easy, HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	https_set(easy, FOLLOWLOCATION, 0L);
	/* "" is none: not what the environment says. */
	https_set(easy, PROXY, "");
	https_set(easy, NOPROXY, "");
	https_set(easy, NOSIGNAL, 1L);
	https_set(easy, OPENSOCKETFUNCTION, open_socket);
	https_set(easy, OPENSOCKETDATA, https);
	https_set(easy, CLOSESOCKETFUNCTION, close_socket);
	https_set(easy, CLOSESOCKETDATA, https);
	return set_tls(easy, https);
}
