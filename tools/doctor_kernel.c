/* SPDX-License-Identifier: Apache-2.0 */

/* What BPF acceleration needs of the kernel. */

#include "common/cleanup.h"
#include "daemon/kernel/kernel.h"
#include "tools/doctor.h"
#include "tools/fuse_known.h"

#include <bpf/btf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <zlib.h>

#define BPF_FS 0xcafe4a11 /* linux/magic.h */
#define KERNEL_BTF "/sys/kernel/btf/vmlinux"

/* The first line of a small file, or false. */
static bool read_line(const char *path, char *ret, size_t size)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");

	if (!f || !fgets(ret, (int)size, f))
		return false;
	ret[strcspn(ret, "\n")] = '\0';
	return true;
}

/* Which one it is matters to nobody here: what it has does. */
void check_kernel(struct check *c)
{
	struct utsname u;

	uname(&u);
	if (strcmp(u.machine, "x86_64") != 0)
		found(c, FINDING_PROBLEM, "the module is made for x86_64", "Linux %s on %s", u.release,
		      u.machine);
	else
		found(c, FINDING_OK, NULL, "Linux %s", u.release);
}

/* Options that the module or the BPF programs cannot do without. */
static const char *const needed_options[] = {
	"CONFIG_FUSE_FS",          "CONFIG_MODULES",
	"CONFIG_BPF_SYSCALL",      "CONFIG_BPF_JIT",
	"CONFIG_KPROBES",          "CONFIG_DYNAMIC_FTRACE_WITH_ARGS",
	"CONFIG_PERF_EVENTS",      "CONFIG_DEBUG_INFO_BTF_MODULES",
	"CONFIG_FUSE_PASSTHROUGH",
};

/* Mark which of the options @p path (plain or gzip) sets to y or m. */
static bool read_config(const char *path, bool *set)
{
	gzFile f = gzopen(path, "re");
	char line[1024];

	if (!f)
		return false;
	while (gzgets(f, line, sizeof(line)))
		for (size_t i = 0; i < ARRAY_SIZE(needed_options); i++) {
			size_t n = strlen(needed_options[i]);

			if (strncmp(line, needed_options[i], n) == 0 && line[n] == '=' &&
			    (line[n + 1] == 'y' || line[n + 1] == 'm'))
				set[i] = true;
		}
	gzclose(f);
	return true;
}

void check_kernel_config(struct check *c)
{
	bool set[ARRAY_SIZE(needed_options)] = {0};
	char path[PATH_MAX], missing[512] = "";
	struct utsname u;

	uname(&u);
	snprintf(path, sizeof(path), "/proc/config.gz");
	if (access(path, R_OK) < 0)
		snprintf(path, sizeof(path), "/boot/config-%s", u.release);
	if (access(path, R_OK) < 0)
		snprintf(path, sizeof(path), "/lib/modules/%s/build/.config", u.release);
	if (access(path, R_OK) < 0)
		snprintf(path, sizeof(path), "/lib/modules/%s/config", u.release);
	if (!read_config(path, set)) {
		found(c, FINDING_UNKNOWN, NULL, "not readable (/proc/config.gz, /boot/config-%s)", u.release);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(needed_options); i++)
		if (!set[i]) {
			strcat(missing, " ");
			strcat(missing, needed_options[i]);
		}
	if (*missing)
		found(c, FINDING_PROBLEM, "use a kernel that has them, such as Debian's", "lacks%s (%s)",
		      missing, path);
	else
		found(c, FINDING_OK, NULL, "has all that is needed (%s)", path);
}

void check_ftrace(struct check *c)
{
	char line[16];

	if (!read_line("/proc/sys/kernel/ftrace_enabled", line, sizeof(line)))
		found(c, FINDING_PROBLEM, "use a kernel with CONFIG_DYNAMIC_FTRACE, such as Debian's",
		      "this kernel has none");
	else if (strcmp(line, "0") == 0)
		found(c, FINDING_PROBLEM, "sysctl kernel.ftrace_enabled=1",
		      "switched off: the module's hooks are never called");
	else
		found(c, FINDING_OK, NULL, "on");
}

void check_btf(struct check *c)
{
	if (access(KERNEL_BTF, R_OK) == 0)
		found(c, FINDING_OK, NULL, KERNEL_BTF);
	else
		found(c, FINDING_PROBLEM, "use a kernel with CONFIG_DEBUG_INFO_BTF", "no %s: %s", KERNEL_BTF,
		      strerror(errno));
}

/* What the build of the module would say. */
void check_fs_fuse(struct check *c)
{
	_cleanup_free_ char *why = NULL;
	struct btf *btf;
	int r;

	if (access(KERNEL_BTF, R_OK) < 0) {
		found(c, FINDING_UNKNOWN, NULL, "no BTF to look at");
		return;
	}
	btf = btf__parse(KERNEL_BTF, NULL);
	r = btf ? fuse_known_check(btf, fuse_known_list, &why) : -errno;
	btf__free(btf);
	if (r == 0)
		found(c, FINDING_OK, NULL, "as extfuse.ko knows it");
	else if (r == -EPROTO)
		found(c, FINDING_PROBLEM,
		      "use a kernel that extfuse.ko can be built for, such as Debian's 6.12 or 7.2",
		      "not known to extfuse.ko: %s", why);
	else
		found(c, FINDING_UNKNOWN, NULL, "cannot read %s: %s", KERNEL_BTF, strerror(-r));
}

void check_lockdown(struct check *c)
{
	char line[128];

	/* "[none] integrity confidentiality" */
	if (!read_line("/sys/kernel/security/lockdown", line, sizeof(line)))
		found(c, FINDING_OK, NULL, "this kernel has none");
	else if (strstr(line, "[confidentiality]"))
		found(c, FINDING_PROBLEM,
		      "BPF cannot read kernel memory then: boot without lockdown=confidentiality",
		      "confidentiality");
	else if (strstr(line, "[integrity]"))
		found(c, FINDING_WARNING, "the module must be signed with a key that this kernel trusts",
		      "integrity");
	else
		found(c, FINDING_OK, NULL, "none");
}

void check_signatures(struct check *c)
{
	char line[16];

	if (!read_line("/sys/module/module/parameters/sig_enforce", line, sizeof(line)))
		found(c, FINDING_OK, NULL, "not enforced");
	else if (line[0] == 'Y')
		found(c, FINDING_WARNING, "sign extfuse.ko with an enrolled key (DKMS can do it)",
		      "enforced");
	else
		found(c, FINDING_OK, NULL, "not enforced");
}

void check_capabilities(struct check *c)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/status", "re");
	unsigned long long effective = 0;
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "CapEff: %llx", &effective) == 1)
			break;
	if (effective & 1ull << CAP_SYS_ADMIN)
		found(c, FINDING_OK, NULL, "CAP_SYS_ADMIN");
	else
		found(c, FINDING_PROBLEM, "mount as root; without it mounts work without BPF",
		      "this process has no CAP_SYS_ADMIN");
}

/* Does modules.dep of the running kernel know the module? */
static bool module_is_installed(char *ret_path, size_t size)
{
	_cleanup_fclose_ FILE *f = NULL;
	char path[PATH_MAX], line[4096];
	struct utsname u;

	uname(&u);
	snprintf(path, sizeof(path), "/lib/modules/%s/modules.dep", u.release);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		const char *name;

		line[strcspn(line, ":")] = '\0';
		name = strrchr(line, '/');
		name = name ? name + 1 : line;
		if (strncmp(name, "extfuse.ko", strlen("extfuse.ko")) == 0) {
			snprintf(ret_path, size, "/lib/modules/%s/%s", u.release, line);
			return true;
		}
	}
	return false;
}

void check_module(struct check *c)
{
	char path[2 * PATH_MAX], headers[PATH_MAX];
	struct utsname u;
	int fd;

	uname(&u);
	snprintf(headers, sizeof(headers), "/lib/modules/%s/build/vmlinux", u.release);
	if (access("/sys/module/extfuse", F_OK) == 0) {
		fd = open(EXTFUSE_DEVICE, O_RDWR | O_CLOEXEC);
		if (fd >= 0 || errno == EACCES || errno == EPERM)
			found(c, FINDING_OK, NULL, "loaded");
		else
			found(c, FINDING_PROBLEM, "reload it: rmmod extfuse; modprobe extfuse",
			      "loaded, but %s: %s", EXTFUSE_DEVICE, strerror(errno));
		if (fd >= 0)
			close(fd);
	} else if (module_is_installed(path, sizeof(path))) {
		found(c, FINDING_PROBLEM,
		      "modprobe extfuse (and `extfuse` in /etc/modules-load.d/ for every boot)",
		      "not loaded; it is installed: %s", path);
	} else if (access(headers, R_OK) == 0) {
		found(c, FINDING_PROBLEM,
		      "build it: `make install` and DKMS, or `make module KDIR=` and insmod",
		      "not loaded, and not built for %s; its headers are here", u.release);
	} else {
		found(c, FINDING_PROBLEM,
		      "install this kernel's headers (Debian: linux-headers-`uname -r`), then `make install` "
		      "and DKMS, or `make module KDIR=` and insmod",
		      "not loaded, and not built for %s; nor can it be, without %s", u.release, headers);
	}
}

void check_bpffs(struct check *c)
{
	struct statfs s;

	if (statfs("/sys/fs/bpf", &s) == 0 && (unsigned)s.f_type == BPF_FS)
		found(c, FINDING_OK, NULL, "mounted on /sys/fs/bpf");
	else
		found(c, FINDING_WARNING, "mount -t bpf bpf /sys/fs/bpf",
		      "not mounted on /sys/fs/bpf: maps cannot be pinned, `curvefs maps` shows nothing");
}

void check_probe(struct check *c)
{
	_cleanup_free_ char *why = NULL;
	int r = kernel_probe(&why);

	if (r == 0)
		found(c, FINDING_OK, NULL, "can be used");
	else
		found(c, FINDING_PROBLEM, NULL, "cannot be used: %s", why ? why : strerror(-r));
}
