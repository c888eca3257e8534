// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which code of the module is reached. KCOV notes the address of each block
 * that a task enters in the kernel; each party has a buffer of its own, opened
 * once and handed to whoever plays that part in a program.
 *
 * What makes a program worth keeping are features: pairs of blocks entered one
 * after the other. Without KCOV only results and states of objects count.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/kcov.h>
#include "fuzz.h"

/* Workers, and children of theirs. */
#define PARTIES		(MAX_WORKERS + 2)
#define WORDS		(8U << 10)

static struct {
	int fd;
	uint64_t *area;
} kcov[PARTIES];
static bool kcov_works;

static uint64_t module_base, module_size;

struct section {
	char name[64];
	uint64_t base;
};

static struct section sections[16];
static unsigned int nr_sections;
static uint64_t *printed;

uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 33) * 0xff51afd7ed558ccdULL;
	x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53ULL;
	return x ^ x >> 33;
}

static void set_bit(uint64_t *map, unsigned int bit)
{
	uint64_t mask = 1ULL << bit % 64;

	/* Nearly always it is set already. */
	if (!(__atomic_load_n(&map[bit / 64], __ATOMIC_RELAXED) & mask))
		__atomic_fetch_or(&map[bit / 64], mask, __ATOMIC_RELAXED);
}

void feature(uint64_t what)
{
	set_bit(shm->map, mix(what) % MAP_BITS);
}

static bool find_module(void)
{
	char line[512], name[64];
	unsigned long long size, base;
	FILE *f = fopen("/proc/modules", "r");

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63s %llu %*s %*s %*s %llx", name, &size,
			   &base) == 3 && !strcmp(name, "mbuf")) {
			module_base = base;
			module_size = size < PCS_MAX ? size : PCS_MAX;
		}
	}
	if (f)
		fclose(f);
	return module_base;
}

/* Sections are loaded apart from each other. */
static void find_sections(void)
{
	static const char *const names[] = {
		".text", ".text.unlikely", ".text.hot", ".text.startup",
		".exit.text", ".noinstr.text", ".ref.text",
	};
	unsigned int i;

	for (i = 0; i < NELEMS(names); i++) {
		char path[128];
		unsigned long long base;
		FILE *f;

		snprintf(path, sizeof(path), "/sys/module/mbuf/sections/%s",
			 names[i]);
		f = fopen(path, "r");
		if (!f)
			continue;
		if (fscanf(f, "%llx", &base) == 1) {
			snprintf(sections[nr_sections].name,
				 sizeof(sections->name), "%s", names[i]);
			sections[nr_sections++].base = base;
		}
		fclose(f);
	}
}

/**
 * cover_init() - open KCOV's buffers
 *
 * Return: false if this kernel has no KCOV.
 */
bool cover_init(void)
{
	unsigned int i;

	printed = calloc(PCS_MAX / 64, sizeof(*printed));
	if (!printed || !find_module())
		return false;
	find_sections();
	for (i = 0; i < PARTIES; i++) {
		kcov[i].fd = open("/sys/kernel/debug/kcov", O_RDWR);
		if (kcov[i].fd < 0)
			return false;
		if (ioctl(kcov[i].fd, KCOV_INIT_TRACE, (unsigned long)WORDS))
			return false;
		kcov[i].area = mmap(NULL, WORDS * sizeof(uint64_t),
				    PROT_READ | PROT_WRITE, MAP_SHARED,
				    kcov[i].fd, 0);
		if (kcov[i].area == MAP_FAILED)
			return false;
	}
	kcov_works = true;
	return true;
}

/* The calling task plays party @slot from here on, until it ends. */
void cover_start(unsigned int slot)
{
	if (!kcov_works)
		return;
	/*
	 * The last one to play it may not be gone from the kernel's point of
	 * view if it had to be killed; then this one goes without.
	 */
	if (ioctl(kcov[slot].fd, KCOV_ENABLE, KCOV_TRACE_PC) && errno != EBUSY)
		complain("KCOV_ENABLE: %s", strerror(errno));
	kcov[slot].area[0] = 0;
}

/* A child of a worker plays a party that nobody plays, if there is one. */
void cover_child(void)
{
	unsigned int slot;

	for (slot = MAX_WORKERS; kcov_works && slot < PARTIES; slot++) {
		if (ioctl(kcov[slot].fd, KCOV_ENABLE, KCOV_TRACE_PC))
			continue;
		/* What the one before it has left. */
		cover_collect(slot);
		return;
	}
}

/* Take over what children have reached; all are gone. */
void cover_collect_children(void)
{
	unsigned int slot;

	for (slot = MAX_WORKERS; slot < PARTIES; slot++)
		cover_collect(slot);
}

void cover_call_begin(unsigned int slot)
{
	if (kcov_works)
		__atomic_store_n(&kcov[slot].area[0], 0, __ATOMIC_RELAXED);
}

/* Take over what party @slot has reached since cover_call_begin(). */
void cover_collect(unsigned int slot)
{
	uint64_t n, i, last = 0;

	if (!kcov_works)
		return;
	n = __atomic_load_n(&kcov[slot].area[0], __ATOMIC_RELAXED);
	if (n > WORDS - 1)
		n = WORDS - 1;
	for (i = 1; i <= n; i++) {
		uint64_t pc = kcov[slot].area[i] - module_base;

		if (pc >= module_size)
			continue;
		if (!(shm->pcs[pc / 64] & 1ULL << pc % 64)) {
			set_bit(shm->pcs, pc);
			__atomic_store_n(&shm->pc_changed, 1, __ATOMIC_RELAXED);
		}
		if (pc != last)
			feature(last << 24 ^ pc);
		last = pc;
	}
	__atomic_store_n(&kcov[slot].area[0], 0, __ATOMIC_RELAXED);
}

/* Where the module is, so that addresses can be told to who has its file. */
void cover_print_sections(FILE *f)
{
	unsigned int i;

	fprintf(f, "#M kcov=%d", kcov_works);
	for (i = 0; i < nr_sections; i++)
		fprintf(f, " %s=0x%llx", sections[i].name,
			(unsigned long long)sections[i].base);
	fputc('\n', f);
}

/* Addresses as SECTION+OFFSET, each only once, into the log. */
void cover_log_new(void)
{
	char text[1024];
	unsigned int i, s;
	size_t n = 0;

	if (!__atomic_exchange_n(&shm->pc_changed, 0, __ATOMIC_RELAXED))
		return;
	for (i = 0; i < PCS_MAX; i++) {
		struct section *best = NULL;
		uint64_t pc = module_base + i;

		if (i % 64 == 0 && shm->pcs[i / 64] == printed[i / 64]) {
			i += 63;
			continue;
		}
		if (!(shm->pcs[i / 64] & ~printed[i / 64] & 1ULL << i % 64))
			continue;
		for (s = 0; s < nr_sections; s++)
			if (sections[s].base <= pc &&
			    (!best || sections[s].base > best->base))
				best = &sections[s];
		printed[i / 64] |= 1ULL << i % 64;
		if (!best)
			continue;
		n += snprintf(text + n, sizeof(text) - n, "%s+0x%llx ",
			      best->name, (unsigned long long)(pc - best->base));
		if (n > 800) {
			exec_log("k", text);
			n = 0;
		}
	}
	if (n)
		exec_log("k", text);
}

unsigned int cover_count(void)
{
	unsigned int i, n = 0;

	for (i = 0; i < PCS_MAX / 64; i++)
		n += __builtin_popcountll(shm->pcs[i]);
	return n;
}
