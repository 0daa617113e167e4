// SPDX-License-Identifier: Apache-2.0
#include "daemon/fs/tmpfile.h"

#include "daemon/fs/fs.h"

#include <linux/fuse.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static void pass_on(void *request, size_t size)
{
	const size_t name_at = sizeof(struct fuse_in_header) + sizeof(struct fuse_create_in);
	struct fuse_in_header *header = request;

	/* Without that name it would be an ordinary CREATE: left as it is, libfuse refuses it. */
	if (size < name_at + sizeof(FS_UNNAMED) || header->opcode != FUSE_TMPFILE ||
	    memcmp((char *)request + name_at, FS_UNNAMED, sizeof(FS_UNNAMED)) != 0)
		return;
	header->opcode = FUSE_CREATE;
}

static ssize_t read_request(int fd, void *buffer, size_t size, void *userdata)
{
	ssize_t n = read(fd, buffer, size);

	(void)userdata;
	if (n > 0)
		pass_on(buffer, (size_t)n);
	return n;
}

static ssize_t write_reply(int fd, struct iovec *iov, int count, void *userdata)
{
	(void)userdata;
	return writev(fd, iov, count);
}

int fs_pass_tmpfile(struct fuse_session *fuse)
{
	/* No splicing: fs_init() does not ask for it. */
	static const struct fuse_custom_io io = {.read = read_request, .writev = write_reply};

	return fuse_session_custom_io(fuse, &io, fuse_session_fd(fuse));
}
