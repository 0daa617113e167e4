/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_STORE_CREDENTIALS_H
#define CURVEFS_STORE_CREDENTIALS_H

/*
 * Who we are to S3.  Looked for in this order; the first that has an access key wins:
 *
 *  1. AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if set, AWS_SESSION_TOKEN
 *  2. profile AWS_PROFILE (or "default") of AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials)
 *  3. the same profile of AWS_CONFIG_FILE (~/.aws/config)
 *
 * Roles of containers and instances, SSO and credential_process are not supported.
 * The files are read once: who uses short-lived keys mounts again when they expire.
 */

/** Strings are owned; session_token is NULL if there is none. Never to be logged. */
struct credentials {
	char *access_key, *secret_key, *session_token;
};

/**
 * @return 0, or -EINVAL (none found, or half of one), -ENOMEM; then *ret_why (free it) has the
 * sentence for people.
 */
int credentials_load(struct credentials *ret, char **ret_why);

/**
 * Overwrite and unset the secrets in the environment, where /proc and children would find them. Then nothing
 * can be loaded from there any more. Only while no other thread uses the environment.
 */
void credentials_wipe_environment(void);

/** Wipe and free what @p c holds. */
void credentials_clear(struct credentials *c);

/**
 * The setting @p name ("region", "endpoint_url") of the profile in AWS_CONFIG_FILE. @return a
 * string to free, or NULL.
 */
char *credentials_setting(const char *name);

#endif
