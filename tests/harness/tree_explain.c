/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of a round that failed, and a script that leads to it. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness/linear.h"
#include "tests/harness/tree.h"

/* ---- the smallest part that cannot be ---- */

static bool cannot_be(const struct tree_part *part)
{
	return tree_check_part(&tree_failed, part, NULL) == 0;
}

/* The earliest moment at which what was seen cannot be explained any more; LINEAR_NEVER: only the tree. */
static uint64_t first_contradiction(void)
{
	uint64_t first = LINEAR_NEVER;

	for (size_t i = 0; i < tree_failed.count; i++) {
		struct tree_part part = {.until = tree_failed.done[i].end};

		if (part.until < first && cannot_be(&part))
			first = part.until;
	}
	return first;
}

/* What only looked can be left out without making the rest any less possible. */
static void leave_out(struct tree_part *part)
{
	for (size_t i = tree_failed.count; i-- > 0;) {
		if (tree_failed.done[i].end > part->until ||
		    !tree_only_looked(&tree_failed.done[i].op, &tree_failed.done[i].result))
			continue;
		part->without[i] = true;
		part->without[i] = cannot_be(part);
	}
}

static int by_start(const void *one, const void *other)
{
	uint64_t a = tree_failed.done[*(const size_t *)one].start;
	uint64_t b = tree_failed.done[*(const size_t *)other].start;

	return a < b ? -1 : a > b;
}

static void print_done(FILE *out, const struct tree_part *part)
{
	const struct tree_round *round = &tree_failed;
	size_t order[TREE_ROUND_MAX];

	for (size_t i = 0; i < round->count; i++)
		order[i] = i;
	qsort(order, round->count, sizeof(*order), by_start);
	fprintf(out, "# Begin and end (microseconds); round, process, operation; what it returned:\n");
	for (size_t at = 0; at < round->count; at++) {
		size_t i = order[at];
		uint64_t first = round->done[order[0]].start;

		if (part->without[i] || round->done[i].start > part->until)
			continue;
		fprintf(out, "#   %8.1f %8.1f   ", (double)(round->done[i].start - first) / 1000,
		        (double)(round->done[i].end - first) / 1000);
		tree_print_op(out, &round->done[i].op);
		fprintf(out, "#%*s", 26, "");
		if (round->done[i].end > part->until)
			fputs("(perhaps not done yet)", out);
		else
			tree_print_result(out, &round->done[i].result);
		fputc('\n', out);
	}
}

void tree_explain(FILE *out)
{
	struct tree_part part = {.until = LINEAR_NEVER};
	char why[SCRIPT_WHY] = "";
	struct tree after;

	if (!tree_failed.count)
		return;
	part.until = first_contradiction();
	if (cannot_be(&part))
		leave_out(&part);
	fprintf(out, "# There was:\n");
	tree_print(out, &tree_failed.before);
	print_done(out, &part);
	if (part.until != LINEAR_NEVER)
		return;
	fprintf(out, "# And there is:\n");
	tree_print(out, &tree_failed.seen.tree);
	part = (struct tree_part){.until = LINEAR_NEVER - 1};
	if (tree_check_part(&tree_failed, &part, &after) == 1 && !tree_is(&after, &tree_failed.seen, why))
		fprintf(out, "# In one order of all of it: %s\n", why);
}

/* ---- the script ---- */

struct building {
	struct script *script;
	const struct tree *t;
	uint32_t round;
	unsigned process, dir, dir2, file; /* who builds, with which slots */
};

static void add(struct building *b, struct tree_op op)
{
	struct tree_op *ops = reallocarray(b->script->ops, b->script->count + 1, sizeof(op));

	if (!ops) {
		perror("exercise-tree: memory");
		exit(2);
	}
	op.round = b->round++;
	ops[b->script->count++] = op;
	b->script->ops = ops;
}

#define ADD(b, ...) add(b, (struct tree_op){__VA_ARGS__})

static bool is_dead(const struct tree *t, unsigned process, unsigned slot)
{
	unsigned node = t->slots[process][slot];

	return node && !t->inodes[node].links;
}

/* A name of it; @return false: it has none. */
static bool find_name(const struct tree *t, unsigned node, unsigned *ret_dir, unsigned *ret_name)
{
	for (unsigned dir = 1; dir < TREE_INODES; dir++) {
		const uint8_t *names = t->inodes[dir].names, *at = memchr(names, (int)node, TREE_NAMES);

		if (!at || t->inodes[dir].type != TREE_DIR)
			continue;
		*ret_dir = dir;
		*ret_name = (unsigned)(at - names);
		return true;
	}
	return false;
}

/* Let @p process have directory @p dir in @p slot. @return the slot where it has it: the top has its own. */
static unsigned go_to(struct building *b, unsigned process, unsigned dir, unsigned slot)
{
	unsigned above, name, from;

	if (dir == TREE_TOP || !find_name(b->t, dir, &above, &name))
		return 0;
	from = go_to(b, process, above, slot);
	ADD(b, .process = (uint8_t)process, .kind = TREE_enter, .dir = (uint8_t)from, .name = (uint8_t)name,
	    .slot = (uint8_t)slot);
	return slot;
}

/* Make it, without a directory's content, by name @p name in slot @p dir. */
static void make(struct building *b, unsigned process, unsigned node, unsigned dir, unsigned name,
                 unsigned file)
{
	static const uint8_t kinds[] = {[TREE_DIR] = TREE_mkdir,
	                                [TREE_FILE] = TREE_create,
	                                [TREE_LINK] = TREE_symlink,
	                                [TREE_FIFO] = TREE_mkfifo};
	const struct tree_inode *inode = &b->t->inodes[node];

	ADD(b, .process = (uint8_t)process, .kind = kinds[inode->type], .dir = (uint8_t)dir,
	    .name = (uint8_t)name, .slot = (uint8_t)(inode->type == TREE_FILE ? file : 0),
	    .value = inode->type == TREE_LINK ? inode->value : 0);
	if (inode->type == TREE_FILE && inode->value)
		ADD(b, .process = (uint8_t)process, .kind = TREE_write, .slot = (uint8_t)file,
		    .value = inode->value);
	for (unsigned mode = 0; mode < TREE_TARGETS && inode->type != TREE_LINK; mode++)
		if (inode->mode == tree_mode(mode) && (inode->type != TREE_DIR || inode->mode != 0700))
			ADD(b, .process = (uint8_t)process, .kind = TREE_chmod, .dir = (uint8_t)dir,
			    .name = (uint8_t)name, .value = (uint8_t)mode);
}

/* Let @p process open it, by name @p name in slot @p dir, in the slot that it has it in. */
static void hold(struct building *b, unsigned process, unsigned slot, unsigned dir, unsigned name)
{
	unsigned kind = slot < TREE_DIRS                        ? TREE_enter
	                : b->t->by_path[process] & (1u << slot) ? TREE_path
	                                                        : TREE_reopen;

	ADD(b, .process = (uint8_t)process, .kind = (uint8_t)kind, .dir = (uint8_t)dir, .name = (uint8_t)name,
	    .slot = (uint8_t)slot);
}

/* What has no name any more: made in the empty top, opened and removed. */
static void build_dead(struct building *b)
{
	for (unsigned node = 1; node < TREE_INODES; node++) {
		bool made = false;

		if (!b->t->inodes[node].type || b->t->inodes[node].links)
			continue;
		for (unsigned at = 0; at < TREE_PROCESSES_MAX * TREE_SLOTS; at++) {
			unsigned process = at / TREE_SLOTS, slot = at % TREE_SLOTS;

			if (b->t->slots[process][slot] != node)
				continue;
			if (b->t->inodes[node].linkable) {
				ADD(b, .process = (uint8_t)process, .kind = TREE_tmpfile,
				    .slot = (uint8_t)slot);
				continue;
			}
			if (!made)
				make(b, b->process, node, 0, 0, b->file);
			made = true;
			hold(b, process, slot, 0, 0);
		}
		if (made)
			ADD(b, .kind = b->t->inodes[node].type == TREE_DIR ? TREE_rmdir : TREE_unlink);
	}
}

static void build_dir(struct building *b,
                      unsigned dir) // NOLINT(misc-no-recursion): as deep as directories are
{
	for (unsigned name = 0; name < TREE_NAMES; name++) {
		unsigned node = b->t->inodes[dir].names[name], first_dir, first_name, to;

		if (!node || !find_name(b->t, node, &first_dir, &first_name))
			continue;
		to = go_to(b, b->process, dir, b->dir);
		if (first_dir == dir && first_name == name) {
			make(b, b->process, node, to, name, b->file);
			if (b->t->inodes[node].type == TREE_DIR)
				build_dir(b, node);
		}
	}
}

static void build_links(struct building *b)
{
	for (unsigned dir = 1; dir < TREE_INODES; dir++) {
		for (unsigned name = 0; name < TREE_NAMES; name++) {
			unsigned node = b->t->inodes[dir].names[name], first_dir, first_name, from, to;

			if (!node || !find_name(b->t, node, &first_dir, &first_name))
				continue;
			if (first_dir == dir && first_name == name)
				continue;
			from = go_to(b, b->process, first_dir, b->dir);
			to = go_to(b, b->process, dir, b->dir2);
			ADD(b, .process = (uint8_t)b->process, .kind = TREE_link, .dir = (uint8_t)from,
			    .name = (uint8_t)first_name, .dir2 = (uint8_t)to, .name2 = (uint8_t)name);
		}
	}
}

/* What all have open and is still there: files, by way of a slot for directories, then these. */
static bool build_slots(struct building *b)
{
	for (unsigned process = 0; process < TREE_PROCESSES_MAX; process++) {
		for (unsigned i = 0; i < TREE_SLOTS - 1; i++) {
			unsigned slot = TREE_SLOTS - 1 - i, node = b->t->slots[process][slot], dir, name, way;

			if (!node || node == TREE_TOP || is_dead(b->t, process, slot))
				continue;
			if (!find_name(b->t, node, &dir, &name))
				return false;
			for (way = 1; way < TREE_DIRS && is_dead(b->t, process, way);)
				way++;
			way = slot < TREE_DIRS ? slot : way;
			if (way == TREE_DIRS && dir != TREE_TOP)
				return false;
			hold(b, process, slot, go_to(b, process, dir, way), name);
		}
	}
	return true;
}

/* Somebody with slots that may be used. */
static bool find_builder(struct building *b)
{
	for (b->process = 0; b->process < tree_options.processes; b->process++) {
		b->dir = b->dir2 = b->file = 0;
		for (unsigned slot = 1; slot < TREE_SLOTS; slot++) {
			if (is_dead(b->t, b->process, slot))
				continue;
			if (slot >= TREE_DIRS)
				b->file = slot;
			else if (b->dir)
				b->dir2 = slot;
			else
				b->dir = slot;
		}
		if (b->dir2 && b->file)
			return true;
	}
	return false;
}

bool tree_cut(struct script *ret_shorter)
{
	struct script script = {};
	struct building b = {.script = &script, .t = &tree_failed.before};

	if (!tree_failed.count || !find_builder(&b))
		return false;
	build_dead(&b);
	build_dir(&b, TREE_TOP);
	build_links(&b);
	if (!build_slots(&b)) {
		free(script.ops);
		return false;
	}
	for (size_t i = 0; i < tree_failed.count; i++) {
		add(&b, tree_failed.done[i].op);
		b.round--; /* at once */
	}
	*ret_shorter = script;
	return true;
}
