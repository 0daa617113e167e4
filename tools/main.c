/* SPDX-License-Identifier: Apache-2.0 */
#include "common/cleanup.h"
#include "common/version.h"
#include "tools/cmd.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#define COMMANDS 12
static const struct command *const commands[COMMANDS] = {
	&cmd_format, &cmd_warmup, &cmd_status, &cmd_stats, &cmd_info, &cmd_maps,
	&cmd_doctor, &cmd_umount, &cmd_fsck,   &cmd_gc,    &cmd_sync, &cmd_restore,
};

static void print_usage(FILE *f)
{
	fputs("usage: curvefs SUBCOMMAND [OPTION...] [OPERAND...]\n\n", f);
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(f, "  %-8s %s\n", commands[i]->name, commands[i]->summary);
	fputs("  help     print this, or all about a SUBCOMMAND\n\n"
	      "`curvefs SUBCOMMAND --help` lists its options. Volumes are mounted with curvefs-fuse(1).\n",
	      f);
}

static void print_help(const struct command *c)
{
	printf("usage: curvefs %s [OPTION...]%s%s\n\n%s\n", c->name, *c->operands ? " " : "", c->operands,
	       c->summary);
	if (c->details)
		printf("\n%s", c->details);
	puts("\noptions:");
	args_print(c->args, stdout);
}

static const struct command *find(const char *name)
{
	const char *names[COMMANDS + 1], *meant;

	for (size_t i = 0; i < COMMANDS; i++) {
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
		names[i] = commands[i]->name;
	}
	names[COMMANDS] = "help";
	meant = args_suggest(name, names, COMMANDS + 1);
	fprintf(stderr, "curvefs: unknown subcommand '%s'", name);
	if (meant)
		fprintf(stderr, "; did you mean '%s'?\n", meant);
	else
		fputs("; `curvefs help` lists them\n", stderr);
	return NULL;
}

static bool asks_for_help(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return true;
	return false;
}

static int run(const struct command *c, int argc, char **argv)
{
	_cleanup_free_ char *why = NULL;
	int operands;

	if (asks_for_help(argc, argv)) {
		print_help(c);
		return EXIT_DONE;
	}
	operands = args_parse(c->args, argc, argv, &why);
	if (operands >= 0 &&
	    (operands < c->min_operands || (c->max_operands >= 0 && operands > c->max_operands)))
		if (asprintf(&why, "%s",
		             operands < c->min_operands ? "too few operands" : "too many operands") < 0)
			why = NULL;
	if (operands < 0 || why) {
		cmd_error("%s", why ? why : strerror(ENOMEM));
		fprintf(stderr, "usage: curvefs %s [OPTION...]%s%s   (more: curvefs %s --help)\n", c->name,
		        *c->operands ? " " : "", c->operands, c->name);
		return EXIT_USAGE;
	}
	return c->run(operands, argv);
}

int main(int argc, char **argv)
{
	const struct command *c;
	int status;

	setlocale(LC_CTYPE, "");
	if (argc < 2) {
		print_usage(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		puts("curvefs " CURVEFS_VERSION);
		return EXIT_DONE;
	}
	if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		if (argc < 3 || strcmp(argv[1], "help") != 0) {
			print_usage(stdout);
			return EXIT_DONE;
		}
		c = find(argv[2]);
		if (c)
			print_help(c);
		return c ? EXIT_DONE : EXIT_USAGE;
	}
	if (argv[1][0] == '-') {
		fprintf(stderr, "curvefs: unknown option '%s'; the subcommand comes first (`curvefs help`)\n",
		        argv[1]);
		return EXIT_USAGE;
	}
	c = find(argv[1]);
	if (!c)
		return EXIT_USAGE;
	cmd_set_name(c->name);
	status = run(c, argc - 1, argv + 1);
	if ((fflush(stdout) != 0 || ferror(stdout)) && status == EXIT_DONE) {
		cmd_error("cannot write the output: %s", strerror(errno));
		status = EXIT_FAILED;
	}
	return status;
}
