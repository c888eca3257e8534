// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The stacks of threads, shared and kept apart; see mbuf_stack.h.
 *
 * Of each key of the CPU that a stack has, this keeps what the thread on that
 * stack is allowed to, granted[], and what it may have in its register,
 * applied[], both in the register's form: two bits for each key. A thread says
 * what it is about to write to its register before it does, and looks again
 * whether that is what it is still allowed to. Who takes a key out of use
 * first changes what is allowed and then looks at what is said. So either the
 * thread sees the change, or it is seen to have the key, and that is not used
 * again before it has given it up.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE	/* memfd_create(), pkey_alloc() and so on */
#endif
#include <alloca.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mbuf_stack.h>
#include "internal.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE	0x100000
#endif

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL	0x8U
#endif

#define RIGHTS		(MBUF_REGION_READ | MBUF_REGION_WRITE)

/*
 * What lies above the memory that is shared: the C library's data on the thread,
 * and the frames that lead to mbuf_stack_run(). The C library links that data
 * with that of other threads, and changes it in a child after fork(): so it is
 * private, and there in the child as well.
 */
#define HEAD_SIZE	((size_t)64 << 10)

/* Room for a signal handler, and for the state of large CPUs. */
#define ALT_SIZE	((size_t)64 << 10)

/**
 * struct mbuf_stack - a stack
 * @addr: lowest address; the page below is a guard
 * @size: bytes that are shared; HEAD_SIZE more are above
 * @fd: the memory
 * @key: of the CPU, or 0
 * @running: a thread has called mbuf_stack_run(); the lock
 * @views: mapped with @key; the lock
 * @alt: where its thread's signal handlers run, if that was provided here
 */
struct mbuf_stack {
	char *addr;
	size_t size;
	int fd;
	int key;
	bool running;
	unsigned int views;
	void *alt;
};

/* Of all below but granted and applied, which have rules of their own. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define KEYS		16
#define KEY_ALL		3U	/* both bits of a key: neither read nor write */
#define KEY_BITS(key, bits)	((uint32_t)(bits) << (2 * (unsigned int)(key)))

/* Which of the register's bits are about keys of stacks; written under lock. */
static _Atomic uint32_t ours;
/* What a key's thread is allowed to; written under lock. */
static _Atomic uint32_t granted[KEYS];
/* What it may have in its register; written by itself, and when it has ended. */
static _Atomic uint32_t applied[KEYS];
/* Keys that no stack has any more, but perhaps a register; under lock. */
static uint32_t limbo;

/*
 * The stack that this thread runs on. At a fixed place, as it is looked at in
 * mbuf_reach_update(): it is small enough for libraries that are loaded late.
 */
static _Thread_local struct mbuf_stack *self
	__attribute__((tls_model("initial-exec")));

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/* ---- the register --------------------------------------------------------- */

#if defined(__x86_64__) || defined(__i386__)

#include <cpuid.h>

static const char *keys_missing(void)
{
	unsigned int a, b, c, d;

	if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(c & 1U << 3))
		return "this CPU has no memory protection keys";
	if (!(c & 1U << 4))
		return "the kernel does not use the CPU's memory protection keys";
	/* All that there are have it, but some that are emulated. */
	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & 1U << 27))
		return "this CPU loses protection keys with a signal: no XSAVE";
	return "";
}

static inline uint32_t register_get(void)
{
	uint32_t value, zero;

	__asm__ volatile("rdpkru" : "=a"(value), "=d"(zero) : "c"(0));
	return value;
}

/* What is read or written before or after it stays there. */
static inline void register_set(uint32_t value)
{
	__asm__ volatile("wrpkru" : : "a"(value), "c"(0), "d"(0) : "memory");
}

#else

static const char *keys_missing(void)
{
	return "memory protection keys are used on x86 only";
}

static inline uint32_t register_get(void)
{
	return 0;
}

static inline void register_set(uint32_t value)
{
	(void)value;
}

#endif

int mbuf_reach(const char **why)
{
	const char *missing = keys_missing();

	if (why)
		*why = missing;
	return *missing ? -ENOTSUP : 0;
}

/* ---- keys ----------------------------------------------------------------- */

/* Give up @key, unless a thread may have access by it. Under lock. */
static bool key_release(int key)
{
	int i;

	for (i = 1; i < KEYS; i++) {
		if (i != key && atomic_load(&ours) & KEY_BITS(i, KEY_ALL) &&
		    ~atomic_load(&applied[i]) & KEY_BITS(key, 1))
			return false;
	}
	atomic_fetch_and(&ours, ~KEY_BITS(key, KEY_ALL));
	pkey_free(key);
	return true;
}

static void limbo_empty(void)
{
	int key;

	for (key = 1; key < KEYS; key++) {
		if (limbo & 1U << key && key_release(key))
			limbo &= ~(1U << key);
	}
}

/* A key that no thread has access by; or -errno. Under lock. */
static int key_get(void)
{
	int key;

	limbo_empty();
	key = pkey_alloc(0, PKEY_DISABLE_ACCESS);
	if (key < 0)
		return -errno;
	if (key >= KEYS) {
		pkey_free(key);
		return -ENOSPC;
	}
	atomic_store(&granted[key], UINT32_MAX & ~KEY_BITS(key, KEY_ALL));
	atomic_store(&applied[key], UINT32_MAX);
	atomic_fetch_or(&ours, KEY_BITS(key, KEY_ALL));
	return key;
}

/* No thread runs on its stack any more. Under lock. */
static void key_put(int key)
{
	int i;

	for (i = 1; i < KEYS; i++)
		atomic_fetch_or(&granted[i], KEY_BITS(key, KEY_ALL));
	atomic_store(&granted[key], UINT32_MAX);
	atomic_store(&applied[key], UINT32_MAX);
	if (!key_release(key))
		limbo |= 1U << key;
	limbo_empty();
}

/* The calling thread gets what @key's is allowed to. */
static void key_apply(int key)
{
	uint32_t may = atomic_load(&granted[key]), mask, is, want;

	/* See the top: it must not be looked at again before this is said. */
	while (atomic_load_explicit(&applied[key], memory_order_relaxed) != may) {
		atomic_store(&applied[key], may);
		may = atomic_load(&granted[key]);
	}
	mask = atomic_load_explicit(&ours, memory_order_relaxed);
	is = register_get();
	want = (is & ~mask) | (may & mask);
	if (want != is)
		register_set(want);
}

void mbuf_reach_update(void)
{
	const struct mbuf_stack *s = self;

	if (s && s->key)
		key_apply(s->key);
}

/* ---- stacks --------------------------------------------------------------- */

static bool name_ok(const char *name)
{
	size_t len = strnlen(name, MBUF_STACK_NAME_MAX + 1);

	return len && len <= MBUF_STACK_NAME_MAX && !strchr(name, '/');
}

static int stack_memory(const char *name, size_t size)
{
	char full[sizeof(MBUF_STACK_PREFIX) + MBUF_STACK_NAME_MAX];
	int fd, err;

	snprintf(full, sizeof(full), MBUF_STACK_PREFIX "%s", name);
	/* Some systems allow no others; kernels before 6.3 do not know it. */
	fd = memfd_create(full, MFD_CLOEXEC | MFD_ALLOW_SEALING |
				MFD_NOEXEC_SEAL);
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(full, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

/* With a guard below, and its head above; not there in a child but for that. */
static char *stack_map(int fd, size_t size)
{
	const size_t page = page_size(), all = page + size + HEAD_SIZE;
	char *p = mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);

	if (p == MAP_FAILED)
		return NULL;
	if (mmap(p + page, size, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED ||
	    madvise(p + page, size, MADV_DONTFORK) ||
	    mprotect(p + page + size, HEAD_SIZE, PROT_READ | PROT_WRITE)) {
		munmap(p, all);
		return NULL;
	}
	return p + page;
}

static void stack_unmap(char *addr, size_t size)
{
	munmap(addr - page_size(), page_size() + size + HEAD_SIZE);
}

int mbuf_stack_create(const char *name, size_t size, uint32_t flags,
		      struct mbuf_stack **stack)
{
	struct mbuf_stack *s;
	int err;

	if (flags & ~MBUF_STACK_REACH || !name_ok(name) ||
	    size % page_size() || size < (size_t)sysconf(_SC_THREAD_STACK_MIN) ||
	    size > SIZE_MAX / 2)
		return -EINVAL;
	if (flags & MBUF_STACK_REACH) {
		err = mbuf_reach(NULL);
		if (err)
			return err;
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->size = size;
	s->fd = stack_memory(name, size);
	if (s->fd < 0) {
		err = s->fd;
		goto free;
	}
	err = -ENOMEM;
	s->addr = stack_map(s->fd, size);
	if (!s->addr)
		goto close;
	if (flags & MBUF_STACK_REACH) {
		pthread_mutex_lock(&lock);
		err = key_get();
		pthread_mutex_unlock(&lock);
		if (err < 0)
			goto unmap;
		s->key = err;
	}
	*stack = s;
	return 0;

unmap:
	stack_unmap(s->addr, size);
close:
	close(s->fd);
free:
	free(s);
	return err;
}

int mbuf_stack_destroy(struct mbuf_stack *s)
{
	if (self == s)
		return -EBUSY;
	pthread_mutex_lock(&lock);
	if (s->views) {
		pthread_mutex_unlock(&lock);
		return -EBUSY;
	}
	/* A key must not be had by others while there are pages with it. */
	stack_unmap(s->addr, s->size);
	if (s->key)
		key_put(s->key);
	pthread_mutex_unlock(&lock);
	if (s->alt)
		munmap(s->alt, ALT_SIZE);
	close(s->fd);
	free(s);
	return 0;
}

void *mbuf_stack_addr(const struct mbuf_stack *s)
{
	return s->addr;
}

size_t mbuf_stack_size(const struct mbuf_stack *s)
{
	return s->size + HEAD_SIZE;
}

/* So that handlers run on memory that has no key. */
static int alt_prepare(struct mbuf_stack *s)
{
	stack_t alt = { .ss_flags = 0 };
	int err;

	if (sigaltstack(NULL, &alt))
		return -errno;
	if (!(alt.ss_flags & SS_DISABLE))
		return 0;
	s->alt = mmap(NULL, ALT_SIZE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->alt == MAP_FAILED) {
		s->alt = NULL;
		return -ENOMEM;
	}
	alt.ss_sp = s->alt;
	alt.ss_size = ALT_SIZE;
	alt.ss_flags = 0;
	if (!sigaltstack(&alt, NULL))
		return 0;
	err = -errno;
	munmap(s->alt, ALT_SIZE);
	s->alt = NULL;
	return err;
}

/* What is shared of the stack gets its key. */
static int stack_enter(struct mbuf_stack *s)
{
	int err = alt_prepare(s);

	if (err)
		return err;
	key_apply(s->key);
	if (!pkey_mprotect(s->addr, s->size, PROT_READ | PROT_WRITE, s->key))
		return 0;
	/* The alternate stack stays, for the next try. */
	return -errno;
}

int mbuf_stack_run(struct mbuf_stack *s, void *(*fn)(void *arg), void *arg,
		   void **result)
{
	char *here = __builtin_frame_address(0), *edge = s->addr + s->size;
	volatile char *room;
	void *ret;
	int err;

	if (here < s->addr || here >= edge + HEAD_SIZE)
		return -EINVAL;
	pthread_mutex_lock(&lock);
	err = s->running ? -EBUSY : 0;
	s->running = true;
	pthread_mutex_unlock(&lock);
	if (err)
		return err;

	/* What calls this has to fit above, too. */
	if (here < edge + page_size())
		err = -ENOMEM;
	else if (s->key)
		err = stack_enter(s);
	if (err) {
		pthread_mutex_lock(&lock);
		s->running = false;
		pthread_mutex_unlock(&lock);
		return err;
	}
	self = s;
	/* What @fn has on the stack lies below the edge from here on. */
	room = alloca((size_t)(here - edge));
	room[0] = 0;
	__asm__ volatile("" : : "r"(room) : "memory");
	ret = fn(arg);
	if (result)
		*result = ret;
	return 0;
}

int mbuf_stack_allow(struct mbuf_stack *s, struct mbuf_stack *to,
		     uint32_t rights)
{
	uint32_t bits = KEY_ALL;
	int err = 0;

	if (rights & ~RIGHTS || rights == MBUF_REGION_WRITE || s == to ||
	    !s->key || !to->key)
		return -EINVAL;
	if (rights)
		bits = rights & MBUF_REGION_WRITE ? 0 : 2;
	pthread_mutex_lock(&lock);
	if (s->running && self != s)
		err = -EPERM;
	else
		atomic_store(&granted[to->key],
			     (atomic_load(&granted[to->key]) &
			      ~KEY_BITS(s->key, KEY_ALL)) |
			     KEY_BITS(s->key, bits));
	pthread_mutex_unlock(&lock);
	return err;
}

/* ---- sharing -------------------------------------------------------------- */

int mbuf_share_stack(int session, const struct mbuf_stack *s, uint32_t rights)
{
	int fd;

	if (rights & ~RIGHTS || !(rights & MBUF_REGION_READ))
		return -EINVAL;
	if (rights == MBUF_REGION_READ)
		return mbuf_grant(session, s->fd, rights);
	fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

/* Of a region or of any other memory; or -errno. */
static int memory_size(int fd, size_t *size)
{
	struct mbuf_region_info info;
	struct stat st;

	if (mbuf_region_info(fd, &info) >= 0) {
		*size = (size_t)info.size;
		return 0;
	}
	if (fstat(fd, &st))
		return -errno;
	*size = (size_t)st.st_size;
	return 0;
}

int mbuf_map_stack(int fd, void *addr, uint32_t rights,
		   struct mbuf_stack_view *view)
{
	int prot = rights & MBUF_REGION_WRITE ? PROT_READ | PROT_WRITE :
						PROT_READ;
	struct mbuf_stack *owner = self;
	size_t size = 0;
	void *p;
	int err;

	if (rights & ~RIGHTS || !(rights & MBUF_REGION_READ))
		return -EINVAL;
	err = memory_size(fd, &size);
	if (err)
		return err;
	if (!size)
		return -EINVAL;
	p = mmap(addr, size, prot,
		 MAP_SHARED | (addr ? MAP_FIXED_NOREPLACE : 0), fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	/* Kernels before 4.17 take it for a hint. */
	if (addr && p != addr) {
		munmap(p, size);
		return -EEXIST;
	}
	if (owner && !owner->key)
		owner = NULL;
	if (owner) {
		if (pkey_mprotect(p, size, prot, owner->key)) {
			err = -errno;
			munmap(p, size);
			return err;
		}
		pthread_mutex_lock(&lock);
		owner->views++;
		pthread_mutex_unlock(&lock);
	}
	view->addr = p;
	view->size = size;
	view->priv = owner;
	return 0;
}

int mbuf_unmap_stack(struct mbuf_stack_view *view)
{
	if (munmap(view->addr, view->size))
		return -errno;
	if (view->priv) {
		pthread_mutex_lock(&lock);
		view->priv->views--;
		pthread_mutex_unlock(&lock);
	}
	view->addr = NULL;
	view->size = 0;
	view->priv = NULL;
	return 0;
}

/* ---- names ---------------------------------------------------------------- */

static bool begins(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

static bool name_is_stack(const char *name)
{
	return begins(name, "/memfd:" MBUF_STACK_PREFIX) ||
	       begins(name, "/dev/shm/" MBUF_STACK_PREFIX);
}

/* A grant has no name of its own; what it is of is in its fdinfo. */
static int grant_is_stack(int fd)
{
	static const char key[] = "mbuf-name:\t";
	char path[64], text[1024], *line;
	ssize_t len;
	int in;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	in = open(path, O_RDONLY | O_CLOEXEC);
	if (in < 0)
		return -errno;
	len = read(in, text, sizeof(text) - 1);
	close(in);
	if (len < 0)
		return -EIO;
	text[len] = '\0';
	line = strstr(text, key);
	return line && name_is_stack(line + sizeof(key) - 1);
}

int mbuf_stack_is(int fd)
{
	char path[64], name[128];
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	len = readlink(path, name, sizeof(name) - 1);
	if (len < 0)
		return errno == ENOENT ? -EBADF : -errno;
	name[len] = '\0';
	if (begins(name, "anon_inode:[mbuf-region]"))
		return grant_is_stack(fd);
	return name_is_stack(name);
}
