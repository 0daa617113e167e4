// SPDX-License-Identifier: Apache-2.0
#include "daemon/backup/manifest.h"

#include "common/cleanup.h"
#include "common/why.h"
#include "daemon/store/store.h"

#include <errno.h>
#include <inttypes.h>
#include <isa-l/crc.h>
#include <jansson.h>
#include <string.h>
#include <time.h>

#define MAGIC "curvefs-meta"
#define VERSION 1

enum {
	SIZE_MAX_BYTES = 64 << 20,
	PARTS_MAX = 1 << 20,
	NEWEST_TRIES = 10, /* against a writer who replaces it meanwhile */
};

void manifest_clear(struct manifest *m)
{
	free(m->parts);
	*m = (struct manifest){0};
}

/* ---- names ---- */

void manifest_key(uint64_t epoch, uint64_t number, char ret[BACKUP_KEY_MAX])
{
	snprintf(ret, BACKUP_KEY_MAX, MANIFEST_PREFIX "%016" PRIx64 "-%016" PRIx64, epoch, number);
}

void manifest_part_key(uint64_t epoch, uint64_t number, char ret[BACKUP_KEY_MAX])
{
	snprintf(ret, BACKUP_KEY_MAX, PART_PREFIX "%016" PRIx64 "-%016" PRIx64, epoch, number);
}

bool manifest_parse_key(const char *key, const char *prefix, uint64_t *ret_epoch, uint64_t *ret_number)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = strlen(prefix);

	if (strncmp(key, prefix, n) != 0)
		return false;
	key += n;
	if (strlen(key) != 33 || strspn(key, hex) != 16 || key[16] != '-' || strspn(key + 17, hex) != 16)
		return false;
	*ret_epoch = strtoull(key, NULL, 16);
	*ret_number = strtoull(key + 17, NULL, 16);
	return true;
}

void manifest_time(int64_t s, char ret[MANIFEST_TIME_MAX])
{
	time_t t = (time_t)s;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || !strftime(ret, MANIFEST_TIME_MAX, "%Y-%m-%d %H:%M:%S UTC", &tm))
		strcpy(ret, "?");
}

/* ---- JSON ---- */

static json_t *print_parts(const struct manifest_part *parts, size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < count; i++) {
		json_t *part = json_pack("[I,I,I,I]", (json_int_t)parts[i].epoch, (json_int_t)parts[i].number,
		                         (json_int_t)parts[i].size, (json_int_t)parts[i].crc);

		if (json_array_append_new(list, part) < 0) {
			json_decref(list);
			list = NULL;
		}
	}
	return list;
}

/* The text that the checksum is of. */
static char *checked_text(const json_t *manifest)
{
	return json_dumps(manifest, JSON_COMPACT | JSON_SORT_KEYS);
}

static void checksum(const char *text, char ret[9])
{
	snprintf(ret, 9, "%08x", ~crc32_iscsi((unsigned char *)text, (int)strlen(text), ~0u));
}

char *manifest_print(const struct manifest *m, const char *uuid)
{
	json_auto_t *root = NULL, *inner = NULL;
	_cleanup_free_ char *text = NULL;
	char crc[9];

	inner = json_pack("{s:s,s:i,s:s,s:s,s:I,s:I,s:I,s:I,s:o,s:o}", "magic", MAGIC, "version", VERSION,
	                  "uuid", uuid, "meta_id", m->meta_id, "epoch", (json_int_t)m->epoch, "number",
	                  (json_int_t)m->number, "sequence", (json_int_t)m->sequence, "created",
	                  (json_int_t)m->created_s, "checkpoint", print_parts(m->parts, m->checkpoint_count),
	                  "log", print_parts(m->parts + m->checkpoint_count, m->count - m->checkpoint_count));
	text = inner ? checked_text(inner) : NULL;
	if (!text)
		return NULL;
	checksum(text, crc);
	root = json_pack("{s:s,s:O}", "crc32c", crc, "manifest", inner);
	return root ? json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
}

static bool get_number(const json_t *j, uint64_t max, uint64_t *ret)
{
	if (!json_is_integer(j) || json_integer_value(j) < 0 || (uint64_t)json_integer_value(j) > max)
		return false;
	*ret = (uint64_t)json_integer_value(j);
	return true;
}

/* Into @p m, behind those that are there already. */
static bool parse_parts(const json_t *list, struct manifest *m)
{
	json_t *j;
	size_t i;

	json_array_foreach((json_t *)list, i, j)
	{
		struct manifest_part *p = &m->parts[m->count];
		uint64_t crc;

		if (json_array_size(j) != 4 || !get_number(json_array_get(j, 0), INT64_MAX, &p->epoch) ||
		    !get_number(json_array_get(j, 1), INT64_MAX, &p->number) ||
		    !get_number(json_array_get(j, 2), 2 * (uint64_t)PART_RAW_MAX, &p->size) ||
		    !get_number(json_array_get(j, 3), UINT32_MAX, &crc))
			return false;
		p->crc = (uint32_t)crc;
		m->count++;
	}
	return true;
}

static const char *parse_inner(const json_t *inner, const char *uuid, struct manifest *m, int *ret_error)
{
	const json_t *checkpoint = json_object_get(inner, "checkpoint"), *log = json_object_get(inner, "log");
	const char *magic = json_string_value(json_object_get(inner, "magic")),
		   *found = json_string_value(json_object_get(inner, "uuid")),
		   *meta_id = json_string_value(json_object_get(inner, "meta_id"));
	uint64_t version, created;

	*ret_error = -EBADMSG;
	if (!magic || strcmp(magic, MAGIC) != 0)
		return "its \"magic\" is not \"" MAGIC "\"";
	if (!get_number(json_object_get(inner, "version"), INT32_MAX, &version) || !version)
		return "its \"version\" is not a positive number";
	if (version > VERSION) {
		*ret_error = -EPROTO;
		return "it was made by a later version of curvefs: use that one";
	}
	if (!found || strcmp(found, uuid) != 0)
		return "it belongs to another volume";
	if (!meta_id || !*meta_id || strlen(meta_id) >= sizeof(m->meta_id) ||
	    !get_number(json_object_get(inner, "epoch"), INT64_MAX, &m->epoch) ||
	    !get_number(json_object_get(inner, "number"), INT64_MAX, &m->number) ||
	    !get_number(json_object_get(inner, "sequence"), INT64_MAX, &m->sequence) ||
	    !get_number(json_object_get(inner, "created"), INT64_MAX, &created))
		return "a number or name in it is missing or out of range";
	strcpy(m->meta_id, meta_id);
	m->created_s = (int64_t)created;
	if (!json_is_array(checkpoint) || !json_is_array(log) || !json_array_size(checkpoint) ||
	    json_array_size(checkpoint) + json_array_size(log) > PARTS_MAX)
		return "it has no parts, or too many";
	m->parts = calloc(json_array_size(checkpoint) + json_array_size(log), sizeof(*m->parts));
	if (!m->parts) {
		*ret_error = -ENOMEM;
		return "out of memory";
	}
	m->checkpoint_count = json_array_size(checkpoint);
	if (!parse_parts(checkpoint, m) || !parse_parts(log, m))
		return "its list of parts makes no sense";
	*ret_error = 0;
	return NULL;
}

int manifest_parse(const void *text, size_t length, const char *uuid, struct manifest *ret,
                   const char **ret_wrong)
{
	json_auto_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
	const json_t *inner = json_object_get(root, "manifest");
	const char *crc = json_string_value(json_object_get(root, "crc32c"));
	_cleanup_free_ char *checked = NULL;
	struct manifest m = {0};
	char have[9];
	int r;

	*ret_wrong = "it is not a manifest, or was cut off";
	if (!crc || !json_is_object(inner))
		return -EBADMSG;
	checked = checked_text(inner);
	if (!checked) {
		*ret_wrong = "out of memory";
		return -ENOMEM;
	}
	checksum(checked, have);
	*ret_wrong = strcmp(crc, have) ? "its checksum is wrong" : NULL;
	if (*ret_wrong)
		return -EBADMSG;
	*ret_wrong = parse_inner(inner, uuid, &m, &r);
	if (*ret_wrong) {
		manifest_clear(&m);
		return r;
	}
	*ret = m;
	return 0;
}

/* ---- the newest ---- */

struct newest {
	uint64_t epoch, number;
	bool found;
};

static int consider(const struct store_object *object, void *arg)
{
	struct newest *n = arg;
	uint64_t epoch, number;

	if (manifest_parse_key(object->key, MANIFEST_PREFIX, &epoch, &number) &&
	    (!n->found || epoch > n->epoch || (epoch == n->epoch && number > n->number)))
		*n = (struct newest){epoch, number, true};
	return 0;
}

int manifest_newest(struct store *store, const char *uuid, struct manifest *ret, char **ret_why)
{
	_cleanup_free_ void *text = NULL;
	char key[BACKUP_KEY_MAX];
	const char *wrong;
	struct newest n;
	size_t length;
	int r = -ENOENT;

	for (int i = 0; r == -ENOENT && i < NEWEST_TRIES; i++) {
		n = (struct newest){0};
		r = store_list(store, MANIFEST_PREFIX, consider, &n);
		if (r < 0)
			return why_r(r, ret_why, "cannot list the metadata backup: %s", store_last_error());
		if (!n.found)
			return -ENOENT;
		manifest_key(n.epoch, n.number, key);
		r = store_get_all(store, key, SIZE_MAX_BYTES, &text, &length);
	}
	if (r < 0)
		return why_r(r == -ENOENT ? -EIO : r, ret_why, "cannot read the metadata backup: %s",
		             store_last_error());
	r = manifest_parse(text, length, uuid, ret, &wrong);
	if (!r && (ret->epoch != n.epoch || ret->number != n.number)) {
		manifest_clear(ret);
		r = -EBADMSG;
		wrong = "it is another one than its name says";
	}
	return r < 0 ? why_r(r, ret_why, "%s/%s cannot be used: %s", store_url(store), key, wrong) : 0;
}
