/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_COMMON_TEXT_H
#define CURVEFS_COMMON_TEXT_H

/*
 * File names are bytes; terminals and JSON want text.  The one way between the
 * two: UTF-8 stays as it is, a backslash is doubled, control characters and
 * bytes that are not UTF-8 become \xHH.  So a name can be shown without harm, and
 * read back exactly.
 */

/** @return the text for @p bytes (free it), or NULL without memory. */
char *text_escape(const char *bytes);

/** The bytes of @p text. @return 0; -EINVAL: an unknown escape, or a NUL in the name; -ENOMEM. */
int text_unescape(const char *text, char **ret_bytes);

#endif
