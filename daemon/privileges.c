// SPDX-License-Identifier: Apache-2.0
#include "daemon/privileges.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "common/why.h"
#include "daemon/options.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define CAP(name) (1ull << (name))

/* Not libcap's: it would be the only use of that library. */
struct caps {
	uint64_t effective, permitted;
};

static uint64_t lowered; /* in effect between privileges_lower() and privileges_raise() */
static uint64_t raised;

static int caps_get(struct caps *ret)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	*ret = (struct caps){
		.effective = data[0].effective | (uint64_t)data[1].effective << 32,
		.permitted = data[0].permitted | (uint64_t)data[1].permitted << 32,
	};
	return 0;
}

static int caps_set(uint64_t effective, uint64_t permitted)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	const struct __user_cap_data_struct data[2] = {
		{.effective = (uint32_t)effective, .permitted = (uint32_t)permitted},
		{.effective = effective >> 32, .permitted = permitted >> 32},
	};

	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

/* Whether this user as such may do @p mode to @p path; what is not there yet, or wrong otherwise, is said
 * later. */
static bool reaches(const char *path, int mode)
{
	return !path || faccessat(AT_FDCWD, path, mode, AT_EACCESS) == 0 || errno != EACCES;
}

/* As credentials.c finds them. */
static bool reaches_setting(const char *variable, const char *below_home)
{
	const char *path = getenv(variable), *home = getenv("HOME");
	_cleanup_free_ char *whole = NULL;

	if (path && *path)
		return reaches(path, R_OK);
	if (!home || !below_home || asprintf(&whole, "%s/%s", home, below_home) < 0) {
		whole = NULL;
		return true;
	}
	return reaches(whole, R_OK);
}

/* With the capabilities that pass over permissions not in effect. */
static bool reaches_all(const struct options *o)
{
	const char *store = strncmp(o->source, "file://", 7) ? NULL : o->source + 7;

	return reaches(store, o->read_only ? R_OK | X_OK : R_OK | W_OK | X_OK) &&
	       reaches(o->meta_dir, R_OK | W_OK | X_OK) && reaches(o->cache_dir, R_OK | W_OK | X_OK) &&
	       reaches(o->mountpoint, F_OK) &&
	       (store || (reaches_setting("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials") &&
	                  reaches_setting("AWS_CONFIG_FILE", ".aws/config") &&
	                  reaches_setting("AWS_CA_BUNDLE", NULL)));
}

/* Set-uid programs and file capabilities cannot bring back what is not in here. */
static void bound(uint64_t keep)
{
	for (int cap = 0; cap < 64; cap++)
		if (!(keep & CAP(cap)) && prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1 &&
		    prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return; /* not ours to drop: then there is nothing to lose either */
}

int privileges_reduce(const struct options *o, bool bpf, char **ret_why)
{
	const uint64_t override = CAP(CAP_DAC_OVERRIDE) | CAP(CAP_DAC_READ_SEARCH);
	uint64_t keep = CAP(CAP_SYS_ADMIN) | (bpf ? CAP(CAP_BPF) | CAP(CAP_PERFMON) : 0);
	struct caps caps = {0};
	int r = caps_get(&caps);

	if (!r)
		r = caps_set(caps.effective & ~override, caps.permitted);
	if (r < 0)
		return why_r(r, ret_why, "capget, capset: %s", strerror(-r));
	if (caps.permitted & override && !reaches_all(o)) {
		log_info("keeping the capabilities to pass over file permissions: something this mount needs "
		         "belongs to another user");
		keep |= override;
	}
	keep &= caps.permitted;
	if (geteuid() == 0 || caps.permitted)
		bound(keep);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	raised = keep;
	lowered = bpf ? keep : keep & override;
	r = caps_set(lowered, keep);
	if (r < 0)
		return why_r(r, ret_why, "cannot give up capabilities: %s", strerror(-r));
	if (geteuid() == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return why_r(-errno, ret_why, "prctl(PR_SET_NO_NEW_PRIVS): %s", strerror(errno));
	/* Somebody who debugs wants to see. */
	if (!o->debug && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return why_r(-errno, ret_why, "prctl(PR_SET_DUMPABLE): %s", strerror(errno));
	return 0;
}

void privileges_raise(void)
{
	int r = caps_set(raised, raised);

	if (r < 0)
		log_warning("capset: %s", strerror(-r));
}

void privileges_lower(void)
{
	int r = caps_set(lowered, raised);

	if (r < 0)
		log_warning("capset: %s", strerror(-r));
}
