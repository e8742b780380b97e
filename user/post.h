/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP POSTs to the backend, one at a time, over a connection that is kept: HTTPS only, TLS 1.2 or later, the server's
 * name verified, no redirect, no proxy but the one in the options, nothing taken from the environment.
 */
#pragma once

#include "user/buf.h"
#include "user/ship.h"

#define POST_ANSWER_MAX 65536 /* bytes of body; a longer answer is an error */

struct post;

/* How a POST ended: with a status, or without one and with the error that says what to do. */
struct post_result {
	int status;              /* of HTTP; 0: there was no whole answer */
	uint64_t retry_after_ns; /* 0: the answer named none */
	uint64_t sent;           /* bytes of the body that went out */
	char error[256];         /* set where status is 0 */
	char detail[256];        /* the library's words for it; may be "" */
};

/* OPTIONS must outlive it. -errno. Free with post_free, which closes the connection. */
int post_new(const struct ship_options *options, struct post **ret_post);
void post_free(struct post *post);
DEFINE_CLEANUP(struct post *, post_free)

/* Begins to post BODY, which must stay as it is until the end; GZIP: it is compressed. 0 or -ENOMEM. */
int post_start(struct post *post, const struct buf *body, bool gzip);

/* Goes on until the POST has ended (true), or FD is readable or TIMEOUT_NS has passed (false). */
bool post_wait(struct post *post, int fd, uint64_t timeout_ns, struct post_result *ret_result);

/* Gives up the POST under way at once, even if a name is being looked up. */
void post_cancel(struct post *post);

/* The body of the latest answer, valid until the next post_start. */
const struct buf *post_answer(const struct post *post);
