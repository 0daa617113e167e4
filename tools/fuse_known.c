/* SPDX-License-Identifier: Apache-2.0 */

#include "tools/fuse_known.h"

#include "common/cleanup.h"

#include <bpf/btf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 16 /* of pointers, or of structs in structs: BTF comes from outside */

/* A type as in a declaration, in front of the name; "const" is left out. */
static void print_type(FILE *out, const struct btf *btf, __u32 id, int depth)
{
	const struct btf_type *t = btf__type_by_id(btf, id);
	const char *name;

	if (!t || depth > DEPTH_MAX) {
		fprintf(out, "? ");
		return;
	}
	name = btf__name_by_offset(btf, t->name_off);
	name = name ? name : "";
	switch (btf_kind(t)) {
	case BTF_KIND_PTR:
		print_type(out, btf, t->type, depth + 1);
		putc('*', out);
		break;
	case BTF_KIND_CONST:
		print_type(out, btf, t->type, depth + 1);
		break;
	case BTF_KIND_STRUCT:
	case BTF_KIND_FWD:
		fprintf(out, "struct %s ", name);
		break;
	case BTF_KIND_UNION:
		fprintf(out, "union %s ", name);
		break;
	case BTF_KIND_ENUM:
		fprintf(out, "enum %s ", name);
		break;
	default:
		fprintf(out, "%s ", id ? name : "void");
	}
}

/* How the kernel declares a function; NULL with errno ENOENT if it has none of that name. */
static char *declaration(const struct btf *btf, const char *name)
{
	const struct btf_type *func, *proto;
	const struct btf_param *params;
	char *text = NULL;
	size_t size;
	FILE *out;
	int id;

	id = btf__find_by_name_kind(btf, name, BTF_KIND_FUNC);
	func = id < 0 ? NULL : btf__type_by_id(btf, (__u32)id);
	proto = func ? btf__type_by_id(btf, func->type) : NULL;
	if (!proto || !btf_is_func_proto(proto)) {
		errno = ENOENT;
		return NULL;
	}
	out = open_memstream(&text, &size);
	if (!out)
		return NULL;
	print_type(out, btf, proto->type, 0);
	fprintf(out, "%s(", name);
	params = btf_params(proto);
	for (int i = 0; i < btf_vlen(proto); i++) {
		const char *param = btf__name_by_offset(btf, params[i].name_off);

		fprintf(out, "%s", i ? ", " : "");
		print_type(out, btf, params[i].type, 0);
		fprintf(out, "%s", param ? param : "");
	}
	putc(')', out);
	if (fclose(out) != 0) {
		free(text);
		errno = ENOMEM;
		return NULL;
	}
	return text;
}

static bool has_member(const struct btf *btf, const struct btf_type *t, const char *name, int depth)
{
	if (!t || !btf_is_composite(t) || depth > DEPTH_MAX)
		return false;
	for (int i = 0; i < btf_vlen(t); i++) {
		const struct btf_member *m = &btf_members(t)[i];
		const char *s = btf__name_by_offset(btf, m->name_off);

		if (s && strcmp(s, name) == 0)
			return true;
		if (s && !*s && has_member(btf, btf__type_by_id(btf, m->type), name, depth + 1))
			return true;
	}
	return false;
}

/* One of "struct.member struct.member ..."? */
static bool has_one_of(const struct btf *btf, const char *line)
{
	_cleanup_free_ char *copy = strdup(line);
	char *save = NULL;

	for (char *s = copy ? strtok_r(copy, " ", &save) : NULL; s; s = strtok_r(NULL, " ", &save)) {
		char *dot = strchr(s, '.');
		int id;

		if (!dot)
			continue;
		*dot = '\0';
		id = btf__find_by_name_kind(btf, s, BTF_KIND_STRUCT);
		if (id > 0 && has_member(btf, btf__type_by_id(btf, (__u32)id), dot + 1, 0))
			return true;
	}
	return false;
}

/* The name of the function that a line declares: from *ret_start up to, not including, '('. */
static bool function_of(const char *line, const char **ret_start, size_t *ret_len)
{
	const char *end = strchr(line, '('), *start;

	if (!end)
		return false;
	for (start = end; start > line && start[-1] != ' ' && start[-1] != '*'; start--)
		;
	*ret_start = start;
	*ret_len = (size_t)(end - start);
	return *ret_len > 0;
}

/* Is the function of this line declared as it says, or as another line for the same function does? */
static int check_function(const struct btf *btf, char **lines, size_t n, size_t at, char **ret_why)
{
	_cleanup_free_ char *name = NULL, *have = NULL;
	const char *start, *other;
	size_t len, other_len;

	if (!function_of(lines[at], &start, &len))
		return 0;
	name = strndup(start, len);
	if (!name)
		return -ENOMEM;
	have = declaration(btf, name);
	if (!have && errno != ENOENT)
		return -ENOMEM;
	if (!have)
		return asprintf(ret_why, "it has no function %s", name) < 0 ? -ENOMEM : -EPROTO;
	for (size_t i = 0; i < n; i++)
		if (function_of(lines[i], &other, &other_len) && other_len == len &&
		    memcmp(other, start, len) == 0 && strcmp(lines[i], have) == 0)
			return 0;
	return asprintf(ret_why, "it declares `%s` where `%s` is expected", have, lines[at]) < 0 ? -ENOMEM
	                                                                                         : -EPROTO;
}

static int check_lines(const struct btf *btf, char **lines, size_t n, char **ret_why)
{
	int r;

	if (btf__find_by_name_kind(btf, "fuse_args", BTF_KIND_STRUCT) < 0) {
		*ret_why = strdup("it has no fs/fuse in its BTF (FUSE must be built in, not a module)");
		return *ret_why ? -EPROTO : -ENOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		if (*lines[i] == '#' || *lines[i] == '\0')
			continue;
		if (strchr(lines[i], '(')) {
			r = check_function(btf, lines, n, i, ret_why);
			if (r < 0)
				return r;
		} else if (!has_one_of(btf, lines[i])) {
			return asprintf(ret_why, "fs/fuse has no %s", lines[i]) < 0 ? -ENOMEM : -EPROTO;
		}
	}
	return 0;
}

int fuse_known_check(const struct btf *btf, const char *list, char **ret_why)
{
	_cleanup_free_ char *copy = strdup(list);
	_cleanup_free_ char **lines = NULL;
	size_t n = 0;

	if (!copy)
		return -ENOMEM;
	lines = calloc(strlen(copy) + 1, sizeof(*lines));
	if (!lines)
		return -ENOMEM;
	for (char *rest = copy; rest;)
		lines[n++] = strsep(&rest, "\n");
	return check_lines(btf, lines, n, ret_why);
}
