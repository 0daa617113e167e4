/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_TESTS_S3D_OBJECTS_H
#define CURVEFS_TESTS_S3D_OBJECTS_H

#include <stddef.h>
#include <time.h>

/** The objects of one server in the order of "bucket/key"; the caller locks. */
struct s3d_object {
	char *name; /* "bucket/key" */
	void *data;
	size_t length;
	time_t mtime;
	char etag[33];  /* MD5 */
	char crc32c[9]; /* "" if it came without */
};

struct s3d_objects {
	struct s3d_object *v;
	size_t n, room;
};

/** @return the index of the first object whose name is not before @p name. */
size_t s3d_objects_at_or_after(const struct s3d_objects *o, const char *name);

/** @return the object, or NULL; valid until the next change. */
struct s3d_object *s3d_objects_find(const struct s3d_objects *o, const char *name);

/** Put or replace; takes over @p data. */
struct s3d_object *s3d_objects_put(struct s3d_objects *o, const char *name, void *data, size_t length);
void s3d_objects_delete(struct s3d_objects *o, const char *name);
void s3d_objects_clear(struct s3d_objects *o);

#endif
