/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_CTL_H
#define CURVEFS_CTL_H

/*
 * The control socket of a mount, and the run directory where tools find it.
 *
 *   /run/curvefs/<minor>/           <minor>: of the mount's device number (stat(2) st_dev)
 *       control.sock                mode 0600, owner of the daemon
 *       mount.json                  {"pid","source","mountpoint","name","uuid","started","bpf","why_no_bpf"}
 *   /sys/fs/bpf/curvefs/<minor>/    the pinned maps
 *
 * Protocol: one JSON object a line. The client sends one request,
 *   {"cmd": "stats" | "info" | "warmup" | "paths" | "status", ...}
 * and gets any number of {"progress": {...}} lines, then one {"result": {...}}
 * or {"error": {"errno": N, "message": "..."}}. A request line is at most 1 MiB, a client
 * that says nothing for 30 s is closed, and at most 16 are served at a time.
 *
 *   stats   -> the object printed by `curvefs stats --json`
 *   info    {"ino": N} -> attributes, chunks, slices, objects, cached and published
 *   warmup  {"inos": [N...], "threads": N, "metadata_only": bool, "check": bool}: each with all below it
 *           -> {"files","bytes","fetched_bytes","entries","failed":[{"path","message"}...]}
 *   paths   {"inos": [N...]} -> {"paths": {"N": "/a/b", ...}} (relative to the root; unknown ones are left
 * out) status  -> mount.json and the state of the parts
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define CTL_RUN_DIR "/run/curvefs"
#define CTL_BPFFS_DIR "/sys/fs/bpf/curvefs"
#define CTL_LINE_MAX (1u << 20)

struct ctl_server;
struct volume;

/** Make the run directory of @p minor (stale leftovers are replaced) and serve in threads of its own. */
int ctl_server_start(struct volume *v, unsigned minor, struct ctl_server **ret, char **ret_why);

/** Stop, wait for the clients' threads, remove the run directory. */
void ctl_server_stop(struct ctl_server *s);

/* ---- the client's side (tools/) ---- */

typedef void (*ctl_progress_fn)(json_t *progress, void *arg);

/**
 * Find the mount that @p path lies in. @return 0, -ENOENT (no curvefs mount there; *ret_why says so).
 * @p ret_ino: of @p path itself.
 */
int ctl_find_mount(const char *path, unsigned *ret_minor, uint64_t *ret_ino, char **ret_why);

/**
 * Send @p request (not taken) to the mount @p minor and wait for its answer, at most @p timeout_s without a
 * line.
 * @return 0 and a new reference, or negative errno with *ret_why (free it).
 */
int ctl_call(unsigned minor, json_t *request, unsigned timeout_s, ctl_progress_fn progress, void *arg,
             json_t **ret, char **ret_why);

#endif
