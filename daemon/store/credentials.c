/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/credentials.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "daemon/store/driver.h"

#define LINE_MAX_BYTES 8192

static void wipe_free(char *s)
{
	if (s)
		OPENSSL_cleanse(s, strlen(s));
	free(s);
}

void credentials_clear(struct credentials *c)
{
	wipe_free(c->access_key);
	wipe_free(c->secret_key);
	wipe_free(c->session_token);
	*c = (struct credentials){0};
}

static const char *profile_name(void)
{
	const char *name = getenv("AWS_PROFILE");

	return name && *name ? name : "default";
}

/** Open the file that @p variable names, or @p fallback below the home directory. */
static FILE *open_settings(const char *variable, const char *fallback)
{
	const char *path = getenv(variable), *home = getenv("HOME");
	_cleanup_free_ char *below_home = NULL;

	if (path && *path)
		return fopen(path, "re");
	if (!home || asprintf(&below_home, "%s/%s", home, fallback) < 0)
		return NULL;
	return fopen(below_home, "re");
}

/** Cut white space off both ends of @p s, in place. */
static char *trim(char *s)
{
	size_t n;

	s += strspn(s, " \t\r\n");
	n = strlen(s);
	while (n && strchr(" \t\r\n", s[n - 1]))
		s[--n] = 0;
	return s;
}

/** True if the line "[...]" opens the section of @p profile; config files write "[profile NAME]". */
static bool opens_profile(char *line, const char *profile)
{
	char *end = strchr(line, ']');
	char *name = line + 1;

	if (!end)
		return false;
	*end = 0;
	name = trim(name);
	if (!strncmp(name, "profile", 7) && (name[7] == ' ' || name[7] == '\t'))
		name = trim(name + 7);
	return !strcmp(name, profile);
}

/** The value of @p name in the profile's section of @p f, or NULL; an over-long line is skipped. */
static char *find_setting(FILE *f, const char *name)
{
	char line[LINE_MAX_BYTES];
	bool inside = false, continued = false;
	char *found = NULL;

	rewind(f);
	while (!found && fgets(line, sizeof(line), f)) {
		bool skip = continued;
		char *text, *value;

		continued = !strchr(line, '\n');
		/* An indented line belongs to a nested setting ("s3 ="), not to the profile itself. */
		if (skip || line[0] == ' ' || line[0] == '\t')
			continue;
		text = trim(line);
		if (!*text || *text == '#' || *text == ';')
			continue;
		if (*text == '[') {
			inside = opens_profile(text, profile_name());
			continue;
		}
		value = inside ? strchr(text, '=') : NULL;
		if (!value)
			continue;
		*value++ = 0;
		if (!strcmp(trim(text), name) && *trim(value))
			found = strdup(trim(value));
	}
	OPENSSL_cleanse(line, sizeof(line));
	return found;
}

static void from_environment(struct credentials *c)
{
	const char *access = getenv("AWS_ACCESS_KEY_ID"), *secret = getenv("AWS_SECRET_ACCESS_KEY");
	const char *token = getenv("AWS_SESSION_TOKEN");

	c->access_key = access && *access ? strdup(access) : NULL;
	c->secret_key = secret && *secret ? strdup(secret) : NULL;
	c->session_token = token && *token ? strdup(token) : NULL;
}

static void from_file(struct credentials *c, const char *variable, const char *fallback)
{
	_cleanup_fclose_ FILE *f = open_settings(variable, fallback);

	if (!f)
		return;
	c->access_key = find_setting(f, "aws_access_key_id");
	c->secret_key = find_setting(f, "aws_secret_access_key");
	c->session_token = find_setting(f, "aws_session_token");
}

/** What goes into HTTP headers must not end one. */
static bool printable(const char *s)
{
	for (; s && *s; s++) {
		if (*s <= ' ' || *s > '~')
			return false;
	}
	return true;
}

int credentials_load(struct credentials *ret, char **ret_why)
{
	struct credentials c = {0};

	from_environment(&c);
	if (!c.access_key && !c.secret_key) {
		credentials_clear(&c);
		from_file(&c, "AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials");
	}
	if (!c.access_key && !c.secret_key) {
		credentials_clear(&c);
		from_file(&c, "AWS_CONFIG_FILE", ".aws/config");
	}
	if (c.access_key && c.secret_key && printable(c.access_key) && printable(c.session_token)) {
		*ret = c;
		return 0;
	}
	if (c.access_key && c.secret_key) {
		credentials_clear(&c);
		return store_open_fail(-EINVAL, ret_why,
		                       "the S3 access key or session token has characters that no key has");
	}
	if (c.access_key || c.secret_key) {
		bool secret = c.access_key;

		credentials_clear(&c);
		return store_open_fail(-EINVAL, ret_why, "half of the S3 credentials: the %s is missing",
		                       secret ? "secret access key (AWS_SECRET_ACCESS_KEY)"
		                              : "access key id (AWS_ACCESS_KEY_ID)");
	}
	credentials_clear(&c);
	return store_open_fail(
		-EINVAL, ret_why,
		"no S3 credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or put a profile "
		"'%s' into ~/.aws/credentials (roles of containers and instances, SSO and "
		"credential_process are not supported)",
		profile_name());
}

void credentials_wipe_environment(void)
{
	static const char *const secrets[] = {"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"};

	for (size_t i = 0; i < ARRAY_SIZE(secrets); i++) {
		char *value = getenv(secrets[i]);

		/* In place: that is where /proc/PID/environ reads. */
		if (value)
			OPENSSL_cleanse(value, strlen(value));
		unsetenv(secrets[i]);
	}
}

char *credentials_setting(const char *name)
{
	_cleanup_fclose_ FILE *f = open_settings("AWS_CONFIG_FILE", ".aws/config");

	return f ? find_setting(f, name) : NULL;
}
