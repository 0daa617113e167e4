/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_MOUNTINFO_H
#define CURVEFS_MOUNTINFO_H

/**
 * Which device the curvefs mount at @p mountpoint (absolute, resolved) has, from the text of
 * /proc/self/mountinfo; of several the uppermost.
 * @return 0 or -ENOENT.
 */
int mountinfo_find_minor(const char *mountinfo, const char *mountpoint, unsigned *ret_minor);

#endif
