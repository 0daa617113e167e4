/* SPDX-License-Identifier: Apache-2.0 */
/* LD_PRELOAD: fsync(2) and its kind do nothing, for what is made only to be measured and can be made again.
 */
#include <sys/types.h>
#include <unistd.h>

int fsync(int fd)
{
	(void)fd;
	return 0;
}

int fdatasync(int fd)
{
	(void)fd;
	return 0;
}
