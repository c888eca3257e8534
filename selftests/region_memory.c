// SPDX-License-Identifier: GPL-2.0
/*
 * The memory of a region: what it can be used for, that its size is fixed, who
 * pays for it, and that fewer rights stay fewer, whatever is tried.
 */
#include <sys/resource.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <linux/falloc.h>
#include <linux/udmabuf.h>

#include "region.h"

static void *map_fd(int fd, size_t size, int prot)
{
	return mmap(NULL, size, prot, MAP_SHARED, fd, 0);
}

/* Usable by all that takes a memfd. */
TEST_F(region, is_a_memfd)
{
	char buf[16];
	int fds[2], copy;
	struct stat st;
	char path[64];

	agree(RIGHTS_RW, 0);
	EXPECT_EQ(SEALS_SIZE, fcntl(self->mine, F_GET_SEALS));
	EXPECT_EQ(SEALS_SIZE, fcntl(self->theirs, F_GET_SEALS));
	ASSERT_EQ(0, fstat(self->theirs, &st));
	EXPECT_EQ((off_t)self->size, st.st_size);
	EXPECT_EQ(-1, ftruncate(self->theirs, 0));
	EXPECT_EQ(EPERM, errno);
	EXPECT_EQ(-1, ftruncate(self->mine, (off_t)self->size * 2));
	EXPECT_EQ(-1, fallocate(self->mine, 0, 0, (off_t)self->size * 2));
	EXPECT_EQ(-1, fcntl(self->mine, F_ADD_SEALS, F_SEAL_WRITE));

	ASSERT_EQ(5, pwrite(self->mine, "hello", 5, 100));
	ASSERT_EQ(5, pread(self->theirs, buf, 5, 100));
	EXPECT_EQ(0, memcmp(buf, "hello", 5));
	/* Each side has a position of its own. */
	ASSERT_EQ(100, lseek(self->mine, 100, SEEK_SET));
	EXPECT_EQ(0, lseek(self->theirs, 0, SEEK_CUR));

	ASSERT_EQ(0, pipe(fds));
	EXPECT_EQ(5, sendfile(fds[1], self->mine, NULL, 5));
	EXPECT_EQ(5, read(fds[0], buf, sizeof(buf)));
	EXPECT_EQ(0, memcmp(buf, "hello", 5));
	close(fds[0]);
	close(fds[1]);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->theirs);
	copy = open(path, O_RDWR | O_CLOEXEC);
	EXPECT_GE(copy, 0);
	close(copy);
}

/* All pages are there from the beginning. */
TEST_F(region, is_allocated)
{
	struct stat st;

	self->size = 64 * page_size();
	agree(RIGHTS_RW, 0);
	ASSERT_EQ(0, fstat(self->mine, &st));
	EXPECT_EQ((long)self->size / 512, st.st_blocks);
}

static void try_to_write(struct __test_metadata *_metadata, int session,
			 int fd, size_t size)
{
	struct iovec local, remote;
	char path[64];
	char byte = 'x';
	char *p, *q;
	int mem;

	EXPECT_EQ(MAP_FAILED, map_fd(fd, size, PROT_READ | PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(MAP_FAILED, map_fd(fd, size, PROT_WRITE));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, size, PROT_READ | PROT_EXEC,
				   MAP_SHARED, fd, 0));
	p = map_fd(fd, size, PROT_READ);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(-1, mprotect(p, size, PROT_READ | PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, mprotect(p, size, PROT_EXEC));
	/* By way of another page table. */
	EXPECT_EQ(-1, remap_file_pages(p, size, 0, 0, 0));
	q = mremap(p, size, size, MREMAP_MAYMOVE | MREMAP_FIXED,
		   map_pages(size, PROT_NONE));
	ASSERT_NE(MAP_FAILED, q);
	p = q;
	EXPECT_EQ(-1, mprotect(p, size, PROT_READ | PROT_WRITE));
	EXPECT_EQ(-1, madvise(p, size, MADV_REMOVE));
	EXPECT_EQ(-1, madvise(p, size, 23 /* MADV_POPULATE_WRITE */));

	/* As a debugger would. */
	mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	ASSERT_GE(mem, 0);
	EXPECT_EQ(-1, pwrite(mem, &byte, 1, (off_t)(uintptr_t)p));
	close(mem);
	local = (struct iovec){ &byte, 1 };
	remote = (struct iovec){ p, 1 };
	EXPECT_EQ(-1, process_vm_writev(getpid(), &local, 1, &remote, 1, 0));

	/* As a file. */
	EXPECT_EQ(-1, write(fd, &byte, 1));
	EXPECT_EQ(-1, pwrite(fd, &byte, 1, 0));
	EXPECT_EQ(-1, ftruncate(fd, 0));
	EXPECT_EQ(-1, fallocate(fd, FALLOC_FL_PUNCH_HOLE |
				FALLOC_FL_KEEP_SIZE, 0, (off_t)size));
	EXPECT_EQ(-1, fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	/* Whatever its mode becomes. */
	fchmod(fd, 0777);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	EXPECT_EQ(-1, open(path, O_RDWR | O_CLOEXEC));
	EXPECT_EQ(-1, open(path, O_RDONLY | O_CLOEXEC));

	/* By granting it to oneself. */
	EXPECT_EQ(-EPERM, rg_grant(session, fd, RIGHTS_RW));
	munmap(p, size);
}

/* What the peer was given for reading, by each route to writing. */
static void read_only(struct __test_metadata *_metadata, int session, int mine,
		      int fd, size_t size)
{
	char *w = map_fd(mine, size, PROT_READ | PROT_WRITE);
	int again, sock[2], passed;
	char *r;

	ASSERT_NE(MAP_FAILED, w);
	fill_pattern(w, size, 3);
	try_to_write(_metadata, session, fd, size);
	again = rg_grant(session, fd, RIGHTS_R);
	ASSERT_GE(again, 0);
	try_to_write(_metadata, session, again, size);
	close(again);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	ASSERT_EQ(1, pass_fd(sock[0], fd));
	passed = take_fd(sock[1]);
	ASSERT_GE(passed, 0);
	try_to_write(_metadata, session, passed, size);
	close(passed);
	close(sock[0]);
	close(sock[1]);

	/* Nothing of it has come through, and reading works. */
	EXPECT_TRUE(is_pattern(w, size, 3));
	r = map_fd(fd, size, PROT_READ);
	ASSERT_NE(MAP_FAILED, r);
	EXPECT_TRUE(is_pattern(r, size, 3));
	munmap(r, size);
	/* A private copy is nobody else's business. */
	r = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	ASSERT_NE(MAP_FAILED, r);
	r[0]++;
	EXPECT_TRUE(is_pattern(w, size, 3));
	munmap(r, size);
	munmap(w, size);
}

TEST_F(region, fewer_rights_stay_fewer)
{
	agree(RIGHTS_R, 0);
	read_only(_metadata, self->session, self->mine, self->theirs,
		  self->size);
}

TEST_F(region, fewer_rights_stay_fewer_solid)
{
	agree(RIGHTS_R, MBUF_OFFER_SOLID);
	read_only(_metadata, self->session, self->mine, self->theirs,
		  self->size);
}

/* Another user, to whom it is passed on, cannot either. */
struct other {
	int session, fd;
	size_t size;
	struct __test_metadata *metadata;
};

static int other_main(void *arg)
{
	struct other *o = arg;
	char path[64];
	void *p;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", o->fd);
	CHECK(open(path, O_RDWR) < 0);
	CHECK(map_fd(o->fd, o->size, PROT_READ | PROT_WRITE) == MAP_FAILED);
	p = map_fd(o->fd, o->size, PROT_READ);
	CHECK(p != MAP_FAILED);
	CHECK(mprotect(p, o->size, PROT_READ | PROT_WRITE));
	/* The mapping's file is behind a privilege. */
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx",
		 (unsigned long)p, (unsigned long)((uintptr_t)p + o->size));
	CHECK(open(path, O_RDWR) < 0);
	return 0;
}

TEST_F(region, fewer_rights_of_another_user)
{
	struct other o;

	NEED_ROOT();
	agree(RIGHTS_R, 0);
	o = (struct other){ .session = self->session, .fd = self->theirs,
			    .size = self->size };
	EXPECT_EQ(0, run_as(TEST_UID, other_main, &o));
}

TEST_F(region, udmabuf)
{
	struct udmabuf_create create = { .flags = UDMABUF_FLAGS_CLOEXEC };
	int dev = open("/dev/udmabuf", O_RDWR | O_CLOEXEC), fd, ro;
	char *w, *d;

	if (dev < 0)
		SKIP(return, "no /dev/udmabuf: %s", strerror(errno));
	agree(RIGHTS_RW, 0);
	ro = rg_grant(self->session, self->mine, RIGHTS_R);
	ASSERT_GE(ro, 0);
	create.size = self->size;
	create.memfd = (uint32_t)ro;
	EXPECT_EQ(-1, ioctl(dev, UDMABUF_CREATE, &create));
	create.memfd = (uint32_t)self->theirs;
	fd = ioctl(dev, UDMABUF_CREATE, &create);
	EXPECT_GE(fd, 0);
	if (fd >= 0) {
		w = map_fd(self->mine, self->size, PROT_READ | PROT_WRITE);
		ASSERT_NE(MAP_FAILED, w);
		fill_pattern(w, self->size, 8);
		d = map_fd(fd, self->size, PROT_READ);
		ASSERT_NE(MAP_FAILED, d);
		EXPECT_TRUE(is_pattern(d, self->size, 8));
		munmap(d, self->size);
		munmap(w, self->size);
		close(fd);
	}
	close(ro);
	close(dev);
}

/* Nobody can take pages back out of a solid region. */
TEST_F(region, solid)
{
	struct mbuf_region_info info;
	char byte;
	char *x, *y;

	agree(RIGHTS_RW, MBUF_OFFER_SOLID);
	ASSERT_EQ(0, rg_info(self->mine, &info));
	EXPECT_EQ(self->size, info.size);
	EXPECT_EQ(RIGHTS_RW, info.rights);
	EXPECT_EQ(MBUF_OFFER_SOLID, info.options);
	EXPECT_NE(0, info.id);
	x = map_fd(self->mine, self->size, PROT_READ | PROT_WRITE);
	y = map_fd(self->theirs, self->size, PROT_READ | PROT_WRITE);
	ASSERT_NE(MAP_FAILED, x);
	ASSERT_NE(MAP_FAILED, y);
	fill_pattern(x, self->size, 1);
	EXPECT_TRUE(is_pattern(y, self->size, 1));
	y[5] = 77;
	EXPECT_EQ(77, x[5]);
	fill_pattern(y, self->size, 2);

	EXPECT_EQ(-1, madvise(x, self->size, MADV_REMOVE));
	EXPECT_EQ(-1, madvise(y, self->size, MADV_REMOVE));
	EXPECT_EQ(-1, fallocate(self->theirs, FALLOC_FL_PUNCH_HOLE |
				FALLOC_FL_KEEP_SIZE, 0, (off_t)self->size));
	EXPECT_EQ(-1, ftruncate(self->theirs, 0));
	EXPECT_EQ(0, madvise(x, self->size, MADV_DONTNEED));
	EXPECT_TRUE(is_pattern(x, self->size, 2));
	/* Rights can be put down and taken up again. */
	EXPECT_EQ(0, mprotect(y, self->size, PROT_READ));
	EXPECT_EQ(0, mprotect(y, self->size, PROT_READ | PROT_WRITE));
	y[0]++;
	EXPECT_FALSE(is_pattern(x, self->size, 2));
	/* It is no memfd. */
	EXPECT_EQ(-1, fcntl(self->theirs, F_GET_SEALS));
	EXPECT_EQ(-1, pread(self->theirs, &byte, 1, 0));
	munmap(x, self->size);
	munmap(y, self->size);
}

TEST_F(region, grants)
{
	struct mbuf_region_info info, other;
	int fd, again;

	agree(RIGHTS_RW, MBUF_OFFER_SOLID);
	fd = rg_grant(self->session, self->theirs, RIGHTS_RW);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, rg_info(self->theirs, &info));
	ASSERT_EQ(0, rg_info(fd, &other));
	EXPECT_EQ(info.id, other.id);
	EXPECT_EQ(RIGHTS_RW, other.rights);
	close(fd);
	fd = rg_grant(self->session, self->theirs, RIGHTS_R);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, rg_info(fd, &other));
	EXPECT_EQ(RIGHTS_R, other.rights);
	again = rg_grant(self->session, fd, RIGHTS_R);
	EXPECT_GE(again, 0);
	EXPECT_EQ(-EPERM, rg_grant(self->session, fd, RIGHTS_RW));
	close(fd);
	close(again);

	EXPECT_EQ(-EINVAL, rg_grant(self->session, self->mine, 0));
	EXPECT_EQ(-EINVAL, rg_grant(self->session, self->mine,
				    MBUF_REGION_WRITE));
	EXPECT_EQ(-EINVAL, rg_grant(self->session, self->mine, 5));
	EXPECT_EQ(-EBADF, rg_grant(self->session, -1, RIGHTS_R));
	EXPECT_EQ(-ENOTTY, rg_grant(self->session, self->session, RIGHTS_R));
	EXPECT_EQ(-ENOTTY, rg_grant(self->session, self->a, RIGHTS_R));
}

/* Of any memfd of fixed size; of no other. */
TEST_F(region, grants_of_a_memfd)
{
	size_t size = 2 * page_size();
	int fd, ro, plain;
	char *p;

	fd = sealed_memfd(size, 0);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(-EPERM, rg_grant(self->session, fd, RIGHTS_R));
	ASSERT_EQ(0, fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
	EXPECT_EQ(-EPERM, rg_grant(self->session, fd, RIGHTS_R));
	ASSERT_EQ(0, fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
	EXPECT_EQ(-EPERM, rg_grant(self->session, fd, RIGHTS_RW));
	ro = rg_grant(self->session, fd, RIGHTS_R);
	ASSERT_GE(ro, 0);
	p = map_fd(ro, size, PROT_READ);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(2, pwrite(fd, "ok", 2, (off_t)page_size()));
	EXPECT_EQ(0, memcmp(p + page_size(), "ok", 2));
	munmap(p, size);
	try_to_write(_metadata, self->session, ro, size);
	close(ro);
	close(fd);

	plain = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	ASSERT_GE(plain, 0);
	fd = rg_grant(self->session, plain, RIGHTS_R);
	EXPECT_TRUE(fd == -ENOTTY || fd == -EPERM);
	close(plain);
}

/* The offering side brings the memory. */
TEST_F(region, brought)
{
	size_t size = 2 * page_size();
	struct mbuf_offer o = offer_of(2, RIGHTS_RW, MBUF_OFFER_MEMFD);
	int fd, weak;

	o.memory.fd = -1;
	EXPECT_EQ(-EBADF, rg_offer(self->a, &o));
	o.memory.fd = self->session;
	EXPECT_EQ(-EPERM, rg_offer(self->a, &o));
	weak = sealed_memfd(size, F_SEAL_SHRINK | F_SEAL_GROW);
	ASSERT_GE(weak, 0);
	o.memory.fd = weak;
	EXPECT_EQ(-EPERM, rg_offer(self->a, &o));
	close(weak);
	weak = sealed_memfd(size, SEALS_SIZE | F_SEAL_WRITE);
	ASSERT_GE(weak, 0);
	o.memory.fd = weak;
	EXPECT_EQ(-EPERM, rg_offer(self->a, &o));
	close(weak);
	fd = sealed_memfd(size, SEALS_SIZE);
	ASSERT_GE(fd, 0);
	o.memory.fd = fd;
	o.max += page_size();
	EXPECT_EQ(-EINVAL, rg_offer(self->a, &o));
	o.max -= page_size();
	ASSERT_EQ(0, rg_agree(self->a, self->b, &o, RIGHTS_R, &self->mine,
			      &self->theirs));
	ASSERT_EQ(2, pwrite(fd, "hi", 2, 0));
	close(fd);
	try_to_write(_metadata, self->session, self->theirs, size);
	EXPECT_EQ(2, pwrite(self->mine, "ho", 2, 0));
}

TEST_F(region, of_huge_pages)
{
	const size_t huge = 2u << 20;
	struct mbuf_offer o = {
		.min = huge, .wanted = huge, .max = huge,
		.rights = RIGHTS_RW, .options = MBUF_OFFER_MEMFD,
	};
	char text[32] = "0";
	char *p;
	int fd;

	NEED_ROOT();
	if (!read_file("/proc/sys/vm/nr_hugepages", text, sizeof(text)))
		SKIP(return, "no huge pages in this kernel");
	if (!write_file("/proc/sys/vm/nr_hugepages", "%d", atoi(text) + 2))
		SKIP(return, "cannot reserve huge pages");
	fd = memfd_create("huge", MFD_CLOEXEC | MFD_ALLOW_SEALING |
			  MFD_HUGETLB);
	if (fd < 0 || ftruncate(fd, (off_t)huge) ||
	    fcntl(fd, F_ADD_SEALS, SEALS_SIZE)) {
		close(fd);
		write_file("/proc/sys/vm/nr_hugepages", "%s", text);
		SKIP(return, "no memfd of huge pages: %s", strerror(errno));
	}
	o.memory.fd = fd;
	/* Reading alone cannot be had of these. */
	o.rights = RIGHTS_R;
	EXPECT_EQ(-EPERM, rg_offer(self->a, &o));
	EXPECT_EQ(-EPERM, rg_grant(self->session, fd, RIGHTS_R));
	o.rights = RIGHTS_RW;
	EXPECT_EQ(0, rg_agree(self->a, self->b, &o, RIGHTS_RW, &self->mine,
			      &self->theirs));
	p = map_fd(self->theirs, huge, PROT_READ | PROT_WRITE);
	EXPECT_NE(MAP_FAILED, p);
	if (p != MAP_FAILED) {
		p[huge - 1] = 'x';
		munmap(p, huge);
	}
	close(fd);
	close_fd(&self->mine);
	close_fd(&self->theirs);
	write_file("/proc/sys/vm/nr_hugepages", "%s", text);
}

/* Where asked. */
TEST_F(region, at_a_wanted_address)
{
	char *room, *p;

	agree(RIGHTS_RW, 0);
	room = map_pages(self->size, PROT_NONE);
	ASSERT_NE(MAP_FAILED, room);
	p = mmap(room, self->size, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED, self->theirs, 0);
	EXPECT_EQ(room, p);
	p[0] = 1;
	munmap(room, self->size);
	p = mmap(room, self->size, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE,
		 self->mine, 0);
	EXPECT_EQ(room, p);
	EXPECT_EQ(1, p[0]);
	munmap(room, self->size);
}

/* Memory cgroups: who offers pays, and a lack of memory is an error of TAKE. */
struct poor {
	int a;
	char group[64];
	size_t size;
};

static int poor_main(void *arg)
{
	struct poor *p = arg;
	struct mbuf_offer o = {
		.min = p->size, .wanted = p->size, .max = p->size,
		.rights = RIGHTS_RW,
	};
	char procs[96];

	snprintf(procs, sizeof(procs), "%s/cgroup.procs", p->group);
	CHECK(write_file(procs, "%d", getpid()));
	CHECK_EQ(0, rg_offer(p->a, &o));
	return 0;
}

TEST_F(region, who_offers_pays)
{
	struct poor p = { .a = self->a };
	char path[96], text[64];
	struct mbuf_offered seen;
	struct mbuf_answer answer;
	long before, after;
	pid_t pid;

	NEED_ROOT();
	mkdir("/tmp/cg", 0755);
	if (mount("none", "/tmp/cg", "cgroup2", 0, NULL) && errno != EBUSY)
		SKIP(return, "no cgroup2: %s", strerror(errno));
	if (!write_file("/tmp/cg/cgroup.subtree_control", "+memory")) {
		umount("/tmp/cg");
		SKIP(return, "no memory controller");
	}
	strcpy(p.group, "/tmp/cg/poor");
	ASSERT_EQ(0, mkdir(p.group, 0755));
	ASSERT_TRUE(write_file("/tmp/cg/poor/memory.max", "%d", 8 << 20));

	/* More than it has. Nobody is killed for it, and the offer stays. */
	p.size = 32u << 20;
	pid = spawn(poor_main, &p);
	ASSERT_GT(pid, 0);
	ASSERT_EQ(0, reap(pid));
	ASSERT_EQ(0, rg_offered(self->b, &seen, MBUF_NOW));
	EXPECT_EQ(-ENOMEM, rg_take(self->b, seen.id));
	ASSERT_EQ(0, rg_offered(self->b, &seen, MBUF_NOW));
	ASSERT_EQ(0, rg_reject(self->b, seen.id, 0));
	ASSERT_EQ(0, rg_answer(self->a, seen.id, &answer, MBUF_NOW));

	/* What it has is taken from it, and not from who takes. */
	p.size = 4u << 20;
	pid = spawn(poor_main, &p);
	ASSERT_GT(pid, 0);
	ASSERT_EQ(0, reap(pid));
	snprintf(path, sizeof(path), "%s/memory.current", p.group);
	ASSERT_TRUE(read_file(path, text, sizeof(text)));
	before = strtol(text, NULL, 10);
	ASSERT_EQ(0, rg_offered(self->b, &seen, MBUF_NOW));
	self->theirs = rg_take(self->b, seen.id);
	ASSERT_GE(self->theirs, 0);
	ASSERT_TRUE(read_file(path, text, sizeof(text)));
	after = strtol(text, NULL, 10);
	EXPECT_GE(after - before, 4 << 20);
	close_fd(&self->theirs);
	close_fd(&self->a);
	EXPECT_TRUE(EVENTUALLY(!rmdir(p.group)));
	umount("/tmp/cg");
}

TEST_HARNESS_MAIN
