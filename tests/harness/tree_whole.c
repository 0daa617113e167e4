/* SPDX-License-Identifier: Apache-2.0 */
/* The whole tree at once, while nothing changes it. */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "tests/harness/tree.h"

unsigned tree_subdirs(const struct tree *t, unsigned dir)
{
	unsigned n = 0;

	for (unsigned i = 0; i < TREE_NAMES; i++)
		n += t->inodes[t->inodes[dir].names[i]].type == TREE_DIR;
	return n;
}

static bool differs(char why[SCRIPT_WHY], const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool differs(char why[SCRIPT_WHY], const char *format, ...)
{
	va_list ap;

	if (!why)
		return false;
	va_start(ap, format);
	vsnprintf(why, SCRIPT_WHY, format, ap);
	va_end(ap);
	return false;
}

static bool is_number(unsigned wanted, unsigned got)
{
	return wanted == got || tree_options.late_attributes;
}

static unsigned links_of(const struct tree *t, unsigned node)
{
	if (t->inodes[node].type == TREE_DIR && t->inodes[node].links)
		return 2 + tree_subdirs(t, node);
	return t->inodes[node].links;
}

/* The directory @p s of what was seen is @p m of the tree. */
static bool dir_is(struct tree *t, unsigned m, const struct tree *seen, unsigned s, unsigned depth, char *why)
{
	for (unsigned i = 0; i < TREE_NAMES; i++) {
		unsigned one = t->inodes[m].names[i], other = seen->inodes[s].names[i];
		const struct tree_inode *wanted = &t->inodes[one], *got = &seen->inodes[other];

		if (wanted->type != got->type)
			return differs(why, "'%s' is a %s, not a %s", tree_name(i), tree_type_name(got->type),
			               tree_type_name(wanted->type));
		if (!one)
			continue;
		if (!is_number(links_of(t, one), got->links))
			return differs(why, "%s '%s' has %u links, not %u", tree_type_name(got->type),
			               tree_name(i), got->links, links_of(t, one));
		if (!is_number(wanted->mode, got->mode) || wanted->value != got->value)
			return differs(why, "%s '%s' has mode %o, holds %u, not %o and %u",
			               tree_type_name(got->type), tree_name(i), got->mode, got->value,
			               wanted->mode, wanted->value);
		if (!tree_bind(t, one, got->ino))
			return differs(why, "%s '%s' has inode number %llu, not %llu",
			               tree_type_name(got->type), tree_name(i), (unsigned long long)got->ino,
			               (unsigned long long)wanted->ino);
		if (got->type == TREE_DIR &&
		    (depth == TREE_INODES || !dir_is(t, one, seen, other, depth + 1, why)))
			return false;
	}
	return true;
}

bool tree_is(struct tree *t, const struct tree_seen *seen, char ret_why[SCRIPT_WHY])
{
	const struct tree_inode *top = &seen->tree.inodes[TREE_TOP];

	if (top->ino != t->inodes[TREE_TOP].ino || !is_number(links_of(t, TREE_TOP), top->links))
		return differs(ret_why, "the top has %u links, not %u", top->links, links_of(t, TREE_TOP));
	if (!dir_is(t, TREE_TOP, &seen->tree, TREE_TOP, 0, ret_why))
		return false;
	for (unsigned p = 0; p < TREE_PROCESSES_MAX; p++) {
		for (unsigned slot = 0; slot < TREE_SLOTS; slot++) {
			const struct tree_result *got = &seen->slots[p][slot];
			unsigned node = t->slots[p][slot];

			if (got->error != (node ? 0 : EBADF))
				return differs(ret_why, "slot %u of process %u: %s", slot, p,
				               got->error ? strerror(got->error) : "is open");
			if (node && (got->type != t->inodes[node].type || !tree_bind(t, node, got->ino)))
				return differs(ret_why, "slot %u of process %u is another file", slot, p);
			if (node && !is_number(links_of(t, node), got->links))
				return differs(ret_why, "slot %u of process %u, a %s, has %u links, not %u",
				               slot, p, tree_type_name(got->type), got->links,
				               links_of(t, node));
		}
	}
	return true;
}

unsigned tree_compact(struct tree *t)
{
	uint8_t number[TREE_INODES] = {};
	struct tree old = *t;
	unsigned count = 0;

	memset(t->inodes, 0, sizeof(t->inodes));
	for (unsigned i = 1; i < TREE_INODES; i++)
		if (old.inodes[i].type)
			number[i] = (uint8_t)++count;
	for (unsigned i = 1; i < TREE_INODES; i++) {
		struct tree_inode *inode = &t->inodes[number[i]];

		if (!number[i])
			continue;
		*inode = old.inodes[i];
		inode->parent = number[inode->parent];
		for (unsigned n = 0; n < TREE_NAMES; n++)
			inode->names[n] = number[inode->names[n]];
	}
	for (unsigned p = 0; p < TREE_PROCESSES_MAX; p++)
		for (unsigned slot = 0; slot < TREE_SLOTS; slot++)
			t->slots[p][slot] = number[t->slots[p][slot]];
	return count;
}

static void print_below(FILE *out, const struct tree *t, unsigned dir, unsigned depth)
{
	for (unsigned i = 0; i < TREE_NAMES; i++) {
		unsigned node = t->inodes[dir].names[i];
		const struct tree_inode *inode = &t->inodes[node];

		if (!node)
			continue;
		fprintf(out, "#   %*s%.4s: %s %llu, mode %o", (int)depth * 2, "", tree_name(i),
		        tree_type_name(inode->type), (unsigned long long)inode->ino, inode->mode);
		if (inode->type != TREE_DIR)
			fprintf(out, ", %u links", inode->links);
		if (inode->value)
			fprintf(out, ", holds %u", inode->value);
		fputc('\n', out);
		if (inode->type == TREE_DIR && depth < TREE_INODES)
			print_below(out, t, node, depth + 1);
	}
}

void tree_print(FILE *out, const struct tree *t)
{
	print_below(out, t, TREE_TOP, 0);
	for (unsigned p = 0; p < TREE_PROCESSES_MAX; p++) {
		fprintf(out, "#   slots of process %u:", p);
		for (unsigned slot = 0; slot < TREE_SLOTS; slot++)
			fprintf(out, " %llu%s", (unsigned long long)t->inodes[t->slots[p][slot]].ino,
			        t->by_path[p] & (1u << slot) ? "(path)" : "");
		fputc('\n', out);
	}
}
