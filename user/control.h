/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket, on which `sonde status` asks the running sensor: a request line, an answer, end. */
#pragma once

#include <event2/event.h>
#include "user/buf.h"

struct control;
struct control_request;

/*
 * A request arrived: COMMAND is its line without the newline. Whoever handles it calls control_reply once, now or later.
 */
typedef void (*control_handler)(struct control_request *request, const char *command, void *data);

/*
 * Listens on the Unix socket PATH (mode 0600; its directory is made; a stale socket is replaced). 0; -EADDRINUSE: a
 * sensor answers there already; -errno. Free with control_free: open requests are cut off, the socket file removed.
 */
int control_open(struct event_base *base, const char *path, control_handler handler, void *data,
                 struct control **ret_control);
void control_free(struct control *control);
DEFINE_CLEANUP(struct control *, control_free)

/* Removes the socket file of a sensor that was killed. 0, also where there is none; -EADDRINUSE; -ENOTSOCK; -errno. */
int control_remove_stale(const char *path);

void control_reply(struct control_request *request, const char *text);

/* The client's side: sends COMMAND, waits up to SECONDS for the whole answer in OUT. 0 or -errno. */
int control_ask(const char *path, const char *command, unsigned seconds, struct buf *out);
