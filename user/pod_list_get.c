// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include "user/https.h"
#include "user/pod_list_advice.h"
#include "user/pod_list_get.h"

#define TOKEN_MAX 16384 /* bytes; a service account's has about a thousand */

struct pod_list_get {
	const struct pod_list_options *options;
	struct https https;
	CURLM *multi;
	CURL *easy;
	struct curl_slist *headers;
	struct buf *body; /* of the request under way */
};

static size_t take_body(char *data, size_t size, size_t n, void *opaque)
{
	struct pod_list_get *get = opaque;
	return buf_append(get->body, data, size * n) < 0 ? 0 : size * n;
}

/* An API server that is asked like this leaves out what pods run, their environment above all; a kubelet sends it all. */
static int set_headers(struct pod_list_get *get)
{
	get->headers =
		curl_slist_append(NULL, "Accept: application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,"
	                                "application/json");
	if (!get->headers)
		return -ENOMEM;
	https_set(get->easy, HTTPHEADER, get->headers);
	return 0;
}

static int set_options(struct pod_list_get *get)
{
	const struct pod_list_options *options = get->options;
	char agent[128];
	snprintf(agent, sizeof(agent), "sonde/%s", options->version);
	https_set(get->easy, URL, options->url);
	https_set(get->easy, USERAGENT, agent);
	https_set(get->easy, TIMEOUT_MS, (long)(options->timeout_ns / 1000000));
	https_set(get->easy, WRITEFUNCTION, take_body);
	https_set(get->easy, WRITEDATA, get);
	return 0;
}

int pod_list_get_new(const struct pod_list_options *options, struct pod_list_get **ret_get)
{
	_cleanup_(pod_list_get_freep) struct pod_list_get *get = calloc(1, sizeof(*get));
	if (!get)
		return -ENOMEM;
	get->options = options;
	get->https = (struct https) {
		.ca = options->ca,
		.cert = "",
		.key = "",
		.on_socket = options->on_socket,
		.on_socket_data = options->on_socket_data,
	};
	get->multi = curl_multi_init();
	get->easy = curl_easy_init();
	if (!get->multi || !get->easy)
		return -ENOMEM;
	int r = https_prepare(get->easy, &get->https);
	if (r == 0)
		r = set_headers(get);
	if (r == 0)
		r = set_options(get);
	if (r < 0)
		return r;
	*ret_get = TAKE_PTR(get);
	return 0;
}

void pod_list_get_free(struct pod_list_get *get)
{
	if (!get)
		return;
	curl_easy_cleanup(get->easy);
	curl_multi_cleanup(get->multi);
	curl_slist_free_all(get->headers);
	free(get);
}

/* Reads the file, without the white space at its end. 0; -EBADMSG: that is no token; -errno. */
static int read_token(const char *path, char ret_token[static TOKEN_MAX])
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	size_t size = 0;
	ssize_t n;
	while ((n = read(fd, ret_token + size, TOKEN_MAX - size)) > 0)
		size += (size_t)n;
	if (n < 0)
		return -errno;
	while (size && strchr(" \t\r\n", ret_token[size - 1]))
		size--;
	if (!size || size == TOKEN_MAX)
		return -EBADMSG;
	for (size_t i = 0; i < size; i++)
		if (ret_token[i] <= ' ' || ret_token[i] > '~')
			return -EBADMSG;
	ret_token[size] = '\0';
	return 0;
}

/* Kubernetes replaces a token's file long before the token expires. */
static int set_token(struct pod_list_get *get, char ret_error[static 256])
{
	char token[TOKEN_MAX];
	if (!*get->options->token_file)
		return 0;
	int r = read_token(get->options->token_file, token);
	if (r < 0) {
		pod_list_advise_on_token(r, get->options, ret_error);
		return -EIO;
	}
	CURLcode code = curl_easy_setopt(get->easy, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
	if (code == CURLE_OK)
		code = curl_easy_setopt(get->easy, CURLOPT_XOAUTH2_BEARER, token);
	explicit_bzero(token, sizeof(token));
	if (code == CURLE_OK)
		return 0;
	pod_list_advise_on_transfer(&(struct pod_list_failure) { .code = CURLE_OUT_OF_MEMORY }, get->options,
	                            ret_error);
	return -ENOMEM;
}

/* Goes on until the request has ended; -ECANCELED: STOP_FD became readable first. */
static int transfer(struct pod_list_get *get, int stop_fd, CURLcode *ret_code)
{
	struct curl_waitfd stop = { .fd = stop_fd, .events = CURL_WAIT_POLLIN };
	int running, left;
	CURLMsg *message;
	do {
		if (curl_multi_perform(get->multi, &running) != CURLM_OK)
			return -ENOMEM;
		if (running && curl_multi_poll(get->multi, &stop, 1, INT_MAX, NULL) != CURLM_OK)
			return -ENOMEM;
		if (stop.revents)
			return -ECANCELED;
	} while (running);
	do {
		message = curl_multi_info_read(get->multi, &left);
		if (!message)
			return -ENOMEM;
	} while (message->msg != CURLMSG_DONE);
	*ret_code = message->data.result;
	return 0;
}

static int judge(struct pod_list_get *get, CURLcode code, char ret_error[static 256])
{
	struct pod_list_failure failure = { .code = code, .answer_too_long = get->body->error == -EFBIG };
	long status = 0;
	curl_easy_getinfo(get->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(get->easy, CURLINFO_SSL_VERIFYRESULT, &failure.verify_result);
	curl_easy_getinfo(get->easy, CURLINFO_OS_ERRNO, &failure.os_error);
	if (code == CURLE_OK && status == 200)
		return 0;
	/* What comes after a refusal does not matter. */
	if (status >= 300 || code == CURLE_OK)
		pod_list_advise_on_status((int)status, get->options, ret_error);
	else
		pod_list_advise_on_transfer(&failure, get->options, ret_error);
	return -EIO;
}

int pod_list_get(struct pod_list_get *get, int stop_fd, struct buf *body, char ret_error[static 256])
{
	CURLcode code = CURLE_OUT_OF_MEMORY;
	int r = set_token(get, ret_error);
	if (r < 0)
		return r;
	get->body = body;
	if (curl_multi_add_handle(get->multi, get->easy) != CURLM_OK)
		return judge(get, CURLE_OUT_OF_MEMORY, ret_error);
	r = transfer(get, stop_fd, &code);
	/* Else libcurl waits for the thread that looks the name up. */
	if (r == -ECANCELED)
		curl_easy_setopt(get->easy, CURLOPT_QUICK_EXIT, 1L);
	curl_multi_remove_handle(get->multi, get->easy);
	return r == -ECANCELED ? r : judge(get, code, ret_error);
}
