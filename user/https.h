/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all HTTPS clients here have in common: TLS 1.2 or later, the server's name verified, no redirect, nothing taken from
 * the environment, and certificates that were replaced on disk are in use soon.
 */
#pragma once

#include <curl/curl.h>
#include <stdbool.h>

/* Sets an option of EASY, or returns -ENOMEM: what fails here is out of memory, or a libcurl built without the feature. */
#define https_set(easy, option, value)                                           \
	do {                                                                     \
		if (curl_easy_setopt(easy, CURLOPT_##option, value) != CURLE_OK) \
			return -ENOMEM;                                          \
	} while (0)

struct https {
	const char *ca, *cert, *key; /* PEM files, "": none (ca: then the system's CAs are trusted) */
	/*
	 * Tells of each TCP socket, from the thread that transfers: open before it connects, and closed before its descriptor
	 * is closed. NULL: nobody wants to know.
	 */
	void (*on_socket)(int fd, bool open, void *data);
	void *on_socket_data;
};

/*
 * Sets these options of EASY, and no proxy. The files are read at each new connection, and no connection is used for longer
 * than ten minutes. HTTPS stays where it is as long as EASY. 0 or -ENOMEM.
 */
int https_prepare(CURL *easy, const struct https *https);
