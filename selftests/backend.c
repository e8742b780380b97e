// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <zlib.h>
#include "selftests/backend.h"
#include "user/buf.h"
#include "user/clock.h"
#include "user/otlp.pb-c.h"

#define REQUESTS_MAX 256
#define BODY_MAX     (16 << 20)

struct backend {
	struct backend_options options;
	SSL_CTX *tls;
	pthread_t thread;
	int listen_fd, stop_fd, port;

	pthread_mutex_t lock;
	pthread_cond_t received;
	struct backend_answer answers[REQUESTS_MAX];
	struct backend_request requests[REQUESTS_MAX];
	size_t n_answers, n_requests, n_connections;
};

/* False: the backend is to stop. */
static bool wait_readable(struct backend *backend, int fd)
{
	struct pollfd fds[] = { { .fd = fd, .events = POLLIN }, { .fd = backend->stop_fd, .events = POLLIN } };
	return poll(fds, ARRAY_SIZE(fds), -1) > 0 && !fds[1].revents;
}

static bool read_some(struct backend *backend, SSL *ssl, struct buf *in)
{
	void *space;
	if (!SSL_pending(ssl) && !wait_readable(backend, SSL_get_fd(ssl)))
		return false;
	if (buf_reserve(in, 16384, &space) < 0)
		return false;
	int n = SSL_read(ssl, space, 16384);
	if (n > 0)
		buf_commit(in, (size_t)n);
	return n > 0;
}

static bool gunzip(const char *data, size_t size, struct buf *out)
{
	z_stream stream = { .next_in = (uint8_t *)data, .avail_in = (uInt)size };
	void *space;
	if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK || buf_reserve(out, BODY_MAX / 2, &space) < 0)
		return false;
	stream.next_out = space;
	stream.avail_out = BODY_MAX / 2;
	bool whole = inflate(&stream, Z_FINISH) == Z_STREAM_END;
	buf_commit(out, stream.total_out);
	inflateEnd(&stream);
	return whole;
}

static void read_batch(const struct buf *encoded, struct backend_request *request)
{
	Sonde__Otlp__ExportLogsServiceRequest *message =
		sonde__otlp__export_logs_service_request__unpack(NULL, encoded->size, (const uint8_t *)encoded->data);
	if (!message || !message->n_resource_logs) {
		sonde__otlp__export_logs_service_request__free_unpacked(message, NULL);
		return;
	}
	const Sonde__Otlp__ScopeLogs *logs = message->resource_logs[0]->scope_logs[0];
	request->records = logs->n_log_records;
	for (size_t i = 0; i < logs->scope->n_attributes; i++) {
		const Sonde__Otlp__KeyValue *pair = logs->scope->attributes[i];
		if (strcmp(pair->key, "sonde.batch.sequence") == 0)
			request->sequence = (uint64_t)pair->value->int_value;
		if (strcmp(pair->key, "sonde.batch.records") == 0)
			request->batch_records = (uint64_t)pair->value->int_value;
	}
	sonde__otlp__export_logs_service_request__free_unpacked(message, NULL);
}

/* Keeps what came and picks the answer to it. */
static struct backend_answer take_request(struct backend *backend, const char *head, const char *body, size_t size)
{
	struct backend_answer answer = { .status = 200 };
	struct backend_request request = { .size = size };
	_cleanup_(buf_free) struct buf encoded = BUF_INIT(BODY_MAX);
	snprintf(request.head, sizeof(request.head), "%s", head);
	request.checksum = (uint32_t)crc32(0, (const uint8_t *)body, (uInt)size);
	if (strstr(head, "Content-Encoding: gzip"))
		gunzip(body, size, &encoded);
	else
		buf_append(&encoded, body, size);
	request.encoded = encoded.size;
	read_batch(&encoded, &request);
	request.time_ns = clock_monotonic_ns();

	pthread_mutex_lock(&backend->lock);
	if (backend->n_requests < backend->n_answers)
		answer = backend->answers[backend->n_requests];
	if (backend->n_requests < REQUESTS_MAX)
		backend->requests[backend->n_requests++] = request;
	pthread_cond_broadcast(&backend->received);
	pthread_mutex_unlock(&backend->lock);
	return answer;
}

/* One request and its answer; false: the connection is over. */
static bool serve(struct backend *backend, SSL *ssl, struct buf *in)
{
	char *end;
	while (!in->size || !(end = strstr(in->data, "\r\n\r\n")))
		if (!read_some(backend, ssl, in))
			return false;
	_cleanup_(freep) char *head = strndup(in->data, (size_t)(end - in->data));
	const char *field = strstr(head, "Content-Length: ");
	size_t size = field ? strtoul(field + 16, NULL, 10) : 0;
	buf_consume(in, strlen(head) + 4);
	while (in->size < size)
		if (!read_some(backend, ssl, in))
			return false;

	struct backend_answer answer = take_request(backend, head, buf_text(in), size);
	buf_consume(in, size);
	if (!answer.status) {
		wait_readable(backend, backend->stop_fd);
		return false;
	}
	_cleanup_(buf_free) struct buf out = BUF_INIT(BODY_MAX);
	buf_appendf(&out, "HTTP/1.1 %d Answer\r\nContent-Length: %zu\r\n%s\r\n", answer.status, answer.body_size,
	            answer.headers ? answer.headers : "");
	buf_append(&out, answer.body, answer.body_size);
	return SSL_write(ssl, out.data, (int)out.size) > 0 && !backend->options.closes;
}

static void *run(void *data)
{
	struct backend *backend = data;
	/* Clients that are gone; blocked in this thread only, so that the sensor's own care for it is tested. */
	sigset_t pipe;
	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe, NULL);
	while (wait_readable(backend, backend->listen_fd)) {
		_cleanup_(closep) int fd = accept4(backend->listen_fd, NULL, NULL, SOCK_CLOEXEC);
		pthread_mutex_lock(&backend->lock);
		backend->n_connections++;
		pthread_mutex_unlock(&backend->lock);
		_cleanup_(buf_free) struct buf in = BUF_INIT(BODY_MAX);
		SSL *ssl = SSL_new(backend->tls);
		SSL_set_fd(ssl, fd);
		if (SSL_accept(ssl) > 0) {
			while (serve(backend, ssl, &in))
				;
			SSL_shutdown(ssl);
		}
		SSL_free(ssl);
		ERR_clear_error();
	}
	return NULL;
}

static bool open_tls(struct backend *backend)
{
	const struct backend_options *options = &backend->options;
	backend->tls = SSL_CTX_new(TLS_server_method());
	if (!backend->tls || SSL_CTX_use_certificate_file(backend->tls, options->cert, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_use_PrivateKey_file(backend->tls, options->key, SSL_FILETYPE_PEM) != 1)
		return false;
	if (options->tls12)
		SSL_CTX_set_max_proto_version(backend->tls, TLS1_2_VERSION);
	if (!options->client_ca)
		return true;
	SSL_CTX_set_verify(backend->tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	return SSL_CTX_load_verify_file(backend->tls, options->client_ca) == 1;
}

static bool open_socket(struct backend *backend)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		                       .sin_port = htons((uint16_t)backend->options.port),
		                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	backend->stop_fd = eventfd(0, EFD_CLOEXEC);
	backend->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(backend->listen_fd, SOL_SOCKET, SO_REUSEADDR, &(int) { 1 }, sizeof(int));
	if (bind(backend->listen_fd, (struct sockaddr *)&address, size) < 0 || listen(backend->listen_fd, 16) < 0 ||
	    getsockname(backend->listen_fd, (struct sockaddr *)&address, &size) < 0)
		return false;
	backend->port = ntohs(address.sin_port);
	return true;
}

struct backend *backend_start(const struct backend_options *options)
{
	struct backend *backend = calloc(1, sizeof(*backend));
	if (!backend)
		return NULL;
	backend->options = *options;
	pthread_mutex_init(&backend->lock, NULL);
	pthread_cond_init(&backend->received, NULL);
	if (!open_tls(backend) || !open_socket(backend) || pthread_create(&backend->thread, NULL, run, backend) != 0) {
		free(backend);
		return NULL;
	}
	return backend;
}

void backend_stop(struct backend *backend)
{
	eventfd_write(backend->stop_fd, 1);
	pthread_join(backend->thread, NULL);
	close(backend->stop_fd);
	close(backend->listen_fd);
	SSL_CTX_free(backend->tls);
	pthread_mutex_destroy(&backend->lock);
	pthread_cond_destroy(&backend->received);
	free(backend);
}

int backend_port(const struct backend *backend)
{
	return backend->port;
}

void backend_script(struct backend *backend, const struct backend_answer *answer)
{
	pthread_mutex_lock(&backend->lock);
	if (backend->n_answers < backend->n_requests)
		backend->n_answers = backend->n_requests;
	if (backend->n_answers < REQUESTS_MAX)
		backend->answers[backend->n_answers++] = *answer;
	pthread_mutex_unlock(&backend->lock);
}

bool backend_wait(struct backend *backend, size_t index, struct backend_request *ret_request)
{
	struct timespec deadline;
	int r = 0;
	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += 10;
	pthread_mutex_lock(&backend->lock);
	while (backend->n_requests <= index && r == 0)
		r = pthread_cond_timedwait(&backend->received, &backend->lock, &deadline);
	bool received = index < backend->n_requests;
	if (received && ret_request)
		*ret_request = backend->requests[index];
	pthread_mutex_unlock(&backend->lock);
	return received;
}

size_t backend_requests(struct backend *backend)
{
	pthread_mutex_lock(&backend->lock);
	size_t n = backend->n_requests;
	pthread_mutex_unlock(&backend->lock);
	return n;
}

size_t backend_connections(struct backend *backend)
{
	pthread_mutex_lock(&backend->lock);
	size_t n = backend->n_connections;
	pthread_mutex_unlock(&backend->lock);
	return n;
}
