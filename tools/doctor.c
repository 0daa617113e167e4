/* SPDX-License-Identifier: Apache-2.0 */

/* curvefs doctor: can volumes be mounted here, can the kernel answer by itself, and if not, why not. */

#include "tools/doctor.h"

#include "common/cleanup.h"
#include "tools/cmd.h"
#include "tools/table.h"

#include <stdlib.h>
#include <string.h>

static bool opt_json;
static const char *opt_cache_dir = "/var/cache/curvefs";

static const struct arg args[] = {
	{"json", 0, ARG_FLAG, &opt_json, NULL, "print JSON", 0, 0},
	{"cache-dir", 0, ARG_STRING, &opt_cache_dir, "DIR",
         "look at this cache directory (default /var/cache/curvefs)", 0, 0},
	{0},
};

static const struct {
	const char *group, *name;
	void (*run)(struct check *c);
} checks[] = {
	{"mount", "/dev/fuse", check_fuse_device},
	{"mount", "fusermount3", check_fusermount},
	{"mount", "open files", check_open_files},
	{"bpf", "kernel", check_kernel},
	{"bpf", "kernel configuration", check_kernel_config},
	{"bpf", "ftrace", check_ftrace},
	{"bpf", "kernel BTF", check_btf},
	{"bpf", "kernel's fs/fuse", check_fs_fuse},
	{"bpf", "lockdown", check_lockdown},
	{"bpf", "module signatures", check_signatures},
	{"bpf", "capabilities", check_capabilities},
	{"bpf", "extfuse module", check_module},
	{"bpf", "bpffs", check_bpffs},
	{"bpf", "BPF acceleration", check_probe},
	{"cache", "cache file system", check_cache_type},
	{"cache", "cache space", check_cache_space},
};

static const char *const finding_names[] = {
	[FINDING_OK] = "ok",
	[FINDING_UNKNOWN] = "unknown",
	[FINDING_WARNING] = "warning",
	[FINDING_PROBLEM] = "problem",
};

static void print(const struct check *results, bool can_mount, bool can_bpf)
{
	struct table *t = table_new((const char *[]){"", "", "", NULL});

	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		table_add(t, (const char *[]){finding_names[results[i].finding], checks[i].name,
		                              results[i].what});
		if (results[i].advice) {
			_cleanup_free_ char *advice = NULL;

			if (asprintf(&advice, "-> %s", results[i].advice) < 0)
				advice = NULL;
			table_add(t, (const char *[]){"", "", advice});
		}
	}
	table_print(t, stdout);
	printf("\nvolumes %s be mounted here; BPF acceleration %s\n", can_mount ? "can" : "cannot",
	       can_bpf ? "can be used" : "cannot be used (mounts work all the same, without it)");
}

static json_t *to_json(const struct check *results, bool can_mount, bool can_bpf)
{
	json_t *list = json_array();

	for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
		json_array_append_new(list,
		                      json_pack("{s:s,s:s,s:s,s:s*,s:s*}", "group", checks[i].group, "check",
		                                checks[i].name, "finding", finding_names[results[i].finding],
		                                "what", results[i].what, "advice", results[i].advice));
	return json_pack("{s:b,s:b,s:o}", "can_mount", can_mount, "can_bpf", can_bpf, "checks", list);
}

static int run(int count, char **operands)
{
	struct check results[ARRAY_SIZE(checks)] = {0};
	bool can_mount = true, can_bpf = true;
	int status = EXIT_DONE;

	(void)count;
	(void)operands;
	check_cache_set_dir(opt_cache_dir);
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		checks[i].run(&results[i]);
		if (results[i].finding != FINDING_PROBLEM)
			continue;
		status = EXIT_FAILED;
		if (strcmp(checks[i].group, "mount") == 0)
			can_mount = false;
		/* The last one tries it: what it says counts, the others say why. */
		if (checks[i].run == check_probe)
			can_bpf = false;
	}
	if (opt_json) {
		if (cmd_print_json(to_json(results, can_mount, can_bpf), JSON_INDENT(2)) != EXIT_DONE)
			status = EXIT_FAILED;
	} else {
		print(results, can_mount, can_bpf);
	}
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		free(results[i].what);
	}
	return status;
}

const struct command cmd_doctor = {
	.name = "doctor",
	.operands = "",
	.summary = "whether volumes can be mounted here and the kernel can answer, why not, and what to do",
	.details = "Ends with 1 if there is any problem. Run it as the user who mounts.\n",
	.args = args,
	.min_operands = 0,
	.max_operands = 0,
	.run = run,
};
