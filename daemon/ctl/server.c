/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One thread accepts, one more serves each client. Whoever can connect is the
 * mount's owner or root, yet nothing that arrives is believed: lines are bounded, slow
 * clients are closed, and what is no request is answered with an error.
 */

#include "common/cleanup.h"
#include "common/log.h"
#include "common/text.h"
#include "daemon/ctl/command.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/line.h"
#include "daemon/ctl/rundir.h"
#include "daemon/meta/meta.h"
#include "daemon/volume.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEND_TIMEOUT_MS 10000

struct ctl_server {
	struct volume *volume;
	unsigned minor;
	int dir_fd, listen_fd, stop_fd;
	json_t *mount;
	time_t started;
	pthread_t accepter;
	_Atomic bool stopping;

	pthread_mutex_t lock;
	pthread_cond_t left;             /* a client left */
	unsigned clients;                /* protected by lock */
	int client_fds[CTL_CLIENTS_MAX]; /* protected by lock; -1: free */
};

struct client {
	struct ctl_session session; /* first: the callbacks get it */
	struct ctl_server *server;
	int fd;
};

static bool client_wanted(struct ctl_session *session)
{
	struct client *c = (struct client *)session;
	struct pollfd p = {.fd = c->fd};

	/* POLLHUP: closed; one that only finished its own sending still listens. */
	return !c->server->stopping && (poll(&p, 1, 0) <= 0 || !(p.revents & (POLLHUP | POLLERR)));
}

static bool client_progress(struct ctl_session *session, json_t *progress)
{
	struct client *c = (struct client *)session;
	json_t *line = json_pack("{s:O}", "progress", progress);
	int r = line ? ctl_line_write(c->fd, line, SEND_TIMEOUT_MS) : -ENOMEM;

	json_decref(line);
	return r == 0 && client_wanted(session);
}

static void answer_error(int fd, int r, const char *message)
{
	json_t *line =
		json_pack("{s:{s:i,s:s}}", "error", "errno", -r, "message", message ? message : strerror(-r));

	if (line)
		ctl_line_write(fd, line, SEND_TIMEOUT_MS);
	json_decref(line);
}

static void serve(struct client *c)
{
	_cleanup_(ctl_line_done) struct ctl_line line = {0};
	_cleanup_free_ char *why = NULL;
	json_t *request, *result = NULL, *whole;
	json_error_t error;
	size_t length;
	char *text;
	int r;

	ctl_line_init(&line, c->fd, CTL_LINE_MAX);
	r = ctl_line_read(&line, CTL_CLIENT_TIMEOUT_S * 1000, &text, &length);
	if (r == -EMSGSIZE)
		answer_error(c->fd, r, "the request is longer than 1 MiB");
	if (r == -ETIMEDOUT)
		answer_error(c->fd, r, "no request within 30 s");
	if (r < 0)
		return;
	request = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
	if (!request) {
		answer_error(c->fd, -EINVAL, "the request is not JSON");
		return;
	}
	r = ctl_command(&c->session, request, &result, &why);
	json_decref(request);
	if (r < 0) {
		answer_error(c->fd, r, why);
		return;
	}
	whole = json_pack("{s:o}", "result", result);
	if (whole)
		ctl_line_write(c->fd, whole, SEND_TIMEOUT_MS);
	json_decref(whole);
}

static void *client_thread(void *arg)
{
	struct client *c = arg;
	struct ctl_server *s = c->server;

	serve(c);
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < CTL_CLIENTS_MAX; i++)
		if (s->client_fds[i] == c->fd)
			s->client_fds[i] = -1;
	close(c->fd);
	free(c);
	s->clients--;
	pthread_cond_broadcast(&s->left);
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* The directory keeps others out already; this holds should somebody pass the socket on, or open up the path.
 */
static bool may_ask(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
	       (peer.uid == 0 || peer.uid == geteuid());
}

/* Takes @p fd. */
static void start_client(struct ctl_server *s, int fd)
{
	struct client *c = calloc(1, sizeof(*c));
	pthread_attr_t attr;
	pthread_t thread;
	int r = ENOMEM;

	pthread_mutex_lock(&s->lock);
	if (c) {
		*c = (struct client){
			.session = {.volume = s->volume,
		                    .mount = s->mount,
		                    .started = s->started,
		                    .progress = client_progress,
		                    .wanted = client_wanted},
			.server = s,
			.fd = fd,
		};
		pthread_attr_init(&attr);
		pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
		r = pthread_create(&thread, &attr, client_thread, c);
		pthread_attr_destroy(&attr);
	}
	if (r == 0) {
		s->clients++;
		for (size_t i = 0; i < CTL_CLIENTS_MAX; i++) {
			if (s->client_fds[i] < 0) {
				s->client_fds[i] = fd;
				break;
			}
		}
	}
	pthread_mutex_unlock(&s->lock);
	if (r != 0) {
		log_warning("control socket: cannot serve a client: %s", strerror(r));
		free(c);
		close(fd);
	}
}

static void *accept_thread(void *arg)
{
	struct ctl_server *s = arg;

	while (!s->stopping) {
		struct pollfd p[2] = {{.fd = s->listen_fd, .events = POLLIN},
		                      {.fd = s->stop_fd, .events = POLLIN}};
		int fd;

		pthread_mutex_lock(&s->lock);
		while (s->clients >= CTL_CLIENTS_MAX && !s->stopping)
			pthread_cond_wait(&s->left, &s->lock);
		pthread_mutex_unlock(&s->lock);

		if (poll(p, 2, -1) < 0 || !(p[0].revents & POLLIN))
			continue;
		fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0 && !may_ask(fd)) {
			answer_error(fd, -EPERM, "only the owner of the mount and root may ask its daemon");
			close(fd);
		} else if (fd >= 0) {
			start_client(s, fd);
		}
		if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM))
			poll(&p[1], 1, 100); /* the client stays in the queue; do not spin */
	}
	return NULL;
}

static int make_mount_json(struct ctl_server *s)
{
	struct volume *v = s->volume;
	const struct meta_volume *mv = meta_volume(v->meta);
	_cleanup_free_ char *source = text_escape(v->options->source);
	_cleanup_free_ char *mountpoint = text_escape(v->options->mountpoint);
	_cleanup_free_ char *name = text_escape(mv->name);

	if (!source || !mountpoint || !name)
		return -ENOMEM;
	s->mount = json_pack("{s:i,s:s,s:s,s:s,s:s,s:I,s:b,s:s*}", "pid", (int)getpid(), "source", source,
	                     "mountpoint", mountpoint, "name", name, "uuid", mv->uuid, "started",
	                     (json_int_t)s->started, "bpf", v->kernel != NULL, "why_no_bpf",
	                     v->kernel ? NULL : v->why_no_bpf);
	return s->mount ? 0 : -ENOMEM;
}

static int open_socket(struct ctl_server *s)
{
	struct sockaddr_un address;
	int r = rundir_socket(s->minor, &address);

	if (r < 0)
		return r;
	s->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->listen_fd < 0)
		return -errno;
	/* Nobody else gets through the directory, so the mode may be set after the name is there. */
	if (bind(s->listen_fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    chmod(address.sun_path, 0600) < 0 || listen(s->listen_fd, 64) < 0)
		return -errno;
	return 0;
}

static void server_free(struct ctl_server *s)
{
	if (s->dir_fd >= 0) {
		int r = rundir_remove(s->minor, s->dir_fd);

		if (r < 0)
			log_warning("cannot remove %s/%u: %s", ctl_run_dir(), s->minor, strerror(-r));
		close(s->dir_fd);
	}
	if (s->listen_fd >= 0)
		close(s->listen_fd);
	if (s->stop_fd >= 0)
		close(s->stop_fd);
	json_decref(s->mount);
	pthread_cond_destroy(&s->left);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

int ctl_server_start(struct volume *v, unsigned minor, struct ctl_server **ret, char **ret_why)
{
	struct ctl_server *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->volume = v;
	s->minor = minor;
	s->started = time(NULL);
	s->dir_fd = s->listen_fd = -1;
	s->stop_fd = eventfd(0, EFD_CLOEXEC);
	for (size_t i = 0; i < CTL_CLIENTS_MAX; i++)
		s->client_fds[i] = -1;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->left, NULL);

	r = s->stop_fd < 0 ? -errno : make_mount_json(s);
	if (r == 0)
		r = rundir_make(minor, &s->dir_fd, ret_why);
	if (r < 0)
		goto fail;
	r = open_socket(s);
	if (r == 0)
		r = rundir_write_json(minor, s->mount);
	if (r == 0)
		r = -pthread_create(&s->accepter, NULL, accept_thread, s);
	if (r < 0) {
		if (asprintf(ret_why, "cannot serve the control socket in %s/%u: %s", ctl_run_dir(), minor,
		             strerror(-r)) < 0)
			*ret_why = NULL;
		goto fail;
	}
	*ret = s;
	return 0;
fail:
	server_free(s);
	return r;
}

void ctl_server_stop(struct ctl_server *s)
{
	if (!s)
		return;
	s->stopping = true;
	if (eventfd_write(s->stop_fd, 1) < 0)
		log_warning("control socket: %s", strerror(errno));
	pthread_mutex_lock(&s->lock);
	pthread_cond_broadcast(&s->left);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->accepter, NULL);

	/* Who is still to send its request waits in vain; who waits for an answer gets it, or that it was
	 * stopped. */
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < CTL_CLIENTS_MAX; i++)
		if (s->client_fds[i] >= 0)
			shutdown(s->client_fds[i], SHUT_RD);
	while (s->clients)
		pthread_cond_wait(&s->left, &s->lock);
	pthread_mutex_unlock(&s->lock);
	server_free(s);
}
