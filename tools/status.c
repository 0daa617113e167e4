/* SPDX-License-Identifier: Apache-2.0 */
#include "common/cleanup.h"
#include "daemon/ctl/ctl.h"
#include "tools/cmd.h"
#include "tools/table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define ANSWER_S 5

static bool opt_json;

static const struct arg args[] = {
	{"json", 0, ARG_FLAG, &opt_json, NULL, "print JSON: {\"mounts\": [...]}", 0, 0},
	{0},
};

/* What the daemon says, or what it left with "state" and "advice" added. */
static json_t *ask(unsigned minor)
{
	json_t *request = json_pack("{s:s}", "cmd", "status"), *mount = NULL;
	_cleanup_free_ char *why = NULL;
	int r = ctl_call(minor, request, ANSWER_S, NULL, NULL, &mount, &why);
	const char *state, *advice;

	json_decref(request);
	if (r == 0)
		return mount;
	if (ctl_read_mount_json(minor, &mount) < 0)
		mount = json_object();
	if (r == -ECONNREFUSED || r == -ENOENT) {
		state = "dead";
		advice = "its daemon is gone: `curvefs umount` cleans up";
	} else if (r == -ETIMEDOUT) {
		state = "hung";
		advice = "its daemon does not answer";
	} else {
		state = "unknown";
		advice = why ? why : strerror(-r);
	}
	json_object_set_new(mount, "state", json_string(state));
	json_object_set_new(mount, "advice", json_string(advice));
	return mount;
}

static void add_row(struct table *t, const json_t *m)
{
	char up[HUMAN_MAX], pid[24], cached[HUMAN_MAX];
	bool is_up = strcmp(cmd_string(m, "state"), "up") == 0;

	snprintf(pid, sizeof(pid), "%u", (unsigned)cmd_number(m, "pid"));
	table_add(t, (const char *[]){cmd_string(m, "mountpoint"), cmd_string(m, "source"),
	                              cmd_string(m, "name"), pid, cmd_string(m, "state"),
	                              is_up ? human_duration(cmd_number(m, "uptime_s"), up) : "-",
	                              json_is_true(json_object_get(m, "bpf")) ? "on" : "off",
	                              is_up ? human_bytes(cmd_number(m, "cache.bytes"), cached) : "-"});
}

/* Who may write, and how far the copy of the metadata in the store is. */
static void print_durability(const json_t *m)
{
	const char *lease = cmd_string(m, "lease.state"), *mountpoint = cmd_string(m, "mountpoint");
	uint64_t shipped = cmd_number(m, "meta_backup.shipped"), now = (uint64_t)time(NULL);
	char age[HUMAN_MAX];

	if (!*lease)
		return;
	if (strcmp(lease, "lost") == 0)
		printf("%s: the lease was lost to another mount of the volume: nothing can be written\n",
		       mountpoint);
	else if (strcmp(lease, "expired") == 0)
		printf("%s: the lease cannot be renewed in the store: nothing can be written until it is\n",
		       mountpoint);
	else
		printf("%s: the lease is held (epoch %" PRIu64 ")\n", mountpoint,
		       cmd_number(m, "lease.epoch"));
	if (!json_object_get(m, "meta_backup"))
		printf("%s: the metadata is not copied to the store (--meta-backup=0)\n", mountpoint);
	else if (!shipped)
		printf("%s: the metadata was not copied to the store yet\n", mountpoint);
	else
		printf("%s: the metadata was copied to the store %s ago, %s%s\n", mountpoint,
		       human_duration(now > shipped ? now - shipped : 0, age),
		       cmd_number(m, "meta_backup.shipped_sequence") == cmd_number(m, "meta_backup.sequence")
		               ? "nothing has changed since"
		               : "changes since wait for the next time",
		       json_is_true(json_object_get(json_object_get(m, "meta_backup"), "failing"))
		               ? "; the last time failed"
		               : "");
}

/* What --writeback has acknowledged and the store does not have yet. */
static void print_writeback(const json_t *m)
{
	uint64_t objects = cmd_number(m, "writeback.objects"), oldest = cmd_number(m, "writeback.oldest"),
		 now = (uint64_t)time(NULL);
	char bytes[HUMAN_MAX], age[HUMAN_MAX];

	if (!objects)
		return;
	printf("%s: %" PRIu64 " objects (%s) wait for their upload, the oldest for %s%s\n",
	       cmd_string(m, "mountpoint"), objects, human_bytes(cmd_number(m, "writeback.bytes"), bytes),
	       human_duration(now > oldest ? now - oldest : 0, age),
	       json_is_true(json_object_get(json_object_get(m, "writeback"), "failing"))
	               ? "; the last one failed"
	               : "");
}

static void print(const json_t *mounts)
{
	struct table *t = table_new((const char *[]){"MOUNTPOINT", "SOURCE", "NAME", ">PID", "STATE", ">UP",
	                                             "BPF", ">CACHED", NULL});
	json_t *m;
	size_t i;

	json_array_foreach((json_t *)mounts, i, m) add_row(t, m);
	table_print(t, stdout);
	json_array_foreach((json_t *)mounts, i, m)
	{
		if (*cmd_string(m, "advice"))
			printf("%s: %s\n", cmd_string(m, "mountpoint"), cmd_string(m, "advice"));
		else if (*cmd_string(m, "why_no_bpf"))
			printf("%s: BPF is off: %s\n", cmd_string(m, "mountpoint"),
			       cmd_string(m, "why_no_bpf"));
		print_durability(m);
		print_writeback(m);
	}
	if (json_array_size(mounts) == 0)
		printf("no curvefs mount%s%s\n", geteuid() == 0 ? "" : " of this user in ",
		       geteuid() == 0 ? "" : ctl_run_dir());
}

static int run(int count, char **operands)
{
	_cleanup_free_ unsigned *minors = NULL;
	json_t *mounts;
	size_t n;
	int r = ctl_list_mounts(&minors, &n);

	(void)count;
	(void)operands;
	if (r < 0)
		return cmd_fail(r, NULL, ctl_run_dir());
	mounts = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(mounts, ask(minors[i]));
	if (opt_json)
		return cmd_print_json(json_pack("{s:o}", "mounts", mounts), JSON_INDENT(2));
	print(mounts);
	json_decref(mounts);
	return EXIT_DONE;
}

const struct command cmd_status = {
	.name = "status",
	.operands = "",
	.summary = "the mounts of this machine and their state",
	.details = "State: up; dead: its daemon was killed, `curvefs umount` cleans up; hung: it does not "
		   "answer.\n",
	.args = args,
	.min_operands = 0,
	.max_operands = 0,
	.run = run,
};
