/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_SESSION_H
#define CURVEFS_SESSION_H

/*
 * One mount from beginning to end: the FUSE session, the kernel side and the
 * control socket around an open volume.
 */

struct options;

/** Told once, when the mount is usable: all that can be refused was not. */
typedef void (*session_ready_fn)(void *arg);

/**
 * Open the volume, mount it, serve it until it is unmounted or a signal (SIGTERM,
 * SIGINT, SIGHUP) comes, and take everything down again. Call it in a process that has one thread.
 * @return 0; or negative errno, and if it failed before @p ready was called *ret_why (free it) says why.
 */
int session_run(const struct options *options, session_ready_fn ready, void *arg, char **ret_why);

#endif
