/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness/s3d_objects.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t s3d_objects_at_or_after(const struct s3d_objects *o, const char *name)
{
	size_t low = 0, high = o->n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (strcmp(o->v[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct s3d_object *s3d_objects_find(const struct s3d_objects *o, const char *name)
{
	size_t i = s3d_objects_at_or_after(o, name);

	return i < o->n && !strcmp(o->v[i].name, name) ? &o->v[i] : NULL;
}

struct s3d_object *s3d_objects_put(struct s3d_objects *o, const char *name, void *data, size_t length)
{
	size_t i = s3d_objects_at_or_after(o, name);
	unsigned char md5[16];
	struct s3d_object *x;

	if (i < o->n && !strcmp(o->v[i].name, name)) {
		x = &o->v[i];
		free(x->data);
	} else {
		if (o->n == o->room) {
			o->room = o->room ? o->room * 2 : 64;
			o->v = reallocarray(o->v, o->room, sizeof(*o->v));
			if (!o->v)
				abort();
		}
		memmove(&o->v[i + 1], &o->v[i], (o->n - i) * sizeof(*o->v));
		o->n++;
		x = &o->v[i];
		x->name = strdup(name);
	}
	x->data = data;
	x->length = length;
	x->mtime = time(NULL);
	x->crc32c[0] = 0;
	EVP_Digest(data, length, md5, NULL, EVP_md5(), NULL);
	for (int k = 0; k < 16; k++)
		sprintf(x->etag + 2 * k, "%02x", md5[k]);
	return x;
}

void s3d_objects_delete(struct s3d_objects *o, const char *name)
{
	struct s3d_object *x = s3d_objects_find(o, name);
	size_t i;

	if (!x)
		return;
	i = x - o->v;
	free(x->name);
	free(x->data);
	o->n--;
	memmove(&o->v[i], &o->v[i + 1], (o->n - i) * sizeof(*o->v));
}

void s3d_objects_clear(struct s3d_objects *o)
{
	for (size_t i = 0; i < o->n; i++) {
		free(o->v[i].name);
		free(o->v[i].data);
	}
	free(o->v);
	*o = (struct s3d_objects){0};
}
