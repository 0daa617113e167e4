/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/metadir.h"

#include "common/cleanup.h"
#include "common/why.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>

int metadir_path(const char *given, const char *uuid, char ret[PATH_MAX])
{
	int n = given ? snprintf(ret, PATH_MAX, "%s", given)
	              : snprintf(ret, PATH_MAX, METADIR_ROOT "/%s", uuid);

	return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static int make_parents(const char *path)
{
	_cleanup_free_ char *copy = strdup(path);

	if (!copy)
		return -ENOMEM;
	for (char *p = copy + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		if (mkdir(copy, 0755) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return 0;
}

static bool is_empty(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	bool empty = d != NULL;

	while (d && empty && (e = readdir(d)))
		empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
	if (d)
		closedir(d);
	return empty;
}

int metadir_make(const char *path, bool *ret_made, char **ret_why)
{
	int r = make_parents(path);

	if (r == 0 && mkdir(path, 0700) == 0) {
		*ret_made = true;
		return 0;
	}
	if (r == 0 && errno != EEXIST)
		r = -errno;
	if (r < 0)
		return why_r(r, ret_why, "%s: %s", path, strerror(-r));
	if (!is_empty(path))
		return why_r(-ENOTEMPTY, ret_why, "%s: --meta-dir is not an empty directory", path);
	*ret_made = false;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)st;
	(void)type;
	return f->level == 0 ? 0 : remove(path);
}

void metadir_remove(const char *path, bool made)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	if (made)
		rmdir(path);
}

static void print_option(const char *name, const char *value)
{
	if (value)
		printf(" --%s %s", name, value);
}

void metadir_print_mount(const char *source, const char *meta_dir, const char *endpoint, const char *region)
{
	printf("mount it with: curvefs-fuse");
	print_option("meta-dir", meta_dir);
	print_option("endpoint-url", endpoint);
	print_option("region", region);
	printf(" %s MOUNTPOINT\n", source);
}
