/* SPDX-License-Identifier: Apache-2.0 */

#include "tools/fuse_known.h"

#include <bpf/btf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Last, after what it needs of those before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/*
 * A small kernel:
 *   struct fuse_args { int opcode; union { long name; struct { unsigned int inner; }; }; };
 *   int ask(const struct fuse_args *args, unsigned int flags);
 */
static int setup(void **state)
{
	struct btf *btf = btf__new_empty();
	int i, u, l, s, inner, either, c, p, proto;

	assert_non_null(btf);
	i = btf__add_int(btf, "int", 4, BTF_INT_SIGNED);
	u = btf__add_int(btf, "unsigned int", 4, 0);
	l = btf__add_int(btf, "long int", 8, BTF_INT_SIGNED);
	inner = btf__add_struct(btf, "", 4);
	assert_int_equal(btf__add_field(btf, "inner", u, 0, 0), 0);
	either = btf__add_union(btf, "", 8);
	assert_int_equal(btf__add_field(btf, "name", l, 0, 0), 0);
	assert_int_equal(btf__add_field(btf, "", inner, 0, 0), 0);
	s = btf__add_struct(btf, "fuse_args", 16);
	assert_int_equal(btf__add_field(btf, "opcode", i, 0, 0), 0);
	assert_int_equal(btf__add_field(btf, "", either, 64, 0), 0);
	c = btf__add_const(btf, s);
	p = btf__add_ptr(btf, c);
	proto = btf__add_func_proto(btf, i);
	assert_int_equal(btf__add_func_param(btf, "args", p), 0);
	assert_int_equal(btf__add_func_param(btf, "flags", u), 0);
	assert_true(btf__add_func(btf, "ask", BTF_FUNC_STATIC, proto) > 0);
	*state = btf;
	return 0;
}

static int teardown(void **state)
{
	btf__free(*state);
	return 0;
}

static void assert_known(void **state, const char *list)
{
	char *why = NULL;
	int r = fuse_known_check(*state, list, &why);

	if (r)
		print_error("%s", why);
	assert_int_equal(r, 0);
	assert_null(why);
}

static void assert_unknown(void **state, const char *list, const char *because)
{
	char *why = NULL;

	assert_int_equal(fuse_known_check(*state, list, &why), -EPROTO);
	assert_non_null(why);
	assert_string_equal(why, because);
	free(why);
}

static void what_is_as_listed_is_known(void **state)
{
	assert_known(state, "# ask(nobody)\n"
	                    "int ask(struct fuse_args *args, unsigned int flags)\n\nfuse_args.opcode\n");
}

static void one_of_several_declarations_is_enough(void **state)
{
	assert_known(state, "int ask(struct fuse_args *args)\n"
	                    "int ask(struct fuse_args *args, unsigned int flags)");
}

static void another_parameter_is_named_with_both_declarations(void **state)
{
	assert_unknown(state, "int ask(struct fuse_args *args, int flags)\n",
	               "it declares `int ask(struct fuse_args *args, unsigned int flags)` where "
	               "`int ask(struct fuse_args *args, int flags)` is expected");
	assert_unknown(state, "long int ask(struct fuse_args *args, unsigned int flags)\n",
	               "it declares `int ask(struct fuse_args *args, unsigned int flags)` where "
	               "`long int ask(struct fuse_args *args, unsigned int flags)` is expected");
}

static void a_declaration_of_another_function_does_not_count(void **state)
{
	assert_unknown(state,
	               "int task(struct fuse_args *args, unsigned int flags)\n"
	               "int ask(struct fuse_args *args, unsigned int flags)\n",
	               "it has no function task");
}

static void members_are_found_in_what_has_no_name(void **state)
{
	assert_known(state, "fuse_args.name\nfuse_args.inner\nfuse_conn.nothing fuse_args.opcode\n");
	assert_unknown(state, "fuse_args.name\nfuse_args.names\n", "fs/fuse has no fuse_args.names");
	assert_unknown(state, "fuse_conn.name\n", "fs/fuse has no fuse_conn.name");
}

static void a_kernel_without_fuse_is_said_to_be_one(void **state)
{
	struct btf *none = btf__new_empty();
	char *why = NULL;

	(void)state;
	assert_int_equal(fuse_known_check(none, fuse_known_list, &why), -EPROTO);
	assert_non_null(strstr(why, "must be built in"));
	free(why);
	btf__free(none);
}

/* What the build of the module has accepted, doctor must: the two compare on their own. */
static void the_kernel_that_the_module_is_built_for_is_known(void **state)
{
	const char *path = getenv("KERNEL_WITH_BTF");
	struct btf *btf;
	char *why = NULL;

	(void)state;
	if (!path || !*path)
		skip();
	btf = btf__parse(path, NULL);
	assert_non_null(btf);
	if (fuse_known_check(btf, fuse_known_list, &why) != 0)
		fail_msg("%s", why);
	btf__free(btf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_as_listed_is_known, setup, teardown),
		cmocka_unit_test_setup_teardown(one_of_several_declarations_is_enough, setup, teardown),
		cmocka_unit_test_setup_teardown(another_parameter_is_named_with_both_declarations, setup,
	                                        teardown),
		cmocka_unit_test_setup_teardown(a_declaration_of_another_function_does_not_count, setup,
	                                        teardown),
		cmocka_unit_test_setup_teardown(members_are_found_in_what_has_no_name, setup, teardown),
		cmocka_unit_test(a_kernel_without_fuse_is_said_to_be_one),
		cmocka_unit_test(the_kernel_that_the_module_is_built_for_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
