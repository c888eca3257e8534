// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A plugin for QEMU's emulator: counts how often each guest instruction is
 * executed between the two marks of mbuf-bench --mark, and writes lines of
 * "ADDRESS COUNT" to the file given as out=FILE. The marks come several times;
 * the stretch with the fewest instructions is reported.
 *
 * One virtual CPU. Whatever the guest runs in between counts. Distributions do
 * not ship QEMU's header for plugins, so what is used of the interface,
 * version 1, is declared here.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define on_insn		qemu_plugin_register_vcpu_insn_exec_cb
#define count_insn	qemu_plugin_register_vcpu_insn_exec_inline

#define EXPORT	__attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };

typedef void (*tb_cb)(qemu_plugin_id_t id, struct qemu_plugin_tb *tb);
typedef void (*exec_cb)(unsigned int vcpu, void *data);
typedef void (*exit_cb)(qemu_plugin_id_t id, void *data);

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, tb_cb cb);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, exit_cb cb,
				    void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *
qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t i);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *insn,
						enum qemu_plugin_op op,
						void *counter, uint64_t add);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn,
					    exec_cb cb,
					    enum qemu_plugin_cb_flags flags,
					    void *data);

EXPORT int qemu_plugin_version = 1;
EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc,
			       char **argv);

/* xchg %bx,%bx and xchg %bp,%bp */
static const uint8_t mark_start[] = { 0x66, 0x87, 0xdb };
static const uint8_t mark_end[] = { 0x66, 0x87, 0xed };

/* Never moves or goes away: translated code adds to it. */
struct counter {
	struct counter *next;
	uint64_t addr;
	uint64_t count;
	uint64_t best;		/* in the stretch that is reported */
};

#define BUCKETS	(1U << 16)

static struct counter *buckets[BUCKETS];
static char *out_path;

static struct counter *counter_of(uint64_t addr)
{
	struct counter **bucket = &buckets[(addr ^ addr >> 16) & (BUCKETS - 1)];
	struct counter *c;

	for (c = *bucket; c; c = c->next)
		if (c->addr == addr)
			return c;
	c = calloc(1, sizeof(*c));
	if (!c) {
		fprintf(stderr, "profile-plugin: out of memory\n");
		exit(1);
	}
	c->addr = addr;
	c->next = *bucket;
	*bucket = c;
	return c;
}

static void at_start(unsigned int vcpu, void *data)
{
	struct counter *c;
	unsigned int i;

	(void)vcpu;
	(void)data;
	for (i = 0; i < BUCKETS; i++)
		for (c = buckets[i]; c; c = c->next)
			c->count = 0;
}

/* Of several stretches the shortest had the fewest interrupts in it. */
static void at_end(unsigned int vcpu, void *data)
{
	static uint64_t shortest = UINT64_MAX;
	struct counter *c;
	uint64_t sum = 0;
	unsigned int i;

	(void)vcpu;
	(void)data;
	for (i = 0; i < BUCKETS; i++)
		for (c = buckets[i]; c; c = c->next)
			sum += c->count;
	if (sum >= shortest)
		return;
	shortest = sum;
	for (i = 0; i < BUCKETS; i++)
		for (c = buckets[i]; c; c = c->next)
			c->best = c->count;
}

static void on_translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	size_t n = qemu_plugin_tb_n_insns(tb), i;
	struct qemu_plugin_insn *insn;
	struct counter *c;

	(void)id;
	for (i = 0; i < n; i++) {
		insn = qemu_plugin_tb_get_insn(tb, i);
		if (qemu_plugin_insn_size(insn) == 3) {
			const void *bytes = qemu_plugin_insn_data(insn);
			exec_cb cb = NULL;

			if (!memcmp(bytes, mark_start, 3))
				cb = at_start;
			else if (!memcmp(bytes, mark_end, 3))
				cb = at_end;
			if (cb) {
				on_insn(insn, cb, QEMU_PLUGIN_CB_NO_REGS, NULL);
				continue;
			}
		}
		c = counter_of(qemu_plugin_insn_vaddr(insn));
		count_insn(insn, QEMU_PLUGIN_INLINE_ADD_U64, &c->count, 1);
	}
}

static void on_exit_write(qemu_plugin_id_t id, void *data)
{
	FILE *out = fopen(out_path, "w");
	struct counter *c;
	unsigned int i;

	(void)id;
	(void)data;
	if (!out) {
		perror(out_path);
		return;
	}
	for (i = 0; i < BUCKETS; i++)
		for (c = buckets[i]; c; c = c->next)
			if (c->best)
				fprintf(out, "%" PRIx64 " %" PRIu64 "\n",
					c->addr, c->best);
	if (fclose(out))
		perror(out_path);
}

int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc,
			char **argv)
{
	int i;

	(void)info;
	for (i = 0; i < argc; i++)
		if (!strncmp(argv[i], "out=", 4))
			out_path = strdup(argv[i] + 4);
	if (!out_path) {
		fprintf(stderr, "profile-plugin: out=FILE is missing\n");
		return -1;
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
	qemu_plugin_register_atexit_cb(id, on_exit_write, NULL);
	return 0;
}
