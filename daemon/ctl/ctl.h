/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_CTL_H
#define CURVEFS_CTL_H

/*
 * The control socket of a mount, and the run directory where tools find it.
 *
 *   /run/curvefs/<minor>/           <minor>: of the mount's device number (stat(2) st_dev); mode 0700
 *       control.sock                mode 0600, owner of the daemon
 *       mount.json                  {"pid","source","mountpoint","name","uuid","started","bpf","why_no_bpf"}
 *   /sys/fs/bpf/curvefs/<minor>/    the pinned maps
 *
 * Protocol: one JSON object a line. The client sends one request,
 *   {"cmd": "stats" | "info" | "warmup" | "paths" | "status" | "sync" | "fsck" | "gc", ...}
 * and gets any number of {"progress": {...}} lines, then one {"result": {...}}
 * or {"error": {"errno": N, "message": "..."}}, and the connection is closed. A request line is at
 * most 1 MiB, a client that has not said it whole after 30 s is closed, and at most 16 are served at a
 * time (more wait). File names are text as common/text.h has it, paths are relative to the mount's root.
 *
 *   stats   -> the object printed by `curvefs stats --json`
 *   info    {"ino": N, "max_chunks": N} -> attributes, chunks, slices, objects, cached and published
 *   warmup  {"paths": [...], "threads": N, "metadata_only": bool, "check": bool, "totals": bool}:
 *           each path with all below it. Progress several times a second:
 *           {"files","bytes","fetched_bytes","entries"}, with "totals" also {"total_files","total_bytes"}
 *           -> the same and {"failed": [{"path","message"}...], "failed_count"}
 *   paths   {"inos": [N...]} -> {"paths": {"N": "a/b", ...}} (unknown ones are left out)
 *   status  -> mount.json and the state of the parts
 *   sync    -> {} when everything written is in the object store and committed, and the metadata copied there
 *   fsck    {"read_data": bool (false)} -> what fsck_report() says (fsck/report.h);
 *           progress {"phase","done","total"}
 *   gc      {"dry_run": bool, "min_age": seconds} -> what gc_report() says; progress as fsck
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define CTL_RUN_DIR "/run/curvefs"
#define CTL_BPFFS_DIR "/sys/fs/bpf/curvefs"
#define CTL_LINE_MAX (1u << 20)
#define CTL_CLIENTS_MAX 16
#define CTL_CLIENT_TIMEOUT_S 30

struct ctl_server;
struct volume;

/**
 * Make the run directory of @p minor (stale leftovers are replaced) and serve in threads of its own.
 * Call it when the kernel side is attached, or known to be off.
 */
int ctl_server_start(struct volume *v, unsigned minor, struct ctl_server **ret, char **ret_why);

/** Stop, wait for the clients' threads, remove the run directory. NULL is ignored. */
void ctl_server_stop(struct ctl_server *s);

/* ---- the client's side (tools/) ---- */

/**
 * Where the run directories are: $CURVEFS_RUN_DIR if set (tests), CTL_RUN_DIR for root, else below
 * $XDG_RUNTIME_DIR. Used by both sides. @return a static string.
 */
const char *ctl_run_dir(void);

typedef void (*ctl_progress_fn)(json_t *progress, void *arg);

/** A path, as the volume that it lies in knows it; ctl_place_free() it. */
struct ctl_place {
	unsigned minor;
	uint64_t ino;     /* 0 when the mount is dead */
	char *path;       /* in the volume: bytes, no leading slash, "" is the root */
	char *mountpoint; /* absolute */
	bool dead;        /* the mount said ENOTCONN: its daemon is gone */
};
void ctl_place_free(struct ctl_place *place);

/**
 * Find the mount that @p path lies in. A symbolic link at the end is followed if @p follow.
 * @return 0, -ENOENT (no such file, or no curvefs mount there), or another errno; *ret_why says it for
 * people.
 */
int ctl_find_place(const char *path, bool follow, struct ctl_place *ret, char **ret_why);

/** The same for tools that need no more; a dead mount is -ENOTCONN, and then only *ret_minor is set. */
int ctl_find_mount(const char *path, unsigned *ret_minor, uint64_t *ret_ino, char **ret_why);

/**
 * Send @p request (not taken) to the mount @p minor and wait for its answer, at most @p timeout_s without a
 * line.
 * @return 0 and a new reference, or negative errno with *ret_why (free it): the daemon's own, or
 * -ENOENT (no such mount), -ECONNREFUSED (the daemon is gone), -ETIMEDOUT, -EPROTO.
 */
int ctl_call(unsigned minor, json_t *request, unsigned timeout_s, ctl_progress_fn progress, void *arg,
             json_t **ret, char **ret_why);

/** Process id of the daemon that serves @p minor, from its socket. @return 0, -ENOENT, -ECONNREFUSED. */
int ctl_server_pid(unsigned minor, pid_t *ret_pid);

/** mount.json of @p minor, also of a dead mount; a new reference. */
int ctl_read_mount_json(unsigned minor, json_t **ret);

/** Minors that have a run directory, ascending; free *ret_minors. No run directory at all: none. */
int ctl_list_mounts(unsigned **ret_minors, size_t *ret_count);

/** Remove what a killed daemon left: its run directory and its pins. Only for one that does not run. */
int ctl_remove_leftovers(unsigned minor);

#endif
