/* SPDX-License-Identifier: Apache-2.0 */
/* What a reload of the shipping thread exchanges as a whole: its options, and the connection made by them. */
#pragma once

#include "user/post.h"

struct session {
	struct ship_options options; /* the texts are copies, none is NULL */
	struct post *post;           /* NULL: url is "" */
};

/* 0, -ENOMEM, or -EINVAL: a bound or a time is 0. Free with session_free. */
int session_new(const struct ship_options *options, struct session **ret_session);
void session_free(struct session *session);
DEFINE_CLEANUP(struct session *, session_free)
