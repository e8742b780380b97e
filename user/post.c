// SPDX-License-Identifier: Apache-2.0
#include <curl/curl.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <string.h>
#include "user/advice.h"
#include "user/https.h"
#include "user/post.h"

struct post {
	const struct ship_options *options;
	struct https https;
	CURLM *multi;
	CURL *easy;
	struct curl_slist *headers[2]; /* [1]: of a compressed body */
	struct buf answer;
	bool answer_too_long;
	int tls_alert; /* of the backend, 0: none (RFC 8446, 6.2) */
	bool running;
	char error[CURL_ERROR_SIZE];
};

static size_t take_answer(char *data, size_t size, size_t n, void *opaque)
{
	struct post *post = opaque;
	if (buf_append(&post->answer, data, size * n) < 0) {
		post->answer_too_long = true;
		return 0;
	}
	return size * n;
}

/* Where the SSL_CTX keeps its struct post. */
static int ssl_post_index(void)
{
	static int index = -1;
	if (index < 0)
		index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	return index;
}

static void on_tls_event(const SSL *ssl, int where, int value)
{
	struct post *post = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), ssl_post_index());
	if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT && (value & 0xff) != SSL_AD_CLOSE_NOTIFY)
		post->tls_alert = value & 0xff;
}

/* libcurl tells of an alert only in prose. */
static CURLcode watch_alerts(CURL *easy, void *ssl_ctx, void *opaque)
{
	if (!SSL_CTX_set_ex_data(ssl_ctx, ssl_post_index(), opaque))
		return CURLE_OUT_OF_MEMORY;
	SSL_CTX_set_info_callback(ssl_ctx, on_tls_event);
	return CURLE_OK;
}

static int post_set_https(struct post *post)
{
	const struct ship_options *options = post->options;
	post->https = (struct https) {
		.ca = options->ca,
		.cert = options->cert,
		.key = options->key,
		.on_socket = options->on_socket,
		.on_socket_data = options->on_socket_data,
	};
	int r = https_prepare(post->easy, &post->https);
	if (r < 0)
		return r;
	https_set(post->easy, SSL_CTX_FUNCTION, watch_alerts);
	https_set(post->easy, SSL_CTX_DATA, post);
	return 0;
}

static int add_header(struct curl_slist **headers, const char *header)
{
	struct curl_slist *longer = curl_slist_append(*headers, header);
	if (!longer)
		return -ENOMEM;
	*headers = longer;
	return 0;
}

static int post_make_headers(struct post *post)
{
	int r = 0;
	for (int gzip = 0; r == 0 && gzip < 2; gzip++) {
		r = add_header(&post->headers[gzip], "Content-Type: application/x-protobuf");
		/* Without a value: the body is not held back for a 100 (Continue). */
		if (r == 0)
			r = add_header(&post->headers[gzip], "Expect:");
	}
	return r < 0 ? r : add_header(&post->headers[1], "Content-Encoding: gzip");
}

static int post_set_http(struct post *post)
{
	const struct ship_options *options = post->options;
	char text[512];
	size_t url_size = strlen(options->url);
	while (url_size && options->url[url_size - 1] == '/')
		url_size--;
	_cleanup_(freep) char *url = NULL;
	if (asprintf(&url, "%.*s/v1/logs", (int)url_size, options->url) < 0)
		return -ENOMEM;
	https_set(post->easy, URL, url);

	snprintf(text, sizeof(text), "sonde/%s", options->resource.service_version);
	https_set(post->easy, USERAGENT, text);
	/* "" is none, or no host: not what the environment says. */
	https_set(post->easy, PROXY, options->proxy);
	https_set(post->easy, NOPROXY, options->no_proxy);
	https_set(post->easy, POST, 1L);
	return 0;
}

static int post_set_transfer(struct post *post)
{
	const struct ship_options *options = post->options;
	https_set(post->easy, TIMEOUT_MS, (long)(options->timeout_ns / 1000000));
	https_set(post->easy, ERRORBUFFER, post->error);
	https_set(post->easy, PRIVATE, post);
	https_set(post->easy, WRITEFUNCTION, take_answer);
	https_set(post->easy, WRITEDATA, post);
	return 0;
}

int post_new(const struct ship_options *options, struct post **ret_post)
{
	_cleanup_(post_freep) struct post *post = calloc(1, sizeof(*post));
	if (!post)
		return -ENOMEM;
	post->options = options;
	post->answer = BUF_INIT(POST_ANSWER_MAX);
	post->multi = curl_multi_init();
	post->easy = curl_easy_init();
	if (!post->multi || !post->easy || ssl_post_index() < 0)
		return -ENOMEM;
	int r = post_make_headers(post);
	if (r == 0)
		r = post_set_https(post);
	if (r == 0)
		r = post_set_http(post);
	if (r == 0)
		r = post_set_transfer(post);
	if (r < 0)
		return r;
	*ret_post = TAKE_PTR(post);
	return 0;
}

void post_free(struct post *post)
{
	if (!post)
		return;
	post_cancel(post);
	curl_easy_cleanup(post->easy);
	curl_multi_cleanup(post->multi);
	curl_slist_free_all(post->headers[0]);
	curl_slist_free_all(post->headers[1]);
	buf_free(&post->answer);
	free(post);
}

int post_start(struct post *post, const struct buf *body, bool gzip)
{
	buf_reset(&post->answer);
	post->answer_too_long = false;
	post->tls_alert = 0;
	post->error[0] = '\0';
	https_set(post->easy, HTTPHEADER, post->headers[gzip]);
	https_set(post->easy, POSTFIELDS, body->data);
	https_set(post->easy, POSTFIELDSIZE_LARGE, (curl_off_t)body->size);
	if (curl_multi_add_handle(post->multi, post->easy) != CURLM_OK)
		return -ENOMEM;
	post->running = true;
	return 0;
}

static void post_end(struct post *post, CURLcode code, struct post_result *ret_result)
{
	*ret_result = (struct post_result) { 0 };
	long status = 0, connect_status = 0, verify_result = 0, os_error = 0;
	curl_off_t sent = 0, retry_after = 0;
	curl_easy_getinfo(post->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(post->easy, CURLINFO_HTTP_CONNECTCODE, &connect_status);
	curl_easy_getinfo(post->easy, CURLINFO_SSL_VERIFYRESULT, &verify_result);
	curl_easy_getinfo(post->easy, CURLINFO_OS_ERRNO, &os_error);
	curl_easy_getinfo(post->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
	curl_easy_getinfo(post->easy, CURLINFO_RETRY_AFTER, &retry_after);
	ret_result->sent = (uint64_t)sent;
	/* What comes after a refusal does not matter: many a server resets a connection whose request it does not want. */
	if (code == CURLE_OK || status >= 300) {
		ret_result->status = (int)status;
		ret_result->retry_after_ns = (uint64_t)retry_after * 1000000000;
		return;
	}
	const struct transfer_failure failure = {
		.code = code,
		.verify_result = verify_result,
		.tls_alert = post->tls_alert,
		.os_error = os_error,
		.proxy_status = connect_status,
		.answer_too_long = post->answer_too_long,
	};
	advise_on_transfer(&failure, post->options, ret_result->error);
	snprintf(ret_result->detail, sizeof(ret_result->detail), "%s",
	         *post->error ? post->error : curl_easy_strerror(code));
}

/*
 * Closes the connection now, not when its place is needed: libcurl then reads what was still to be read, and where the
 * backend broke off while we were sending, that is the alert that says why.
 */
static void post_disconnect(struct post *post)
{
	CURLM *multi = curl_multi_init();
	if (!multi)
		return;
	curl_multi_cleanup(post->multi);
	post->multi = multi;
}

bool post_wait(struct post *post, int fd, uint64_t timeout_ns, struct post_result *ret_result)
{
	int running, left;
	struct curl_waitfd extra = { .fd = fd, .events = CURL_WAIT_POLLIN };
	uint64_t timeout_ms = timeout_ns / 1000000 + 1;
	curl_multi_perform(post->multi, &running);
	if (running) {
		curl_multi_poll(post->multi, &extra, 1, timeout_ms < INT_MAX ? (int)timeout_ms : INT_MAX, NULL);
		curl_multi_perform(post->multi, &running);
	}
	for (CURLMsg *message; (message = curl_multi_info_read(post->multi, &left));) {
		if (message->msg != CURLMSG_DONE)
			continue;
		CURLcode code = message->data.result;
		curl_multi_remove_handle(post->multi, post->easy);
		post->running = false;
		if (code != CURLE_OK)
			post_disconnect(post);
		post_end(post, code, ret_result);
		return true;
	}
	return false;
}

void post_cancel(struct post *post)
{
	if (!post->running)
		return;
	/* Without it libcurl waits for the thread that looks the name up. */
	curl_easy_setopt(post->easy, CURLOPT_QUICK_EXIT, 1L);
	curl_multi_remove_handle(post->multi, post->easy);
	post->running = false;
}

const struct buf *post_answer(const struct post *post)
{
	return &post->answer;
}
