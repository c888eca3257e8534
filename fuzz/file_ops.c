// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What can be done with any descriptor: reading and writing in all forms,
 * duplicating, closing, passing on, and what makes no sense for a queue.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "fuzz.h"

static const uint64_t len_vals[] = {
	1, 2, 3, 7, 8, 8, 8, 8, 8, 8, 9, 16, 32, 60, 63, 64, 64, 64, 64, 64, 65,
	255, 256, 257, 300, 1000, 4095, 4096, 4096, 4096, 4097, 4097, 8192,
	8192, 65536, 1 << 20, 16 << 20, 0x7fffffff, 0, 0,
};

#define LEN_ARG { .name = "len", .type = A_NUM, VALS(len_vals), .max = 300 }
#define BUF_ARG { .name = "buf", .type = A_PTR }

static const struct arg_spec read_args[] = {
	{ .name = "on", .type = A_FD, .kinds = K_RECV | K_END },
	BUF_ARG, LEN_ARG,
};

static const struct arg_spec write_args[] = {
	{ .name = "on", .type = A_FD, .kinds = K_SEND | K_END },
	BUF_ARG, LEN_ARG,
};

static long op_read(struct ctx *c, const struct value *arg)
{
	int fd = slot_fd(arg[0].n);
	long ret;

	may_wait(c, arg[0].n, WAIT_RECV);
	ret = ret_of(syscall(SYS_read, fd, value_of(&arg[1]), arg[2].n));
	if (ret > 0 && (uint64_t)ret > arg[2].n)
		complain("read of %llu bytes returned %ld",
			 (unsigned long long)arg[2].n, ret);
	return ret;
}

static long op_write(struct ctx *c, const struct value *arg)
{
	int fd = slot_fd(arg[0].n);
	long ret;

	may_wait(c, arg[0].n, WAIT_SEND);
	ret = ret_of(syscall(SYS_write, fd, value_of(&arg[1]), arg[2].n));
	if (ret >= 0 && (uint64_t)ret != arg[2].n)
		complain("write of %llu bytes returned %ld",
			 (unsigned long long)arg[2].n, ret);
	return ret;
}

static const int read_errors[] = {
	EBADF, EAGAIN, EINTR, EMSGSIZE, EBADMSG, EFAULT, EINVAL, ENOMEM,
	/* endpoints */
	EBUSY, EPERM, ENOTCONN, ECONNREFUSED, 0
};

static const int write_errors[] = {
	EBADF, EAGAIN, EINTR, EMSGSIZE, EPIPE, ENOBUFS, EDQUOT, EFAULT, EINVAL,
	ENOMEM,
	/* endpoints */
	EPERM, ENOTCONN, ECONNREFUSED, 0
};

/* Vectors: @nr pieces of @len bytes, @step apart. */
static const uint64_t nr_vals[] = { 1, 1, 2, 2, 2, 3, 8, 64, 0, 1025 };
static const uint64_t step_vals[] = { 0, 8, 64, 1000, 4096, 4096 };
static const uint64_t rwf_vals[] = { 1, 2, 4, 8, 8, 16, 32 };

enum { V_ON, V_BUF, V_LEN, V_NR, V_STEP, V_RWF };

#define VEC_ARGS(_kinds)						\
	[V_ON] = { .name = "on", .type = A_FD, .kinds = (_kinds) },	\
	[V_BUF] = BUF_ARG,						\
	[V_LEN] = LEN_ARG,						\
	[V_NR] = { .name = "nr", .type = A_NUM, VALS(nr_vals) },	\
	[V_STEP] = { .name = "step", .type = A_NUM, VALS(step_vals) },	\
	[V_RWF] = { .name = "rwf", .type = A_FLAGS, VALS(rwf_vals),	\
		    .rare = 30 }

static const struct arg_spec readv_args[] = { VEC_ARGS(K_RECV | K_END) };
static const struct arg_spec writev_args[] = { VEC_ARGS(K_SEND | K_END) };

static long vec_call(struct ctx *c, const struct value *arg, bool send)
{
	struct iovec *iov = c->args;
	const size_t room = ARGS_SIZE / sizeof(*iov);
	uint64_t addr = value_of(&arg[V_BUF]);
	size_t i, nr = arg[V_NR].n;
	long ret;

	for (i = 0; i < nr && i < room; i++) {
		iov[i].iov_base = (void *)(uintptr_t)(addr + i * arg[V_STEP].n);
		iov[i].iov_len = arg[V_LEN].n;
	}
	may_wait(c, arg[V_ON].n, send ? WAIT_SEND : WAIT_RECV);
	/* Position -1: the form without one, but with flags. */
	ret = syscall(send ? SYS_pwritev2 : SYS_preadv2, slot_fd(arg[V_ON].n),
		      iov, nr, -1L, -1L, arg[V_RWF].n);
	return ret_of(ret);
}

static long op_readv(struct ctx *c, const struct value *arg)
{
	return vec_call(c, arg, false);
}

static long op_writev(struct ctx *c, const struct value *arg)
{
	return vec_call(c, arg, true);
}

/* What makes no sense, but should only say so. */
static const char *const odd_names[] = {
	"pread", "pwrite", "lseek", "mmap", "ftruncate", "fsync", "fallocate",
	"splice-in", "splice-out", "fstat", "readahead", "getdents", "getxattr",
	"sync-range", "fadvise", "flock", "copy-range", "tee", NULL
};

static const uint64_t n_vals[] = { 0, 1, 8, 4096, 0x7fffffffffffffff,
				   0xffffffffffffffff };

static const struct arg_spec odd_args[] = {
	{ .name = "on", .type = A_FD, .kinds = K_MBUF },
	{ .name = "what", .type = A_NAME, .names = odd_names, .max = 17 },
	BUF_ARG,
	LEN_ARG,
	{ .name = "n", .type = A_NUM, VALS(n_vals) },
};

static long splice_odd(int fd, bool in, size_t len)
{
	int pipefd[2];
	long ret;

	if (pipe2(pipefd, O_CLOEXEC | O_NONBLOCK) < 0)
		return ret_of(-1);
	if (!in && write(pipefd[1], "12345678", 8) != 8)
		len = 0;
	ret = in ? splice(fd, NULL, pipefd[1], NULL, len, SPLICE_F_NONBLOCK) :
		   splice(pipefd[0], NULL, fd, NULL, len, SPLICE_F_NONBLOCK);
	ret = ret_of(ret);
	close(pipefd[0]);
	close(pipefd[1]);
	return ret;
}

/* Some objects can be mapped: op_map() does that in earnest. */
static bool may_be_mapped(int fd)
{
	char path[40], name[64] = "";

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return readlink(path, name, sizeof(name) - 1) > 0 &&
	       !strstr(name, "mbuf-queue") && !strstr(name, "/dev/mbuf") &&
	       !strstr(name, "mbuf-listener");
}

static long op_odd(struct ctx *c, const struct value *arg)
{
	int fd = slot_fd(arg[0].n);
	uint64_t buf = value_of(&arg[2]);
	size_t len = arg[3].n;
	off_t n = arg[4].n;
	void *map;

	switch (arg[1].n) {
	case 0:
		return ret_of(syscall(SYS_pread64, fd, buf, len, n));
	case 1:
		return ret_of(syscall(SYS_pwrite64, fd, buf, len, n));
	case 2:
		return ret_of(lseek(fd, n, len % 6));
	case 3:
		map = mmap(NULL, len, PROT_READ | PROT_WRITE,
			   len % 2 ? MAP_SHARED : MAP_PRIVATE, fd, n & ~4095L);
		if (map == MAP_FAILED)
			return ret_of(-1);
		if (!may_be_mapped(fd))
			complain("a session, queue or listener can be mapped");
		munmap(map, len);
		return 0;
	case 4:
		return ret_of(ftruncate(fd, n));
	case 5:
		return ret_of(fsync(fd));
	case 6:
		return ret_of(fallocate(fd, len % 4, 0, n));
	case 7:
	case 8:
		return splice_odd(fd, arg[1].n == 7, len);
	case 9:
		return ret_of(fstat(fd, c->args));
	case 10:
		return ret_of(readahead(fd, n, len));
	case 11:
		return ret_of(syscall(SYS_getdents64, fd, buf, len));
	case 12:
		return ret_of(fgetxattr(fd, "user.x", c->args, len % 100));
	case 13:
		return ret_of(syscall(SYS_sync_file_range, fd, 0, n, 7));
	case 14:
		return posix_fadvise(fd, 0, n, len % 6) ? -EINVAL : 0;
	case 15:
		return ret_of(syscall(SYS_flock, fd, 8));
	case 16:
		return ret_of(syscall(SYS_copy_file_range, fd, NULL, fd, NULL,
				      len, 0));
	case 17:
		return ret_of(tee(fd, fd, len, SPLICE_F_NONBLOCK));
	}
	return -ENOSYS;
}

/* Descriptors ------------------------------------------------------------- */

static const struct arg_spec dup_args[] = {
	{ .name = "on", .type = A_FD, .kinds = K_MBUF },
	{ .name = "out", .type = A_OUT, .kinds = K_SAME },
};

static long op_dup(struct ctx *c, const struct value *arg)
{
	int fd = fcntl(slot_fd(arg[0].n), F_DUPFD_CLOEXEC, 0);

	(void)c;
	if (fd < 0)
		return ret_of(-1);
	slot_set(arg[1].n, fd);
	return fd;
}

static const struct arg_spec dup2_args[] = {
	{ .name = "on", .type = A_FD, .kinds = K_MBUF },
	{ .name = "over", .type = A_FD, .kinds = K_MBUF },
};

static long op_dup2(struct ctx *c, const struct value *arg)
{
	int over = slot_fd(arg[1].n);

	(void)c;
	/* Only one of ours is worth being closed. */
	if (over < 0)
		return -EBADF;
	return ret_of(dup2(slot_fd(arg[0].n), over));
}

static const struct arg_spec close_args[] = {
	{ .name = "on", .type = A_FD, .kinds = K_MBUF | K_EPOLL | K_UFFD |
					       K_URING | K_MEMFD | K_DRIVER |
					       K_NETLINK },
};

static long op_close(struct ctx *c, const struct value *arg)
{
	int fd = slot_take(arg[0].n);

	(void)c;
	return fd < 0 ? -EBADF : ret_of(close(fd));
}

static const char *const fcntl_names[] = {
	"getfl", "setfl", "setown", "setsig", "setfd", "setlease", "seals",
	"pipe-size", "notify", NULL
};

static const uint64_t fl_vals[] = {
	0, O_NONBLOCK, O_NONBLOCK, O_NONBLOCK, O_ASYNC, O_APPEND, O_DIRECT,
};

static const struct arg_spec fcntl_args[] = {
	{ .name = "on", .type = A_FD, .kinds = K_MBUF },
	{ .name = "cmd", .type = A_NAME, .names = fcntl_names,
	  .def = { V_NUM, 1 }, .max = 8, .rare = 30 },
	{ .name = "flags", .type = A_FLAGS, VALS(fl_vals) },
};

static long op_fcntl(struct ctx *c, const struct value *arg)
{
	static const int cmds[] = {
		F_GETFL, F_SETFL, F_SETOWN, F_SETSIG, F_SETFD, F_SETLEASE,
		F_ADD_SEALS, F_SETPIPE_SZ, F_NOTIFY
	};
	unsigned int cmd = arg[1].n % NELEMS(cmds);
	long value = arg[2].n;

	(void)c;
	if (cmds[cmd] == F_SETOWN)
		value = getpid();
	else if (cmds[cmd] == F_SETSIG)
		value = 0;
	return ret_of(fcntl(slot_fd(arg[0].n), cmds[cmd], value));
}

static const struct arg_spec fdinfo_args[] = {
	{ .name = "on", .type = A_FD, .kinds = K_MBUF },
};

static long op_fdinfo(struct ctx *c, const struct value *arg)
{
	char path[40], *text = c->args;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d",
		 slot_fd(arg[0].n));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return ret_of(-1);
	n = ret_of(read(fd, text, ARGS_SIZE - 1));
	close(fd);
	return n;
}

/* Passing on -------------------------------------------------------------- */

static const struct arg_spec pass_args[] = {
	{ .name = "on", .type = A_FD, .kinds = K_MBUF },
	{ .name = "to", .type = A_WORKER },
};

static long op_pass(struct ctx *c, const struct value *arg)
{
	int fd = slot_fd(arg[0].n);
	char cbuf[CMSG_SPACE(sizeof(fd))] __attribute__((aligned(8))) = { 0 };
	struct iovec iov = { .iov_base = (void *)"d", .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = cbuf, .msg_controllen = sizeof(cbuf),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	(void)c;
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	return ret_of(sendmsg(mailbox(arg[1].n, false), &msg,
			      MSG_DONTWAIT | MSG_NOSIGNAL));
}

static const struct arg_spec fetch_args[] = {
	{ .name = "out", .type = A_OUT, .kinds = K_QUEUE | K_END },
};

static long op_fetch(struct ctx *c, const struct value *arg)
{
	int fd = -1;
	char cbuf[CMSG_SPACE(sizeof(fd))] __attribute__((aligned(8)));
	char data;
	struct iovec iov = { .iov_base = &data, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = cbuf, .msg_controllen = sizeof(cbuf),
	};
	struct cmsghdr *cmsg;

	if (c->worker == SETUP)
		return -EAGAIN;
	if (recvmsg(mailbox(c->worker, true), &msg,
		    MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0)
		return ret_of(-1);
	cmsg = CMSG_FIRSTHDR(&msg);
	if (!cmsg || cmsg->cmsg_type != SCM_RIGHTS)
		return -ENODATA;
	memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
	slot_set(arg[0].n, fd);
	return fd;
}

const struct op file_ops[] = {
	OP(read, 25, OP_ERRORS, read_args, .errors = read_errors),
	OP(write, 25, OP_ERRORS, write_args, .errors = write_errors),
	OP(readv, 12, 0, readv_args),
	OP(writev, 12, 0, writev_args),
	OP(odd, 6, 0, odd_args),
	OP(dup, 10, OP_SETUP, dup_args),
	OP(dup2, 4, OP_CLOSES, dup2_args),
	OP(close, 30, OP_CLOSES, close_args),
	OP(fcntl, 8, OP_SETUP, fcntl_args),
	OP(fdinfo, 6, 0, fdinfo_args),
	OP(pass, 10, 0, pass_args),
	OP(fetch, 10, 0, fetch_args),
	{ .name = NULL },
};
