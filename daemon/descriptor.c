// SPDX-License-Identifier: Apache-2.0
#include "daemon/descriptor.h"

#include "common/cleanup.h"
#include "common/why.h"
#include "daemon/store/store.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <time.h>

#define MAGIC "curvefs"
#define VERSION 3 /* 1: objects without checksums; 2: other keys of objects (objects.c) */
#define VERSION_MIN 2

/* 8-4-4-4-12 hexadecimal digits, in lower case: it becomes part of path names. */
static bool uuid_is_valid(const char *uuid)
{
	if (strlen(uuid) != 36)
		return false;
	for (int i = 0; i < 36; i++) {
		if (i == 8 || i == 13 || i == 18 || i == 23) {
			if (uuid[i] != '-')
				return false;
		} else if (!strchr("0123456789abcdef", uuid[i])) {
			return false;
		}
	}
	return true;
}

static bool name_is_valid(const char *name)
{
	if (strlen(name) >= sizeof(((struct meta_volume *)0)->name))
		return false;
	for (; *name; name++) {
		if (*name < ' ' || *name > '~')
			return false;
	}
	return true;
}

static bool chunk_size_is_valid(json_int_t size)
{
	return size >= 1 << 20 && size <= 64 << 20 && !(size & (size - 1));
}

/* @return NULL and *ret filled, or what is wrong with the text. */
static const char *descriptor_parse(const void *text, size_t length, struct meta_volume *ret, int *ret_error)
{
	json_auto_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
	const json_t *version;
	const char *magic, *uuid, *name;
	json_int_t chunk_size;

	*ret_error = -EBADMSG;
	if (!json_is_object(root))
		return "it is not a JSON object";
	magic = json_string_value(json_object_get(root, "magic"));
	if (!magic || strcmp(magic, MAGIC) != 0)
		return "its \"magic\" is not \"" MAGIC "\"";
	version = json_object_get(root, "version");
	if (!json_is_integer(version) || json_integer_value(version) < 1)
		return "its \"version\" is not a positive number";
	if (json_integer_value(version) > VERSION) {
		*ret_error = -EPROTO;
		return "it was made by a later version of curvefs: use that one";
	}
	if (json_integer_value(version) < VERSION_MIN) {
		*ret_error = -EPROTO;
		return "it was made by an earlier version of curvefs, whose objects have no checksums: copy "
		       "the files over with that one";
	}
	uuid = json_string_value(json_object_get(root, "uuid"));
	if (!uuid || !uuid_is_valid(uuid))
		return "its \"uuid\" is not one";
	name = json_string_value(json_object_get(root, "name"));
	if (!name || !name_is_valid(name))
		return "its \"name\" is missing, too long or not printable ASCII";
	if (!json_is_integer(json_object_get(root, "chunk_size")))
		return "its \"chunk_size\" is not a number";
	chunk_size = json_integer_value(json_object_get(root, "chunk_size"));
	if (!chunk_size_is_valid(chunk_size))
		return "its \"chunk_size\" is not a power of two from 1 MiB to 64 MiB";

	*ret = (struct meta_volume){.chunk_size = (uint32_t)chunk_size};
	strcpy(ret->uuid, uuid);
	strcpy(ret->name, name);
	*ret_error = 0;
	return NULL;
}

int descriptor_read(struct store *s, struct meta_volume *ret, char **ret_why)
{
	_cleanup_free_ void *text = NULL;
	const char *wrong;
	size_t length;
	int r;

	r = store_get_all(s, DESCRIPTOR_KEY, DESCRIPTOR_MAX, &text, &length);
	if (r == -ENOENT)
		return why_r(r, ret_why, "%s holds no volume: make one with `curvefs format %s`",
		             store_url(s), store_url(s));
	if (r == -EFBIG)
		return why_r(-EBADMSG, ret_why,
		             "%s: %s is not a volume descriptor: it is larger than %d bytes", store_url(s),
		             DESCRIPTOR_KEY, DESCRIPTOR_MAX);
	if (r < 0)
		return why_r(r, ret_why, "cannot read the volume descriptor of %s: %s", store_url(s),
		             store_last_error());
	wrong = descriptor_parse(text, length, ret, &r);
	if (wrong)
		return why_r(r, ret_why, "%s: %s is not a usable volume descriptor: %s", store_url(s),
		             DESCRIPTOR_KEY, wrong);
	return 0;
}

int descriptor_write(struct store *s, const struct meta_volume *volume, char **ret_why)
{
	json_auto_t *root = NULL;
	_cleanup_free_ char *text = NULL;
	char created[sizeof("2000-01-01T00:00:00Z") + 16];
	time_t now = time(NULL);
	struct tm tm;
	int r;

	if (!uuid_is_valid(volume->uuid) || !name_is_valid(volume->name) ||
	    !chunk_size_is_valid(volume->chunk_size))
		return why_r(-EINVAL, ret_why, "not a volume: uuid \"%s\", name \"%s\", chunk size %u",
		             volume->uuid, volume->name, volume->chunk_size);
	gmtime_r(&now, &tm);
	strftime(created, sizeof(created), "%Y-%m-%dT%H:%M:%SZ", &tm);
	root = json_pack("{ss si ss ss si ss}", "magic", MAGIC, "version", VERSION, "uuid", volume->uuid,
	                 "name", volume->name, "chunk_size", (int)volume->chunk_size, "created", created);
	if (!root) /* a name that is not UTF-8 cannot get here: it is printable ASCII */
		return -ENOMEM;
	text = json_dumps(root, JSON_INDENT(2));
	if (!text)
		return -ENOMEM;
	r = store_put_new(s, DESCRIPTOR_KEY, text, strlen(text));
	if (r == -EEXIST)
		return why_r(r, ret_why, "%s holds a volume already: %s is there", store_url(s),
		             DESCRIPTOR_KEY);
	if (r < 0)
		return why_r(r, ret_why, "cannot write the volume descriptor to %s: %s", store_url(s),
		             store_last_error());
	return 0;
}
