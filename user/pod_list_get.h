/* SPDX-License-Identifier: Apache-2.0 */
/* One request for the pod list, over a connection that is kept. */
#pragma once

#include "user/buf.h"
#include "user/pod_list.h"

struct pod_list_get;

/* OPTIONS must outlive it. -errno. Free with pod_list_get_free, which closes the connection. */
int pod_list_get_new(const struct pod_list_options *options, struct pod_list_get **ret_get);
void pod_list_get_free(struct pod_list_get *get);
DEFINE_CLEANUP(struct pod_list_get *, pod_list_get_free)

/*
 * GETs the list with the token that is in its file now. 0: it is appended to BODY. -ECANCELED: STOP_FD became readable. -EIO or
 * -ENOMEM: there is none, RET_ERROR says what to do.
 */
int pod_list_get(struct pod_list_get *get, int stop_fd, struct buf *body, char ret_error[static 256]);
