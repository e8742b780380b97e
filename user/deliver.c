// SPDX-License-Identifier: Apache-2.0
/* A closed batch on its way: attempts, what their answers mean, the waits between them, and what is logged of it. */
#include <inttypes.h>
#include <string.h>
#include "user/advice.h"
#include "user/log.h"
#include "user/outcome.h"
#include "user/ship_internal.h"

#define BACKOFF_STOPPING_NS (NS_PER_SEC / 5)   /* between attempts, once the thread is to end */
#define RETRY_AFTER_MAX_NS  (600 * NS_PER_SEC) /* nobody may tell the sensor to be silent for longer */

/* Notes how an attempt ended, and logs it where it is news. ERROR NULL: the backend took the batch. */
static void ship_report(struct ship *ship, const char *error, const char *detail, const char *next)
{
	pthread_mutex_lock(&ship->lock);
	bool news = error ? strcmp(error, ship->logged) != 0 : !ship->status.up;
	ship->status.up = !error;
	snprintf(ship->status.last_error, sizeof(ship->status.last_error), "%s", error ? error : "");
	pthread_mutex_unlock(&ship->lock);
	snprintf(ship->logged, sizeof(ship->logged), "%s", error ? error : "");

	const char *url = ship->session->options.url;
	if (!error && news)
		log_info("backend up", "url", url);
	else if (error)
		log_write(news ? LOG_WARN : LOG_DEBUG, next, "url", url, "error", error, "detail",
		          *detail ? detail : NULL, NULL);
}

/* Something about a batch that was taken; logged when it is new. */
static void ship_remark(struct ship *ship, const char *message, const char *words, uint64_t records)
{
	bool news = strcmp(words, ship->remark) != 0;
	snprintf(ship->remark, sizeof(ship->remark), "%s", words);
	log_write(news ? LOG_WARN : LOG_DEBUG, message, "url", ship->session->options.url, "records",
	          LOG_FMT("%" PRIu64, records), "backend_says", words, NULL);
}

static void ship_settle_taken(struct ship *ship)
{
	const struct buf *answer = post_answer(ship->session->post);
	struct otlp_response response = { 0 };
	if (otlp_decode_response(answer->data, answer->size, &response) < 0)
		ship_remark(ship, "the backend's answer is not OTLP, trusting its status", "not OTLP", 0);
	else if (response.rejected)
		ship_remark(ship, "the backend rejected records, dropping them", response.message, response.rejected);

	const struct queue_outcome outcome = outcome_acked(ship->batch.records, response.rejected);
	queue_settle(ship->queue, &outcome);
	pthread_mutex_lock(&ship->lock);
	ship->status.batches_sent++;
	pthread_mutex_unlock(&ship->lock);
	ship_report(ship, NULL, NULL, NULL);
}

static void ship_settle_dropped(struct ship *ship, enum drop_reason reason)
{
	const struct queue_outcome outcome = outcome_dropped(ship->batch.records, reason);
	queue_settle(ship->queue, &outcome);
}

/* One POST of the batch. False: the time to stop came before it ended. */
static bool ship_post(struct ship *ship, struct post_result *ret_result)
{
	struct post *post = ship->session->post;
	*ret_result = (struct post_result) { .error = "out of memory: raise the memory limit" };
	if (post_start(post, ship->batch.body, ship->batch.gzip) < 0)
		return true;
	for (;;) {
		bool stopping;
		uint64_t stop_ns, now = clock_monotonic_ns();
		ship_look(ship, &stopping, &stop_ns);
		if (now >= stop_ns) {
			post_cancel(post);
			return false;
		}
		ship_read_certificates(ship);
		if (post_wait(post, ship->control_fd, min_ns(stop_ns, ship->certificates_ns) - now, ret_result))
			break;
	}
	pthread_mutex_lock(&ship->lock);
	ship->status.bytes_sent += ret_result->sent;
	pthread_mutex_unlock(&ship->lock);
	return true;
}

/* How long to wait before the next attempt, after a POST that ended with RESULT. */
static uint64_t ship_delay(struct ship *ship, const struct post_result *result)
{
	bool stopping;
	uint64_t stop_ns, delay_ns = backoff_ns(++ship->failures);
	ship_look(ship, &stopping, &stop_ns);
	if (stopping)
		return BACKOFF_STOPPING_NS;
	return result->retry_after_ns ? min_ns(result->retry_after_ns, RETRY_AFTER_MAX_NS) : delay_ns;
}

/* Waits for the next attempt; a reload, or the request to stop, brings it forward. False: the time to stop is over. */
static bool ship_back_off(struct ship *ship, uint64_t delay_ns)
{
	bool stopping, was_stopping;
	uint64_t stop_ns, until_ns = clock_monotonic_ns() + delay_ns;
	ship_look(ship, &was_stopping, &stop_ns);
	for (;;) {
		uint64_t now = clock_monotonic_ns();
		ship_look(ship, &stopping, &stop_ns);
		if (now >= stop_ns)
			return false;
		if (ship_take_over(ship) || stopping != was_stopping || now >= until_ns)
			return true;
		ship_read_certificates(ship);
		ship_sleep(ship, min_ns(until_ns, stop_ns), -1);
	}
}

/* Decides about the batch by how its POST ended; true: it is settled, else *ret_delay_ns is when to try again. */
static bool ship_judge(struct ship *ship, const struct post_result *result, uint64_t *ret_delay_ns)
{
	enum answer answer = answer_of_status(result->status);
	if (answer == ANSWER_TAKEN) {
		ship->failures = 0;
		ship_settle_taken(ship);
		return true;
	}

	char error[256], words[256] = "";
	const struct buf *body = post_answer(ship->session->post);
	(void)otlp_decode_status(body->data, body->size, words);
	if (result->status)
		advise_on_status(result->status, words, error);
	else
		snprintf(error, sizeof(error), "%s", result->error);
	if (answer == ANSWER_REFUSED) {
		ship->failures = 0;
		ship_settle_dropped(ship, DROP_REFUSED);
		ship_report(ship, error, result->detail, "backend refuses a batch, dropping it");
		return true;
	}

	*ret_delay_ns = ship_delay(ship, result);
	ship_report(ship, error, result->detail,
	            LOG_FMT("backend down, retrying in %.1f s", (double)*ret_delay_ns / NS_PER_SEC));
	return false;
}

bool ship_deliver(struct ship *ship)
{
	for (;;) {
		struct post_result result;
		uint64_t delay_ns;
		/* A reload may have taken the backend away, never have brought one between closing and this. */
		if (!ship->session->post) {
			ship_settle_dropped(ship, DROP_NO_BACKEND);
			ship_report(ship, "backend.url is empty: set it to have records delivered", "",
			            "no backend, dropping records");
			return true;
		}
		if (!ship_post(ship, &result))
			return false;
		if (ship_judge(ship, &result, &delay_ns))
			return true;
		if (!ship_back_off(ship, delay_ns))
			return false;
		pthread_mutex_lock(&ship->lock);
		ship->status.batches_retried++;
		pthread_mutex_unlock(&ship->lock);
	}
}
