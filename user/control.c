// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include "user/control.h"

#define COMMAND_MAX     64
#define REQUESTS_MAX    32
#define REQUEST_SECONDS 30

struct control_request {
	struct control *control;
	struct bufferevent *connection; /* NULL: the client has left, but the handler still holds the request */
	struct control_request *next;
	enum { REQUEST_READING, REQUEST_ASKED, REQUEST_ANSWERED } state;
};

struct control {
	struct evconnlistener *listener;
	struct control_request *requests;
	size_t n_requests;
	control_handler handler;
	void *data;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	bool made_directory;
};

static void request_free(struct control_request *request)
{
	struct control_request **at = &request->control->requests;
	while (*at != request)
		at = &(*at)->next;
	*at = request->next;
	request->control->n_requests--;
	if (request->connection)
		bufferevent_free(request->connection);
	free(request);
}

static void on_read(struct bufferevent *connection, void *data)
{
	struct control_request *request = data;
	struct evbuffer *input = bufferevent_get_input(connection);
	size_t size;
	_cleanup_(freep) char *command = evbuffer_readln(input, &size, EVBUFFER_EOL_LF);
	if (command && request->state == REQUEST_READING) {
		request->state = REQUEST_ASKED;
		request->control->handler(request, command, request->control->data);
	} else if (!command && evbuffer_get_length(input) > COMMAND_MAX) {
		request_free(request);
	}
}

/* The answer is out. */
static void on_written(struct bufferevent *connection, void *data)
{
	request_free(data);
}

static void on_event(struct bufferevent *connection, short what, void *data)
{
	struct control_request *request = data;
	if (request->state != REQUEST_ASKED) {
		request_free(request);
		return;
	}
	/* A client may shut down its half once it has asked. */
	bufferevent_disable(connection, EV_READ);
	if (what & BEV_EVENT_EOF)
		return;
	bufferevent_free(connection);
	request->connection = NULL;
}

void control_reply(struct control_request *request, const char *text)
{
	request->state = REQUEST_ANSWERED;
	if (!request->connection || bufferevent_write(request->connection, text, strlen(text)) < 0) {
		request_free(request);
		return;
	}
	bufferevent_setcb(request->connection, NULL, on_written, on_event, request);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int length,
                      void *data)
{
	static const struct timeval timeout = { .tv_sec = REQUEST_SECONDS };
	struct control *control = data;
	struct control_request *request = control->n_requests < REQUESTS_MAX ? calloc(1, sizeof(*request)) : NULL;
	struct bufferevent *connection =
		request ? bufferevent_socket_new(evconnlistener_get_base(listener), fd, BEV_OPT_CLOSE_ON_FREE) : NULL;
	if (!connection) {
		free(request);
		close(fd);
		return;
	}
	request->control = control;
	request->connection = connection;
	request->next = control->requests;
	control->requests = request;
	control->n_requests++;
	bufferevent_setcb(connection, on_read, NULL, on_event, request);
	bufferevent_set_timeouts(connection, &timeout, &timeout);
	bufferevent_enable(connection, EV_READ | EV_WRITE);
}

static int connect_to(const char *path, int *ret_fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	_cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int control_remove_stale(const char *path)
{
	_cleanup_(closep) int fd = -1;
	struct stat st;
	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	/* Other files refuse connections, too. */
	if (!S_ISSOCK(st.st_mode))
		return -ENOTSOCK;
	int r = connect_to(path, &fd);
	if (r == 0)
		return -EADDRINUSE;
	if (r == -ECONNREFUSED)
		return unlink(path) < 0 ? -errno : 0;
	return r == -ENOENT ? 0 : r;
}

/* The directory of PATH; "" where that is the root. */
static void directory_of(const char *path, char ret_directory[static sizeof(((struct control *)0)->path)])
{
	snprintf(ret_directory, sizeof(((struct control *)0)->path), "%s", path);
	char *slash = strrchr(ret_directory, '/');
	*(slash ? slash : ret_directory) = '\0';
}

static int make_directory(const char *path, bool *ret_made)
{
	char directory[sizeof(((struct control *)0)->path)];
	directory_of(path, directory);
	if (!*directory)
		return 0;
	if (mkdir(directory, 0755) < 0)
		return errno == EEXIST ? 0 : -errno;
	*ret_made = true;
	return 0;
}

int control_open(struct event_base *base, const char *path, control_handler handler, void *data,
                 struct control **ret_control)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	_cleanup_(control_freep) struct control *control = calloc(1, sizeof(*control));
	if (!control)
		return -ENOMEM;
	memcpy(control->path, address.sun_path, sizeof(control->path));
	int r = make_directory(path, &control->made_directory);
	if (r == 0)
		r = control_remove_stale(path);
	if (r < 0)
		return r;
	control->handler = handler;
	control->data = data;
	mode_t mask = umask(0177);
	control->listener =
		evconnlistener_new_bind(base, on_accept, control, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 16,
	                                (struct sockaddr *)&address, sizeof(address));
	r = control->listener ? 0 : -errno;
	umask(mask);
	if (r < 0)
		return r;
	*ret_control = TAKE_PTR(control);
	return 0;
}

void control_free(struct control *control)
{
	if (!control)
		return;
	while (control->requests)
		request_free(control->requests);
	if (control->listener) {
		evconnlistener_free(control->listener);
		unlink(control->path);
	}
	if (control->made_directory) {
		char directory[sizeof(control->path)];
		directory_of(control->path, directory);
		rmdir(directory);
	}
	free(control);
}

int control_ask(const char *path, const char *command, unsigned seconds, struct buf *out)
{
	_cleanup_(closep) int fd = -1;
	int r = connect_to(path, &fd);
	if (r < 0)
		return r;
	struct timeval timeout = { .tv_sec = seconds };
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	if (send(fd, command, strlen(command), MSG_NOSIGNAL) < 0 || send(fd, "\n", 1, MSG_NOSIGNAL) < 0)
		return -errno;
	for (;;) {
		void *space;
		r = buf_reserve(out, 65536, &space);
		if (r < 0)
			return r;
		ssize_t size = recv(fd, space, 65536, 0);
		if (size < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		if (size == 0)
			return out->size ? 0 : -ECONNRESET;
		buf_commit(out, (size_t)size);
	}
}
