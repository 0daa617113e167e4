/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each operation does to a tree, and which error wins, as Linux's VFS and ext4 have it.
 *
 * A name and the number of links of what it names do not change at the same moment: whoever looks without the
 * lock of the directory (fstat(2), or a path that the kernel knows) may see the links first. So what takes or
 * gives a link has two steps: the links, then the name. The links of a directory are looked at only while
 * nothing goes on.
 */
#include <errno.h>
#include <string.h>

#include "tests/harness/linear.h"
#include "tests/harness/tree.h"

void tree_init(struct tree *t, uint64_t ino)
{
	memset(t, 0, sizeof(*t));
	t->inodes[TREE_TOP] = (struct tree_inode){
		.ino = ino, .mode = 0700, .type = TREE_DIR, .links = 1, .parent = TREE_TOP};
	for (unsigned p = 0; p < TREE_PROCESSES_MAX; p++)
		t->slots[p][0] = TREE_TOP;
}

static bool is_held(const struct tree *t, unsigned node)
{
	return memchr(t->slots, (int)node, sizeof(t->slots)) || memchr(t->found, (int)node, sizeof(t->found));
}

/* What nobody names or holds is gone, and its inode number may come again. */
static void forget_unused(struct tree *t)
{
	for (unsigned i = TREE_TOP + 1; i < TREE_INODES; i++)
		if (t->inodes[i].type && !t->inodes[i].links && !is_held(t, i))
			memset(&t->inodes[i], 0, sizeof(t->inodes[i]));
}

/* It is this inode number from now on, if it had none. */
bool tree_bind(struct tree *t, unsigned node, uint64_t ino)
{
	if (!ino)
		return false;
	if (t->inodes[node].ino)
		return t->inodes[node].ino == ino;
	for (unsigned i = 1; i < TREE_INODES; i++)
		if (t->inodes[i].ino == ino)
			return false;
	t->inodes[node].ino = ino;
	return true;
}

static bool is_empty(const struct tree *t, unsigned dir)
{
	for (unsigned i = 0; i < TREE_NAMES; i++)
		if (t->inodes[dir].names[i])
			return false;
	return true;
}

/* Whether @p above is @p dir or one that it is in. */
static bool is_within(const struct tree *t, unsigned dir, unsigned above)
{
	for (unsigned i = 0; i < TREE_INODES; i++) {
		if (dir == above)
			return true;
		if (dir == TREE_TOP)
			return false;
		dir = t->inodes[dir].parent;
	}
	return false;
}

/* One operation under way. */
struct doing {
	struct tree *t;
	const struct tree_op *op;
	unsigned number, step;
	unsigned dir, dir2;      /* inodes; 0: the slot is empty */
	uint8_t *entry, *entry2; /* where the names are in them */
	uint8_t *found;          /* by the steps before */
	struct tree_result wanted;
	unsigned node; /* whose inode number the result has */
};

static enum linear_verdict fails(struct doing *d, int error)
{
	d->wanted = (struct tree_result){.error = error};
	d->node = 0;
	return LINEAR_DONE;
}

static struct tree_inode *inode(const struct doing *d, unsigned node)
{
	return &d->t->inodes[node];
}

static void remember(struct doing *d, unsigned one, unsigned two)
{
	d->found[0] = (uint8_t)one;
	d->found[1] = (uint8_t)two;
}

static void put_into_slot(struct doing *d, unsigned slot, unsigned node, bool by_path)
{
	uint8_t *bits = &d->t->by_path[d->op->process], bit = (uint8_t)(1u << slot);

	d->t->slots[d->op->process][slot] = (uint8_t)node;
	*bits = (uint8_t)(by_path ? *bits | bit : *bits & ~bit);
	d->node = node;
}

/* The error of whatever needs the entry: no directory, or nothing in it; else 0. */
static int missing(const struct doing *d)
{
	return !d->dir ? EBADF : !*d->entry ? ENOENT : 0;
}

/* What is found by name, held until the next step. */
static enum linear_verdict resolve(struct doing *d)
{
	if (missing(d))
		return fails(d, missing(d));
	remember(d, *d->entry, 0);
	return LINEAR_MORE;
}

/* Whether a name can be made. */
static int may_make(struct doing *d, unsigned dir, const uint8_t *entry)
{
	if (!dir)
		return EBADF;
	if (!inode(d, dir)->links)
		return ENOENT;
	return *entry ? EEXIST : 0;
}

static enum linear_verdict make(struct doing *d, unsigned type)
{
	static const uint16_t modes[] = {
		[TREE_DIR] = 0700, [TREE_FILE] = 0600, [TREE_LINK] = 0777, [TREE_FIFO] = 0600};
	int error = may_make(d, d->dir, d->entry);

	if (error)
		return fails(d, error);
	*inode(d, d->number) = (struct tree_inode){.type = (uint8_t)type, .links = 1, .mode = modes[type]};
	if (type == TREE_DIR)
		inode(d, d->number)->parent = (uint8_t)d->dir;
	if (type == TREE_LINK)
		inode(d, d->number)->value = d->op->value;
	*d->entry = (uint8_t)d->number;
	return LINEAR_DONE;
}

static enum linear_verdict do_create(struct doing *d)
{
	enum linear_verdict r = make(d, TREE_FILE);

	if (!d->wanted.error)
		put_into_slot(d, d->op->slot, d->number, false);
	return r;
}

static enum linear_verdict do_open(struct doing *d)
{
	unsigned node;

	if (!d->dir)
		return fails(d, EBADF);
	node = *d->entry;
	if (!node)
		return d->op->kind == TREE_open ? do_create(d) : fails(d, ENOENT);
	if (d->op->kind != TREE_path && inode(d, node)->type == TREE_DIR)
		return fails(d, EISDIR);
	if (d->op->kind != TREE_path && inode(d, node)->type == TREE_LINK)
		return fails(d, ELOOP);
	put_into_slot(d, d->op->slot, node, d->op->kind == TREE_path);
	return LINEAR_DONE;
}

static enum linear_verdict do_enter(struct doing *d)
{
	if (missing(d))
		return fails(d, missing(d));
	if (inode(d, *d->entry)->type != TREE_DIR)
		return fails(d, ENOTDIR);
	put_into_slot(d, d->op->slot, *d->entry, false);
	return LINEAR_DONE;
}

static enum linear_verdict do_readlink(struct doing *d)
{
	if (missing(d))
		return fails(d, missing(d));
	if (inode(d, *d->entry)->type != TREE_LINK)
		return fails(d, EINVAL);
	d->wanted.value = inode(d, *d->entry)->value;
	return LINEAR_DONE;
}

static enum linear_verdict do_rmdir(struct doing *d)
{
	if (missing(d))
		return fails(d, missing(d));
	if (inode(d, *d->entry)->type != TREE_DIR)
		return fails(d, ENOTDIR);
	if (!is_empty(d->t, *d->entry))
		return fails(d, ENOTEMPTY);
	inode(d, *d->entry)->links = 0;
	*d->entry = 0;
	return LINEAR_DONE;
}

static enum linear_verdict do_unlink(struct doing *d)
{
	if (d->step == 0) {
		if (missing(d))
			return fails(d, missing(d));
		if (inode(d, *d->entry)->type == TREE_DIR)
			return fails(d, EISDIR);
		if (!inode(d, *d->entry)->links)
			return LINEAR_IMPOSSIBLE;
		inode(d, *d->entry)->links--;
		remember(d, *d->entry, 0);
		return LINEAR_MORE;
	}
	if (!d->dir || *d->entry != d->found[0])
		return LINEAR_IMPOSSIBLE;
	*d->entry = 0;
	return LINEAR_DONE;
}

static enum linear_verdict do_link(struct doing *d)
{
	struct tree_inode *source = inode(d, d->found[0]);
	int error;

	if (d->step == 0)
		return resolve(d);
	error = may_make(d, d->dir2, d->entry2);
	if (d->step == 2) {
		if (error)
			return LINEAR_IMPOSSIBLE;
		*d->entry2 = d->found[0];
		return LINEAR_DONE;
	}
	if (error)
		return fails(d, error);
	if (source->type == TREE_DIR)
		return fails(d, EPERM);
	if (!source->links)
		return fails(d, ENOENT);
	source->links++;
	return LINEAR_MORE;
}

static enum linear_verdict do_tmpfile(struct doing *d)
{
	*inode(d, d->number) = (struct tree_inode){.type = TREE_FILE, .mode = 0600, .linkable = 1};
	put_into_slot(d, d->op->slot, d->number, false);
	return LINEAR_DONE;
}

static enum linear_verdict do_fdlink(struct doing *d)
{
	unsigned node = d->t->slots[d->op->process][d->op->slot];
	struct tree_inode *source = inode(d, node);
	int error = may_make(d, d->dir2, d->entry2);

	if (d->step == 1) {
		if (error)
			return LINEAR_IMPOSSIBLE;
		*d->entry2 = (uint8_t)node;
		return LINEAR_DONE;
	}
	if (!node)
		return fails(d, ENOENT);
	if (error)
		return fails(d, error);
	if (source->type == TREE_DIR)
		return fails(d, EPERM);
	if (!source->links && !source->linkable)
		return fails(d, ENOENT);
	source->linkable = 0;
	source->links++;
	return LINEAR_MORE;
}

/* The error of a rename, or 0. */
static int may_rename(struct doing *d)
{
	bool exchange = d->op->kind == TREE_exchange;
	const struct tree_inode *old, *new;

	if (!d->dir || !d->dir2)
		return EBADF;
	if (!*d->entry || !inode(d, d->dir2)->links)
		return ENOENT;
	old = inode(d, *d->entry);
	new = inode(d, *d->entry2);
	if (d->op->kind == TREE_noreplace && *d->entry2)
		return EEXIST;
	if (exchange && !*d->entry2)
		return ENOENT;
	if (old->type == TREE_DIR && is_within(d->t, d->dir2, *d->entry))
		return EINVAL;
	if (*d->entry2 && new->type == TREE_DIR && is_within(d->t, d->dir, *d->entry2))
		return exchange ? EINVAL : ENOTEMPTY;
	if (*d->entry == *d->entry2 || exchange || !*d->entry2)
		return 0;
	if (old->type == TREE_DIR && new->type != TREE_DIR)
		return ENOTDIR;
	if (old->type != TREE_DIR && new->type == TREE_DIR)
		return EISDIR;
	return new->type == TREE_DIR && !is_empty(d->t, *d->entry2) ? ENOTEMPTY : 0;
}

static void move(struct doing *d, uint8_t *entry, unsigned node, unsigned dir)
{
	*entry = (uint8_t)node;
	if (inode(d, node)->type == TREE_DIR)
		inode(d, node)->parent = (uint8_t)dir;
}

static enum linear_verdict do_rename(struct doing *d)
{
	int error = may_rename(d);
	unsigned old, new;

	if (d->step == 1 && (error || *d->entry != d->found[0] || *d->entry2 != d->found[1]))
		return LINEAR_IMPOSSIBLE;
	if (error)
		return fails(d, error);
	old = *d->entry;
	new = *d->entry2;
	if (old == new)
		return LINEAR_DONE;
	if (d->op->kind == TREE_exchange) {
		move(d, d->entry, new, d->dir);
		move(d, d->entry2, old, d->dir2);
		return LINEAR_DONE;
	}
	if (new && d->step == 0 && inode(d, new)->type != TREE_DIR) {
		if (!inode(d, new)->links)
			return LINEAR_IMPOSSIBLE;
		inode(d, new)->links--;
		remember(d, old, new);
		return LINEAR_MORE;
	}
	if (new && d->step == 0)
		inode(d, new)->links = 0;
	*d->entry = 0;
	move(d, d->entry2, old, d->dir2);
	return LINEAR_DONE;
}

static void show(struct doing *d, unsigned node)
{
	d->node = node;
	d->wanted.type = inode(d, node)->type;
	if (d->wanted.type != TREE_DIR)
		d->wanted.links = inode(d, node)->links;
}

static enum linear_verdict do_look(struct doing *d)
{
	const struct tree_inode *node = inode(d, d->found[0]);

	if (d->step == 0)
		return resolve(d);
	if (d->op->kind == TREE_stat)
		show(d, d->found[0]);
	else if (d->op->kind == TREE_mode)
		d->wanted.mode = node->mode;
	else if (node->type == TREE_FILE)
		d->wanted.value = node->value != 0;
	return LINEAR_DONE;
}

static enum linear_verdict do_chmod(struct doing *d)
{
	if (d->step == 0) {
		enum linear_verdict r = resolve(d);

		/* Is followed, and there is nothing. */
		return r == LINEAR_MORE && inode(d, d->found[0])->type == TREE_LINK ? fails(d, ENOENT) : r;
	}
	inode(d, d->found[0])->mode = (uint16_t)tree_mode(d->op->value);
	return LINEAR_DONE;
}

static enum linear_verdict do_list(struct doing *d, unsigned nodes[TREE_NAMES])
{
	if (!d->dir)
		return fails(d, EBADF);
	if (!inode(d, d->dir)->links)
		return fails(d, ENOENT);
	for (unsigned i = 0; i < TREE_NAMES; i++) {
		nodes[i] = inode(d, d->dir)->names[i];
		d->wanted.names[i].type = inode(d, nodes[i])->type;
	}
	return LINEAR_DONE;
}

static enum linear_verdict do_on_file(struct doing *d)
{
	unsigned node = d->t->slots[d->op->process][d->op->slot];
	bool by_path = d->t->by_path[d->op->process] & (1u << d->op->slot);

	if (!node || (by_path && d->op->kind != TREE_fstat))
		return fails(d, EBADF);
	if (d->op->kind == TREE_fstat) {
		show(d, node);
		return LINEAR_DONE;
	}
	if (inode(d, node)->type != TREE_FILE)
		return fails(d, ESPIPE);
	if (d->op->kind == TREE_write)
		inode(d, node)->value = d->op->value;
	else
		d->wanted.value = inode(d, node)->value;
	return LINEAR_DONE;
}

static enum linear_verdict do_step(struct doing *d, unsigned nodes[TREE_NAMES])
{
	switch ((enum tree_kind)d->op->kind) {
	case TREE_mkdir:
		return make(d, TREE_DIR);
	case TREE_mkfifo:
		return make(d, TREE_FIFO);
	case TREE_symlink:
		return make(d, TREE_LINK);
	case TREE_create:
		return do_create(d);
	case TREE_open:
	case TREE_reopen:
	case TREE_path:
		return do_open(d);
	case TREE_tmpfile:
		return do_tmpfile(d);
	case TREE_enter:
		return do_enter(d);
	case TREE_readlink:
		return do_readlink(d);
	case TREE_rmdir:
		return do_rmdir(d);
	case TREE_unlink:
		return do_unlink(d);
	case TREE_link:
		return do_link(d);
	case TREE_fdlink:
		return do_fdlink(d);
	case TREE_rename:
	case TREE_noreplace:
	case TREE_exchange:
		return do_rename(d);
	case TREE_stat:
	case TREE_mode:
	case TREE_size:
		return do_look(d);
	case TREE_chmod:
		return do_chmod(d);
	case TREE_list:
		return do_list(d, nodes);
	case TREE_fstat:
	case TREE_write:
	case TREE_read:
		return do_on_file(d);
	case TREE_KIND_COUNT:
		break;
	}
	return LINEAR_IMPOSSIBLE;
}

static bool agrees(struct doing *d, const unsigned nodes[TREE_NAMES], const struct tree_result *got)
{
	const struct tree_result *wanted = &d->wanted;
	bool late = tree_options.late_attributes;

	if (got->error != wanted->error || got->type != wanted->type || got->strange)
		return false;
	if (got->value != wanted->value && !(late && d->op->kind == TREE_size))
		return false;
	if (got->mode != wanted->mode && !late)
		return false;
	if (got->links != wanted->links && wanted->type != TREE_DIR && !late)
		return false;
	if (d->node ? !tree_bind(d->t, d->node, got->ino) : got->ino != 0)
		return false;
	for (unsigned i = 0; i < TREE_NAMES; i++) {
		if (got->names[i].type != wanted->names[i].type)
			return false;
		if (nodes[i] && !tree_bind(d->t, nodes[i], got->names[i].ino))
			return false;
	}
	return true;
}

int tree_step(struct tree *t, const struct tree_op *op, unsigned number, unsigned step,
              const struct tree_result *got, struct tree_result *ret_wanted)
{
	struct doing d = {
		.t = t,
		.op = op,
		.number = number,
		.step = step,
		.dir = t->slots[op->process][op->dir],
		.dir2 = t->slots[op->process][op->dir2],
		.found = t->found[op->process],
	};
	unsigned nodes[TREE_NAMES] = {};
	enum linear_verdict r;

	d.entry = &t->inodes[d.dir].names[op->name];
	d.entry2 = &t->inodes[d.dir2].names[op->name2];
	r = do_step(&d, nodes);
	if (r == LINEAR_DONE) {
		if (ret_wanted)
			*ret_wanted = d.wanted;
		if (got && !agrees(&d, nodes, got))
			return LINEAR_IMPOSSIBLE;
		remember(&d, 0, 0);
		forget_unused(t);
	} else if (r == LINEAR_MORE && got && step == 0 && got->error && op->kind != TREE_link) {
		return LINEAR_IMPOSSIBLE; /* only links fail later than that */
	}
	return r;
}

bool tree_only_looked(const struct tree_op *op, const struct tree_result *result)
{
	switch ((enum tree_kind)op->kind) {
	case TREE_readlink:
	case TREE_stat:
	case TREE_mode:
	case TREE_size:
	case TREE_list:
	case TREE_fstat:
	case TREE_read:
		return true;
	default:
		return result->error != 0;
	}
}
