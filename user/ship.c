// SPDX-License-Identifier: Apache-2.0
/*
 * The shipping thread is one loop: wait until a batch is due, close it, deliver it. While a batch is under way or waits
 * for its next attempt, the queue fills behind it, and sheds its oldest records when it is full.
 */
#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include "user/certificate.h"
#include "user/log.h"
#include "user/outcome.h"
#include "user/ship_internal.h"

#define CERTIFICATES_NS (60 * NS_PER_SEC) /* between readings of their expiry */

/* How many records make a batch due: as many as it may have, encoded ones being reckoned at 2 KiB. */
static size_t due_records(const struct ship_options *options)
{
	size_t records = options->batch_bytes / 2048;
	if (records > options->batch_records)
		records = options->batch_records;
	return records ? records : 1;
}

/* Begins to work with SESSION, which is the ship's from now on. */
static void ship_use(struct ship *ship, struct session *session)
{
	session_free(ship->session);
	ship->session = session;
	ship->certificates_ns = 0;
	queue_set_wake(ship->queue, due_records(&session->options));
}

void ship_look(struct ship *ship, bool *ret_stopping, uint64_t *ret_stop_ns)
{
	eventfd_t ignored;
	(void)eventfd_read(ship->control_fd, &ignored);
	pthread_mutex_lock(&ship->lock);
	*ret_stopping = ship->stopping;
	*ret_stop_ns = ship->stopping ? ship->stop_ns : UINT64_MAX;
	pthread_mutex_unlock(&ship->lock);
}

bool ship_take_over(struct ship *ship)
{
	pthread_mutex_lock(&ship->lock);
	struct session *next = TAKE_PTR(ship->next);
	pthread_mutex_unlock(&ship->lock);
	if (next)
		ship_use(ship, next);
	return next != NULL;
}

void ship_read_certificates(struct ship *ship)
{
	uint64_t now = clock_monotonic_ns();
	if (now < ship->certificates_ns)
		return;
	ship->certificates_ns = now + CERTIFICATES_NS;
	int64_t cert = certificate_expiry(ship->session->options.cert);
	int64_t ca = certificate_expiry(ship->session->options.ca);
	pthread_mutex_lock(&ship->lock);
	ship->status.cert_expiry = cert;
	ship->status.ca_expiry = ca;
	pthread_mutex_unlock(&ship->lock);
}

void ship_sleep(struct ship *ship, uint64_t until_ns, int wake_fd)
{
	struct pollfd fds[] = { { .fd = ship->control_fd, .events = POLLIN }, { .fd = wake_fd, .events = POLLIN } };
	uint64_t now = clock_monotonic_ns();
	until_ns = min_ns(until_ns, ship->certificates_ns);
	uint64_t left = until_ns > now ? until_ns - now : 0;
	const struct timespec timeout = { (time_t)(left / NS_PER_SEC), (long)(left % NS_PER_SEC) };
	(void)ppoll(fds, ARRAY_SIZE(fds), &timeout, NULL);
}

/*
 * Waits until a batch is due: as many records wait as it may have, or the oldest has waited for batch_age (nothing is
 * asked more often than that, and one wake-up comes when enough of them are there). False: the thread is to end.
 */
static bool ship_wait(struct ship *ship)
{
	for (;;) {
		bool stopping;
		uint64_t stop_ns;
		eventfd_t ignored;
		(void)eventfd_read(queue_wake_fd(ship->queue), &ignored);
		ship_look(ship, &stopping, &stop_ns);
		ship_take_over(ship);
		ship_read_certificates(ship);

		const struct ship_options *options = &ship->session->options;
		uint64_t now = clock_monotonic_ns();
		size_t waiting = queue_waiting(ship->queue);
		if (stopping && (!waiting || now >= stop_ns))
			return false;
		if (waiting >= due_records(options) || (waiting && (stopping || now >= ship->close_ns)))
			return true;
		if (now >= ship->close_ns)
			ship->close_ns = now + options->batch_age_ns;
		ship_sleep(ship, ship->close_ns, queue_wake_fd(ship->queue));
	}
}

static int ship_encode(struct ship *ship, uint64_t sequence, const struct record_list *records)
{
	const struct ship_options *options = &ship->session->options;
	struct batch *batch = &ship->batch;
	buf_reset(&ship->encoded);
	buf_reset(&ship->compressed);
	/* Records are taken by their bounds, so only one that is larger alone can exceed batch_bytes. */
	ship->encoded.max = options->batch_bytes + OTLP_ENVELOPE_SIZE + OTLP_RECORD_MAX;
	ship->compressed.max = 2 * ship->encoded.max;

	int r = otlp_encode(&options->resource, sequence, records, &ship->encoded);
	batch->gzip = options->gzip;
	batch->body = batch->gzip ? &ship->compressed : &ship->encoded;
	if (r == 0 && batch->gzip)
		r = gzip_compress(ship->gzip, &ship->encoded, &ship->compressed);
	return r;
}

/* Takes a batch from the queue and makes it ready to be sent; true: it is. */
static bool ship_close_batch(struct ship *ship)
{
	const struct ship_options *options = &ship->session->options;
	_cleanup_(record_list_clear) struct record_list records = { 0 };
	size_t bytes = options->batch_bytes > OTLP_ENVELOPE_SIZE ? options->batch_bytes - OTLP_ENVELOPE_SIZE : 1;

	queue_take(ship->queue, options->batch_records, bytes, otlp_record_size, &records);
	ship->close_ns = clock_monotonic_ns() + options->batch_age_ns;
	ship->batch = (struct batch) { 0 };
	for (const struct record *record = records.first; record; record = record->next)
		ship->batch.records[record->kind]++;
	if (!ship->session->post)
		return true;

	pthread_mutex_lock(&ship->lock);
	uint64_t sequence = ++ship->status.sequence;
	pthread_mutex_unlock(&ship->lock);
	int r = ship_encode(ship, sequence, &records);
	if (r < 0) {
		const struct queue_outcome dropped = outcome_dropped(ship->batch.records, DROP_ERROR);
		queue_settle(ship->queue, &dropped);
		log_error("cannot encode a batch, dropping it", "records", LOG_FMT("%zu", records.records), "error",
		          LOG_ERRNO(r));
		return false;
	}
	pthread_mutex_lock(&ship->lock);
	ship->status.bytes_encoded += ship->encoded.size;
	ship->status.bytes_compressed += ship->batch.body->size;
	pthread_mutex_unlock(&ship->lock);
	return true;
}

static void *ship_run(void *data)
{
	struct ship *ship = data;
	pthread_setname_np(pthread_self(), "ship");
	while (ship_wait(ship))
		if (ship_close_batch(ship) && !ship_deliver(ship))
			break;
	return NULL;
}

static void ship_free(struct ship *ship)
{
	session_free(ship->next);
	session_free(ship->session);
	gzip_free(ship->gzip);
	buf_free(&ship->encoded);
	buf_free(&ship->compressed);
	pthread_mutex_destroy(&ship->lock);
	if (ship->control_fd >= 0)
		close(ship->control_fd);
	free(ship);
	curl_global_cleanup();
}
DEFINE_CLEANUP(struct ship *, ship_free)

int ship_start(const struct ship_options *options, struct queue *queue, struct ship **ret_ship)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return -ENOMEM;
	_cleanup_(ship_freep) struct ship *ship = calloc(1, sizeof(*ship));
	if (!ship) {
		curl_global_cleanup();
		return -ENOMEM;
	}
	pthread_mutex_init(&ship->lock, NULL);
	ship->queue = queue;
	ship->control_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (ship->control_fd < 0)
		return -errno;
	struct session *session;
	int r = gzip_new(&ship->gzip);
	if (r == 0)
		r = session_new(options, &session);
	if (r < 0)
		return r;
	ship_use(ship, session);

	/* Signals are the main thread's; and OpenSSL writes to sockets that may be closed: no SIGPIPE here. */
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&ship->thread, NULL, ship_run, ship);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r)
		return -r;
	*ret_ship = TAKE_PTR(ship);
	return 0;
}

int ship_reload(struct ship *ship, const struct ship_options *options)
{
	_cleanup_(session_freep) struct session *session = NULL;
	int r = session_new(options, &session);
	if (r < 0)
		return r;
	/* One that was not yet in use is freed here, where it was made: it has no connection. */
	pthread_mutex_lock(&ship->lock);
	struct session *unused = ship->next;
	ship->next = TAKE_PTR(session);
	pthread_mutex_unlock(&ship->lock);
	session_free(unused);
	(void)eventfd_write(ship->control_fd, 1);
	return 0;
}

void ship_status(struct ship *ship, struct ship_status *ret_status)
{
	pthread_mutex_lock(&ship->lock);
	*ret_status = ship->status;
	pthread_mutex_unlock(&ship->lock);
}

void ship_stop(struct ship *ship, uint64_t timeout_ns)
{
	pthread_mutex_lock(&ship->lock);
	ship->stopping = true;
	ship->stop_ns = clock_monotonic_ns() + timeout_ns;
	pthread_mutex_unlock(&ship->lock);
	(void)eventfd_write(ship->control_fd, 1);
	pthread_join(ship->thread, NULL);
	ship_free(ship);
}
