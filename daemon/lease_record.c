// SPDX-License-Identifier: Apache-2.0
/* The lease as JSON, and who its holder is. */
#include "common/cleanup.h"
#include "daemon/lease.h"

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#define MAGIC "curvefs-lease"
#define VERSION 1
#define DURATION_MAX_MS (24 * 3600 * 1000)

/* ---- JSON ---- */

/* Text that goes to a terminal: of printable characters (bytes of UTF-8 above ASCII are jansson's to check).
 */
static bool get_text(const json_t *from, const char *key, char *ret, size_t size)
{
	const char *text = json_string_value(json_object_get(from, key));

	if (!text || strlen(text) >= size)
		return false;
	for (const char *p = text; *p; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return false;
	}
	strcpy(ret, text);
	return true;
}

static bool get_number(const json_t *from, const char *key, json_int_t max, json_int_t *ret)
{
	const json_t *j = json_object_get(from, key);

	if (!json_is_integer(j) || json_integer_value(j) < 0 || json_integer_value(j) > max)
		return false;
	*ret = json_integer_value(j);
	return true;
}

static bool parse_holder(const json_t *h, struct lease_record *r)
{
	json_int_t pid, pid_ns, pid_start, renewals, since, expires, duration;

	if (!get_text(h, "host", r->host, sizeof(r->host)) ||
	    !get_text(h, "mountpoint", r->mountpoint, sizeof(r->mountpoint)) ||
	    !get_text(h, "boot_id", r->boot_id, sizeof(r->boot_id)) ||
	    !get_text(h, "token", r->token, sizeof(r->token)) || !get_number(h, "pid", INT32_MAX, &pid) ||
	    !get_number(h, "pid_ns", INT64_MAX, &pid_ns) ||
	    !get_number(h, "pid_start", INT64_MAX, &pid_start) ||
	    !get_number(h, "renewals", INT64_MAX, &renewals) || !get_number(h, "since", INT64_MAX, &since) ||
	    !get_number(h, "expires", INT64_MAX, &expires) ||
	    !get_number(h, "duration_ms", DURATION_MAX_MS, &duration) || !pid || !duration || !*r->token)
		return false;
	r->pid = (pid_t)pid;
	r->pid_ns = (uint64_t)pid_ns;
	r->pid_start = (uint64_t)pid_start;
	r->renewals = (uint64_t)renewals;
	r->since_s = since;
	r->expires_s = expires;
	r->duration_ms = (unsigned)duration;
	return true;
}

int lease_record_parse(const void *text, size_t length, struct lease_record *ret)
{
	json_auto_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
	const char *magic = json_string_value(json_object_get(root, "magic"));
	const json_t *holder = json_object_get(root, "holder");
	struct lease_record r = {0};
	json_int_t version, epoch;

	if (!magic || strcmp(magic, MAGIC) != 0 || !get_number(root, "version", INT32_MAX, &version) ||
	    !version)
		return -EBADMSG;
	if (version > VERSION)
		return -EPROTO;
	/* Room to count on. */
	if (!get_number(root, "epoch", INT64_MAX / 2, &epoch) || !epoch ||
	    !get_text(root, "meta_id", r.meta_id, sizeof(r.meta_id)))
		return -EBADMSG;
	r.epoch = (uint64_t)epoch;
	r.held = json_is_object(holder);
	if (r.held ? !parse_holder(holder, &r) : !json_is_null(holder))
		return -EBADMSG;
	*ret = r;
	return 0;
}

char *lease_record_print(const struct lease_record *r)
{
	json_auto_t *root = NULL;
	json_t *holder = json_null();

	/* A host or mount point that is not UTF-8 is for people only: then without. */
	if (r->held)
		holder = json_pack("{s:o,s:o,s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "host",
		                   json_string(r->host) ?: json_string("?"), "mountpoint",
		                   json_string(r->mountpoint) ?: json_string("?"), "boot_id", r->boot_id,
		                   "token", r->token, "pid", (json_int_t)r->pid, "pid_ns",
		                   (json_int_t)r->pid_ns, "pid_start", (json_int_t)r->pid_start, "renewals",
		                   (json_int_t)r->renewals, "since", (json_int_t)r->since_s, "expires",
		                   (json_int_t)r->expires_s, "duration_ms", (json_int_t)r->duration_ms);
	root = json_pack("{s:s,s:i,s:I,s:s,s:o}", "magic", MAGIC, "version", VERSION, "epoch",
	                 (json_int_t)r->epoch, "meta_id", r->meta_id, "holder", holder);
	return root ? json_dumps(root, JSON_INDENT(2)) : NULL;
}

/* ---- processes ---- */

static int read_line(const char *path, char *ret, size_t size)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");

	if (!f)
		return -errno;
	if (!fgets(ret, (int)size, f))
		return -EIO;
	ret[strcspn(ret, "\n")] = '\0';
	return 0;
}

/* The state letter and the start time of a process. */
static int read_process(pid_t pid, char *ret_state, uint64_t *ret_start)
{
	char path[64], line[1024];
	unsigned long long start;
	const char *p;
	int r;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	r = read_line(path, line, sizeof(line));
	if (r < 0)
		return r;
	/* The name in brackets may have anything in it. */
	p = strrchr(line, ')');
	if (!p ||
	    sscanf(p + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
	           ret_state, &start) != 2)
		return -EIO;
	*ret_start = start;
	return 0;
}

static int own_place(char boot_id[64], uint64_t *ret_pid_ns)
{
	struct stat st;
	int r = read_line("/proc/sys/kernel/random/boot_id", boot_id, 64);

	if (r < 0)
		return r;
	if (stat("/proc/self/ns/pid", &st) < 0)
		return -errno;
	*ret_pid_ns = st.st_ino;
	return 0;
}

int lease_record_own(struct lease_record *r)
{
	unsigned char random[16];
	char state;
	int error;

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return -EIO;
	for (size_t i = 0; i < sizeof(random); i++)
		sprintf(r->token + 2 * i, "%02x", random[i]);
	if (gethostname(r->host, sizeof(r->host)) < 0)
		return -errno;
	r->host[sizeof(r->host) - 1] = '\0';
	r->pid = getpid();
	error = own_place(r->boot_id, &r->pid_ns);
	return error < 0 ? error : read_process(r->pid, &state, &r->pid_start);
}

enum lease_holder lease_record_holder(const struct lease_record *r)
{
	char boot_id[64], state;
	uint64_t pid_ns, start;
	int error;

	/* In another namespace the number is another's, and one that is not here may be there. */
	if (own_place(boot_id, &pid_ns) < 0 || strcmp(boot_id, r->boot_id) != 0 || pid_ns != r->pid_ns)
		return LEASE_ELSEWHERE;
	if (kill(r->pid, 0) < 0 && errno == ESRCH)
		return LEASE_DEAD;
	error = read_process(r->pid, &state, &start);
	if (error == -ENOENT || error == -ESRCH)
		return LEASE_DEAD;
	/* The number may have gone to another process since; a zombie does nothing any more. */
	return !error && (start != r->pid_start || state == 'Z' || state == 'X') ? LEASE_DEAD : LEASE_HERE;
}
