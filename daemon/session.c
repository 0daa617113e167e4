// SPDX-License-Identifier: Apache-2.0
#include "daemon/session.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "common/why.h"
#include "daemon/ctl/ctl.h"
#include "daemon/fs/fs.h"
#include "daemon/fs/tmpfile.h"
#include "daemon/kernel/kernel.h"
#include "daemon/mountinfo.h"
#include "daemon/options.h"
#include "daemon/privileges.h"
#include "daemon/store/credentials.h"
#include "daemon/volume.h"

#include <fuse_lowlevel.h>
#include <signal.h>

/* Requests served at a time; one that stores a file waits for the object store, so there must be others. */
#define MAX_THREADS 128

struct session {
	const struct options *options;
	struct volume *volume;
	struct fuse_session *fuse;
	struct ctl_server *ctl; /* NULL: none could be made, which is no reason not to mount */
	bool mounted;
};

/* ---- signals ----
 *
 * They must reach the thread that waits in fuse_session_loop_mt(): a handler
 * that runs in any other one sets the flag and nobody looks. So they are blocked
 * before the first thread is made (which inherits that) and let in around the loop.
 */

static void stop_signals(sigset_t *ret)
{
	sigemptyset(ret);
	sigaddset(ret, SIGTERM);
	sigaddset(ret, SIGINT);
	sigaddset(ret, SIGHUP);
}

static void block_stop_signals(int how)
{
	sigset_t set;

	stop_signals(&set);
	pthread_sigmask(how, &set, NULL);
}

/* ---- the FUSE session ---- */

static int add_option(struct fuse_args *args, const char *option)
{
	return fuse_opt_add_arg(args, "-o") || fuse_opt_add_arg(args, option) ? -ENOMEM : 0;
}

static int session_arguments(const struct options *o, struct fuse_args *args)
{
	char *list = NULL, *name = NULL;
	int r = 0;

	if (asprintf(&name, "fsname=%s", o->source) < 0)
		return -ENOMEM;
	/* Escaped: a source may have a comma in it. */
	if (fuse_opt_add_opt(&list, "default_permissions") || fuse_opt_add_opt(&list, "subtype=curvefs") ||
	    fuse_opt_add_opt_escaped(&list, name) || (o->read_only && fuse_opt_add_opt(&list, "ro")) ||
	    (o->allow_other && fuse_opt_add_opt(&list, "allow_other")) ||
	    (o->fuse_opts && fuse_opt_add_opt(&list, o->fuse_opts)))
		r = -ENOMEM;
	free(name);
	if (!r && fuse_opt_add_arg(args, "curvefs-fuse"))
		r = -ENOMEM;
	if (!r)
		r = add_option(args, list);
	if (!r && o->debug && fuse_opt_add_arg(args, "-d"))
		r = -ENOMEM;
	free(list);
	return r;
}

static int session_mount(struct session *s, char **ret_why)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	int r;

	r = session_arguments(s->options, &args);
	if (!r) {
		s->fuse = fuse_session_new(&args, &fs_ops, sizeof(fs_ops), s->volume);
		if (!s->fuse)
			r = why_r(-EINVAL, ret_why, "libfuse refused the mount options");
	}
	fuse_opt_free_args(&args);
	if (r < 0)
		return r;
	/* What failed in there libfuse has said on standard error. */
	privileges_raise();
	r = fuse_session_mount(s->fuse, s->options->mountpoint);
	privileges_lower();
	if (r != 0)
		return why_r(-EIO, ret_why, "cannot mount on %s", s->options->mountpoint);
	s->mounted = true;
	s->volume->session = s->fuse;
	r = fs_pass_tmpfile(s->fuse);
	return r < 0 ? why_r(r, ret_why, "cannot read requests: %s", strerror(-r)) : 0;
}

/* ---- around them ---- */

/* Not by stat(): this process would have to answer the question that it waits for. */
static int own_minor(const struct options *o, unsigned *ret_minor)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/mountinfo", "re");
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	ssize_t length;

	if (!f)
		return -errno;
	length = getdelim(&text, &size, '\0', f);
	if (length < 0)
		return -EIO;
	return mountinfo_find_minor(text, o->mountpoint, ret_minor);
}

/* What it would need is kept only then. */
static bool bpf_is_possible(const struct options *o)
{
	_cleanup_free_ char *why = NULL;

	return o->bpf_cache != BPF_CACHE_OFF && kernel_probe(&why) == 0;
}

static int session_start(struct session *s, char **ret_why)
{
	_cleanup_free_ char *why = NULL;
	char pin_dir[sizeof(CTL_BPFFS_DIR) + 16];
	unsigned minor = 0;
	int r;

	r = privileges_reduce(s->options, bpf_is_possible(s->options), ret_why);
	if (r < 0)
		return r;
	r = volume_open(s->options, &s->volume, ret_why);
	/* The store has them now; in the environment anybody may find them who is let look. */
	credentials_wipe_environment();
	if (r < 0)
		return r;
	r = session_mount(s, ret_why);
	if (r < 0)
		return r;
	r = own_minor(s->options, &minor);
	if (r < 0)
		return why_r(r, ret_why, "cannot find %s in /proc/self/mountinfo: %s", s->options->mountpoint,
		             strerror(-r));
	snprintf(pin_dir, sizeof(pin_dir), "%s/%u", CTL_BPFFS_DIR, minor);
	r = volume_attach_kernel(s->volume, fuse_session_fd(s->fuse), pin_dir, ret_why);
	if (r < 0)
		return r;
	r = ctl_server_start(s->volume, minor, &s->ctl, &why);
	/* Other users may have no place for it. */
	if (r < 0 && geteuid() != 0) {
		log_warning("no control socket, so no `curvefs stats`, `info` or `warmup`: %s",
		            why ? why : strerror(-r));
		r = 0;
	}
	if (r < 0)
		return why_r(r, ret_why, "cannot make the control socket: %s", why ? why : strerror(-r));
	return 0;
}

static int session_serve(struct session *s)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	int r;

	if (!config)
		return -ENOMEM;
	fuse_loop_cfg_set_max_threads(config, s->options->max_idle_threads > MAX_THREADS
	                                              ? s->options->max_idle_threads
	                                              : MAX_THREADS);
	fuse_loop_cfg_set_idle_threads(config, s->options->max_idle_threads);
	fuse_loop_cfg_set_clone_fd(config, s->options->clone_fd);
	if (fuse_set_signal_handlers(s->fuse) != 0) {
		fuse_loop_cfg_destroy(config);
		return log_error_r(-EIO, "cannot set the signal handlers");
	}
	block_stop_signals(SIG_UNBLOCK);
	r = fuse_session_loop_mt(s->fuse, config);
	block_stop_signals(SIG_BLOCK);
	fuse_remove_signal_handlers(s->fuse);
	fuse_loop_cfg_destroy(config);
	/* A signal's number: asked to go. */
	if (r > 0)
		log_debug("ended by signal %d", r);
	return r < 0 ? log_error_r(r, "serving %s", s->options->mountpoint) : 0;
}

/* In the order of requests: nobody asks any more, then what was written is stored. */
static int session_stop(struct session *s)
{
	int r;

	if (s->ctl)
		ctl_server_stop(s->ctl);
	privileges_raise();
	if (s->mounted)
		fuse_session_unmount(s->fuse);
	privileges_lower();
	r = volume_close(s->volume);
	if (s->fuse)
		fuse_session_destroy(s->fuse);
	return r;
}

int session_run(const struct options *options, session_ready_fn ready, void *arg, char **ret_why)
{
	struct session s = {.options = options};
	int r, q;

	block_stop_signals(SIG_BLOCK);
	r = session_start(&s, ret_why);
	if (!r) {
		ready(arg);
		r = session_serve(&s);
	}
	q = session_stop(&s);
	return r ? r : q;
}
