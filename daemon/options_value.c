// SPDX-License-Identifier: Apache-2.0
#include "daemon/options_internal.h"

#include "common/cleanup.h"
#include "common/log.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

int options_parse_size(const char *text, uint64_t *ret)
{
	static const char units[] = "KMGTPE";
	unsigned __int128 value = 0, fraction = 0, scale = 1;
	unsigned shift = 0;
	const char *p = text, *unit;
	bool fractional = false;

	if (!isdigit((unsigned char)*p))
		return -EINVAL;
	for (; isdigit((unsigned char)*p); p++) {
		value = value * 10 + (unsigned)(*p - '0');
		if (value > UINT64_MAX)
			return -ERANGE;
	}
	if (*p == '.') {
		p++;
		if (!isdigit((unsigned char)*p))
			return -EINVAL;
		fractional = true;
		for (; isdigit((unsigned char)*p); p++) {
			if (scale >= 1000000000) /* finer than any unit's bytes that one would mean */
				continue;
			fraction = fraction * 10 + (unsigned)(*p - '0');
			scale *= 10;
		}
	}
	unit = *p ? strchr(units, toupper((unsigned char)*p)) : NULL;
	if (unit) {
		shift = 10 * (unsigned)(unit - units + 1);
		p++;
		if (*p == 'i')
			p++;
		if (p[-1] == 'i' && *p != 'B')
			return -EINVAL;
		if (*p == 'B')
			p++;
	}
	if (*p || (fractional && !unit))
		return -EINVAL;
	value = (value << shift) + (fraction << shift) / scale;
	if (value > UINT64_MAX)
		return -ERANGE;
	*ret = (uint64_t)value;
	return 0;
}

int option_parse_number(const struct option_spec *spec, const char *value, const char *min, const char *max,
                        uint64_t *ret, char **ret_why)
{
	uint64_t lowest, highest, number;
	int r;

	if (options_parse_size(min, &lowest) < 0 || options_parse_size(max, &highest) < 0)
		return -EINVAL;
	r = options_parse_size(value, &number);
	if (r == -EINVAL)
		return refuse(ret_why, "--%s: \"%s\" is not a number like 512, 4M or 1.5G", spec->name,
		              value);
	if (r == -ERANGE || number < lowest || number > highest)
		return refuse(ret_why, "--%s: %s is not between %s and %s", spec->name, value, min, max);
	*ret = number;
	return 0;
}

int option_parse_unsigned(const struct option_spec *spec, const char *value, const char *min, const char *max,
                          unsigned *ret, char **ret_why)
{
	uint64_t number;
	int r;

	r = option_parse_number(spec, value, min, max, &number, ret_why);
	if (r < 0)
		return r;
	*ret = (unsigned)number; /* max fits */
	return 0;
}

int option_parse_real(const struct option_spec *spec, const char *value, double max, double *ret,
                      char **ret_why)
{
	double number;
	char *end;

	/* strtod() also knows blanks, signs, "inf", "nan" and hexadecimal digits. */
	if (!*value || strspn(value, "0123456789.") != strlen(value))
		return refuse(ret_why, "--%s: \"%s\" is not a number", spec->name, value);
	number = strtod(value, &end);
	if (*end || end == value)
		return refuse(ret_why, "--%s: \"%s\" is not a number", spec->name, value);
	if (!(number <= max))
		return refuse(ret_why, "--%s: %s is not between 0 and %g", spec->name, value, max);
	*ret = number;
	return 0;
}

/* A daemon's working directory is "/", so a relative path must be made absolute now. */
int option_parse_path(const struct option_spec *spec, const char *value, char **ret, char **ret_why)
{
	char *path;

	if (!*value)
		return refuse(ret_why, "--%s: the path is empty", spec->name);
	if (*value == '/') {
		path = strdup(value);
	} else {
		_cleanup_free_ char *here = getcwd(NULL, 0);

		if (!here)
			return refuse(ret_why, "--%s: cannot tell the current directory: %s", spec->name,
			              strerror(errno));
		if (asprintf(&path, "%s/%s", here, value) < 0)
			path = NULL;
	}
	if (!path)
		return -ENOMEM;
	free(*ret);
	*ret = path;
	return 0;
}

int option_parse_text(const struct option_spec *spec, const char *value, char **ret, char **ret_why)
{
	char *copy;

	if (!*value)
		return refuse(ret_why, "--%s: the value is empty", spec->name);
	copy = strdup(value);
	if (!copy)
		return -ENOMEM;
	free(*ret);
	*ret = copy;
	return 0;
}

int option_parse_bpf_cache(const char *value, enum bpf_cache *ret, char **ret_why)
{
	if (!value || !strcmp(value, "require"))
		*ret = BPF_CACHE_REQUIRE;
	else if (!strcmp(value, "auto"))
		*ret = BPF_CACHE_AUTO;
	else if (!strcmp(value, "off"))
		*ret = BPF_CACHE_OFF;
	else
		return refuse(ret_why, "--bpf-cache: \"%s\" is not one of auto, require, off", value);
	return 0;
}

int option_parse_log_level(const char *value, int *ret, char **ret_why)
{
	int level = log_level_from_name(value);

	if (level < 0)
		return refuse(ret_why, "--log-level: \"%s\" is not one of error, warning, info, debug",
		              value);
	*ret = level;
	return 0;
}
