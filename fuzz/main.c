// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * mbuf-fuzz: the loop, replaying, and making things smaller. fuzz/run starts it
 * in a guest and reads its output, of which lines that begin with # and a
 * capital letter are for it:
 *
 *	#M	how coverage is seen, and where the module is
 *	#S	figures
 *	#F	a finding
 *
 * What has to be known after a crash is in the kernel's log:
 *
 *	fuzz:p	the program that is run next
 *	fuzz:c	a program for the corpus
 *	fuzz:k	places in the module that were reached for the first time
 *	fuzz:t	number of the case that --reduce tries next
 *	fuzz:b	a program of it
 *	fuzz:a	it was as bad as the one before: from here on it is the case
 *	fuzz:e	no case is smaller
 *	fuzz+	continues the line before
 */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "fuzz.h"

#define CORPUS_MAX	3000
#define CASE_MAX	64
/* Executions that may be spent on making a new program smaller. */
#define TRIM_MAX	30

struct entry {
	struct program prog;
	uint64_t ns;
};

/* Children need none of it, so that forking need not copy its page tables. */
static struct entry *corpus;
static unsigned int nr_corpus;
static uint64_t seen[MAP_BITS / 64];

static struct {
	uint64_t start, programs;
	unsigned int features;
} stats;

static char finding[500];
static bool kcov;

static void *private_memory(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED) {
		perror("mbuf-fuzz: memory");
		exit(2);
	}
	madvise(p, size, MADV_DONTFORK);
	return p;
}

static void log_program(const char *tag, const struct program *p)
{
	static char text[ENCODED_MAX];

	prog_encode(p, text);
	exec_log(tag, text);
}

static void say_stats(void)
{
	printf("#S seconds=%.1f programs=%llu calls=%llu corpus=%u features=%u pcs=%u\n",
	       (double)(now_ns() - stats.start) / NS_PER_S,
	       (unsigned long long)stats.programs,
	       (unsigned long long)shm->calls, nr_corpus, stats.features,
	       cover_count());
	fflush(stdout);
}

static enum outcome run(const struct program *p)
{
	static uint64_t said;
	enum outcome out;

	log_program("p", p);
	out = exec_program(p, finding, sizeof(finding));
	stats.programs++;
	cover_log_new();
	if (now_ns() - said > 10 * NS_PER_S) {
		said = now_ns();
		say_stats();
	}
	return out;
}

/* Run, and do not come back if something is wrong. */
static void run_or_exit(const struct program *p)
{
	if (run(p) == RAN_WELL)
		return;
	printf("#F %s\n", finding);
	exec_print_results(stdout);
	say_stats();
	exit(1);
}

static unsigned int count_new(void)
{
	unsigned int i, n = 0;

	for (i = 0; i < MAP_BITS / 64; i++)
		n += __builtin_popcountll(shm->map[i] & ~seen[i]);
	return n;
}

static void note_seen(const uint64_t *map)
{
	unsigned int i;

	stats.features = 0;
	for (i = 0; i < MAP_BITS / 64; i++) {
		seen[i] |= map[i];
		stats.features += __builtin_popcountll(seen[i]);
	}
}

static bool has_all(const uint64_t *wanted)
{
	unsigned int i;

	for (i = 0; i < MAP_BITS / 64; i++)
		if (wanted[i] & ~shm->map[i])
			return false;
	return true;
}

/* Drop from a program what its new features do not need. */
static void trim(struct program *p, uint64_t *wanted)
{
	static struct program smaller;
	unsigned int i, tries = TRIM_MAX;
	bool any = false;

	/* What depends on chance cannot be insisted on. */
	run_or_exit(p);
	for (i = 0; i < MAP_BITS / 64; i++) {
		wanted[i] &= shm->map[i];
		any |= wanted[i];
	}
	if (!any)
		return;
	for (i = p->nr_workers; i-- && p->nr_workers > 1 && tries; tries--) {
		smaller = *p;
		prog_drop_worker(&smaller, i);
		run_or_exit(&smaller);
		if (has_all(wanted))
			*p = smaller;
	}
	for (i = p->nr; i-- && tries; tries--) {
		if (i >= p->nr)
			continue;
		smaller = *p;
		prog_drop_call(&smaller, i);
		run_or_exit(&smaller);
		if (has_all(wanted))
			*p = smaller;
	}
}

static void corpus_add(const struct program *p, uint64_t ns)
{
	if (nr_corpus == CORPUS_MAX)
		return;
	corpus[nr_corpus].prog = *p;
	corpus[nr_corpus++].ns = ns;
}

/* Run a program and keep it if it shows anything new. */
static void consider(struct program *p, bool known)
{
	static uint64_t fresh[MAP_BITS / 64];
	uint64_t start = now_ns(), ns;
	unsigned int i;

	run_or_exit(p);
	ns = now_ns() - start;
	if (!count_new())
		return;
	for (i = 0; i < MAP_BITS / 64; i++)
		fresh[i] = shm->map[i] & ~seen[i];
	note_seen(fresh);
	if (!known) {
		trim(p, fresh);
		log_program("c", p);
	}
	corpus_add(p, ns);
}

static const struct entry *pick(struct rng *r)
{
	const struct entry *a, *b;

	if (!nr_corpus)
		return NULL;
	/* Half of them from the newest quarter; of two, the faster one. */
	if (rng_percent(r, 50)) {
		unsigned int recent = nr_corpus / 4 + 1;

		a = &corpus[nr_corpus - 1 - rng_below(r, recent)];
	} else {
		a = &corpus[rng_below(r, nr_corpus)];
	}
	b = &corpus[rng_below(r, nr_corpus)];
	return b->ns * 4 < a->ns ? b : a;
}

static void fuzz(struct rng *r, double seconds, uint64_t programs)
{
	static struct program p;

	while (now_ns() - stats.start < seconds * NS_PER_S &&
	       (!programs || stats.programs < programs)) {
		const struct entry *base = pick(r), *other = pick(r);

		if (!base || rng_percent(r, 8)) {
			prog_generate(r, &p);
		} else {
			p = base->prog;
			prog_mutate(r, &p, &other->prog);
		}
		if (p.nr)
			consider(&p, false);
	}
}

/* Files ------------------------------------------------------------------- */

/* Calls @each with every program of a file. */
static void read_programs(const char *path,
			  void (*each)(const struct program *p))
{
	static struct program p;
	FILE *f = fopen(path, "r");
	char why[400];
	int ret;

	if (!f) {
		fprintf(stderr, "mbuf-fuzz: %s: %s\n", path, strerror(errno));
		exit(2);
	}
	while ((ret = prog_read(f, &p, why, sizeof(why))) > 0)
		each(&p);
	fclose(f);
	if (ret < 0) {
		fprintf(stderr, "mbuf-fuzz: %s: %s\n", path, why);
		exit(2);
	}
}

/* Programs that were given; of these, the first @nr_given are not judged. */
static struct program *seeds;
static unsigned int nr_seeds, nr_given;

static void add_seed(const struct program *p)
{
	if (nr_seeds < CORPUS_MAX)
		seeds[nr_seeds++] = *p;
}

static int is_text(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return n > 4 && !strcmp(d->d_name + n - 4, ".txt");
}

static void read_corpus(const char *dir)
{
	struct dirent **list;
	int i, n = scandir(dir, &list, is_text, alphasort);

	if (n < 0) {
		fprintf(stderr, "mbuf-fuzz: %s: %s\n", dir, strerror(errno));
		exit(2);
	}
	for (i = 0; i < n; i++) {
		char path[4096];

		snprintf(path, sizeof(path), "%s/%s", dir, list[i]->d_name);
		read_programs(path, add_seed);
		free(list[i]);
	}
	free(list);
}

/* Merging ----------------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
	const struct program *p = a, *q = b;

	return (int)(p->nr + p->nr_workers) - (int)(q->nr + q->nr_workers);
}

/*
 * Of the programs in question keep few that together reach what all reach: the
 * short ones first, and only those that enter a block that those before, and
 * those that are kept in any case, did not.
 */
static void merge(void)
{
	static uint64_t pcs[PCS_MAX / 64], fresh[MAP_BITS / 64];
	unsigned int i, j, kept = 0;

	qsort(seeds + nr_given, nr_seeds - nr_given, sizeof(*seeds), by_size);
	for (i = 0; i < nr_seeds; i++) {
		bool new = false;

		memset(shm->pcs, 0, sizeof(shm->pcs));
		run_or_exit(&seeds[i]);
		for (j = 0; kcov && j < PCS_MAX / 64; j++) {
			new |= shm->pcs[j] & ~pcs[j];
			pcs[j] |= shm->pcs[j];
		}
		if (!kcov)
			new = count_new();
		if (!new && i >= nr_given)
			continue;
		for (j = 0; j < MAP_BITS / 64; j++)
			fresh[j] = shm->map[j] & ~seen[j];
		note_seen(fresh);
		if (i < nr_given)
			continue;
		trim(&seeds[i], fresh);
		log_program("c", &seeds[i]);
		kept++;
	}
	memcpy(shm->pcs, pcs, sizeof(pcs));
	printf("# %u of %u programs kept\n", kept, nr_seeds - nr_given);
	say_stats();
}

/* Reduction --------------------------------------------------------------- */

/* A case: programs that are run one after the other. */
struct test {
	unsigned int nr;
	struct program p[CASE_MAX];
};

static bool arg_is_default(const struct arg_spec *s, const struct value *v)
{
	return !s->rare || (v->kind == s->def.kind && v->n == s->def.n);
}

/* All but @nr from @from on. */
static void drop_programs(struct test *t, unsigned int from, unsigned int nr)
{
	memmove(&t->p[from], &t->p[from + nr],
		(t->nr - from - nr) * sizeof(*t->p));
	t->nr -= nr;
}

/* Apply the @k-th way to make line @call simpler. False if there is none. */
static bool simplify_line(const struct op *op, struct call *call,
			  unsigned int *k)
{
	unsigned int i;

	if (call->fail && !(*k)--) {
		call->fail = 0;
		return true;
	}
	for (i = 0; i < op->nr_args; i++) {
		if (arg_is_default(&op->args[i], &call->arg[i]))
			continue;
		if (!(*k)--) {
			call->arg[i] = op->args[i].def;
			return true;
		}
	}
	return false;
}

/* Apply the @k-th way to make a case smaller. False if there is none. */
static bool reduce_by(struct test *t, unsigned int k)
{
	unsigned int chunk, i, n;

	for (chunk = t->nr / 2; chunk; chunk /= 2)
		for (i = 0; i + chunk <= t->nr; i += chunk)
			if (!k--) {
				drop_programs(t, i, chunk);
				return true;
			}
	for (n = 0; n < t->nr; n++) {
		struct program *p = &t->p[n];

		for (i = p->nr_workers; p->nr_workers > 1 && i--; )
			if (!k--) {
				prog_drop_worker(p, i);
				return true;
			}
		for (chunk = 4; chunk; chunk /= 2)
			for (i = 0; i + chunk <= p->nr; i += chunk)
				if (!k--) {
					while (chunk--)
						prog_drop_call(p, i);
					return true;
				}
		if (simplify_line(&head_op, &p->head, &k))
			return true;
		for (i = 0; i < p->nr_workers; i++)
			if (simplify_line(&worker_op, &p->worker[i], &k))
				return true;
		for (i = 0; i < p->nr; i++)
			if (simplify_line(op_get(p->call[i].op), &p->call[i],
					  &k))
				return true;
	}
	return false;
}

/* False if something was found from which this kernel does not recover. */
static bool run_test(const struct test *t, unsigned int times, bool *bad)
{
	unsigned int i;

	*bad = false;
	while (times-- && !*bad)
		for (i = 0; i < t->nr && !*bad; i++)
			*bad = run(&t->p[i]) == RAN_FOUND;
	return !*bad || (strncmp(finding, "kernel log", 10) &&
			 strncmp(finding, "stuck", 5));
}

/*
 * Try one smaller case after the other, from the @skip-th on. If one crashes
 * the kernel the caller starts this again with that one.
 */
static int reduce(unsigned int times, unsigned int skip, double seconds)
{
	struct test *base = private_memory(sizeof(*base));
	struct test *t = private_memory(sizeof(*t));
	unsigned int i, k = skip;
	char number[16];

	base->nr = nr_seeds < CASE_MAX ? nr_seeds : CASE_MAX;
	memcpy(base->p, seeds, base->nr * sizeof(*seeds));
	for (;;) {
		bool bad, alive;

		*t = *base;
		if (!reduce_by(t, k) || now_ns() - stats.start >
					seconds * NS_PER_S)
			break;
		snprintf(number, sizeof(number), "%u", k);
		exec_log("t", number);
		for (i = 0; i < t->nr; i++)
			log_program("b", &t->p[i]);
		alive = run_test(t, times, &bad);
		if (bad) {
			printf("# case %u: %s\n", k, finding);
			exec_log("a", number);
			*base = *t;
			if (!alive)
				return 1;
		} else {
			k++;
		}
	}
	exec_log("e", "");
	return 0;
}

static int replay(unsigned int times)
{
	unsigned int i, n;

	for (n = 0; n < times; n++) {
		for (i = 0; i < nr_seeds; i++) {
			enum outcome out = run(&seeds[i]);

			if (!n || out == RAN_FOUND) {
				printf("# program %u of %u, time %u of %u\n",
				       i + 1, nr_seeds, n + 1, times);
				exec_print_results(stdout);
			}
			if (out == RAN_FOUND) {
				printf("#F %s\n", finding);
				return 1;
			}
		}
	}
	printf("# nothing was found in %u times\n", times);
	return 0;
}

/* Lines of base32 on stdin to programs on stdout. */
static int decode(void)
{
	static char line[ENCODED_MAX + 2];
	static struct program p;

	while (fgets(line, sizeof(line), stdin)) {
		if (!prog_decode(&p, line)) {
			fprintf(stderr, "mbuf-fuzz: no program: %.60s\n", line);
			return 2;
		}
		printf("# %016llx\n", (unsigned long long)prog_hash(&p));
		prog_print(stdout, &p);
	}
	return 0;
}

/* Programs of a file to lines of base32 on stdout. */
static int encode(void)
{
	static char text[ENCODED_MAX];
	unsigned int i;

	for (i = 0; i < nr_seeds; i++) {
		prog_encode(&seeds[i], text);
		puts(text);
	}
	return 0;
}

/* Show what chance makes up. */
static int make_up(struct rng *r, uint64_t programs)
{
	static struct program p;

	while (programs--) {
		prog_generate(r, &p);
		prog_print(stdout, &p);
	}
	return 0;
}

/* For those who write programs by hand. */
static int list_ops(void)
{
	unsigned int i, j;

	for (i = 0; i < op_count(); i++) {
		const struct op *op = op_get(i);

		printf("%s", op->name);
		for (j = 0; j < op->nr_args; j++)
			printf(" %s", op->args[j].name);
		putchar('\n');
	}
	return 0;
}

static void usage(FILE *f)
{
	fputs("usage: mbuf-fuzz [--time S] [--programs N] [--seed N] [--corpus DIR]\n"
	      "       mbuf-fuzz --replay FILE [--times N]\n"
	      "       mbuf-fuzz --merge [--corpus DIR]... --more DIR...\n"
	      "       mbuf-fuzz --reduce FILE [--times N] [--skip K] [--time S]\n"
	      "       mbuf-fuzz --decode <LINES >PROGRAMS\n"
	      "       mbuf-fuzz --encode FILE >LINES\n"
	      "       mbuf-fuzz [--seed N] --programs N --make-up\n"
	      "       mbuf-fuzz --list\n"
	      "Options: --stuck S (a killed process has so long to end, 60),\n"
	      "         --no-kcov (as on a kernel without it).\n"
	      "Runs as root where the module is loaded; fuzz/run does all that.\n"
	      "Exit status: 0, 1 if something was found, 2 for trouble of its own.\n",
	      f);
}

int main(int argc, char **argv)
{
	static const struct option longopts[] = {
		{ "time", required_argument, NULL, 't' },
		{ "programs", required_argument, NULL, 'n' },
		{ "seed", required_argument, NULL, 's' },
		{ "corpus", required_argument, NULL, 'c' },
		{ "more", required_argument, NULL, 'o' },
		{ "replay", required_argument, NULL, 'r' },
		{ "times", required_argument, NULL, 'T' },
		{ "merge", no_argument, NULL, 'm' },
		{ "reduce", required_argument, NULL, 'R' },
		{ "skip", required_argument, NULL, 'k' },
		{ "decode", no_argument, NULL, 'd' },
		{ "encode", required_argument, NULL, 'e' },
		{ "list", no_argument, NULL, 'l' },
		{ "make-up", no_argument, NULL, 'M' },
		{ "stuck", required_argument, NULL, 'S' },
		{ "no-kcov", no_argument, NULL, 'K' },
		{ "nothing", no_argument, NULL, 'N' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 }
	};
	struct exec_options opt = { .stuck_s = 60 };
	struct rng r = { 1 };
	double seconds = 60;
	uint64_t programs = 0;
	unsigned int times = 1, skip = 0, i;
	int mode = 0, c;
	bool blind = false;

	corpus = private_memory(CORPUS_MAX * sizeof(*corpus));
	seeds = private_memory(CORPUS_MAX * sizeof(*seeds));
	while ((c = getopt_long(argc, argv, "", longopts, NULL)) != -1) {
		switch (c) {
		case 't':
			seconds = strtod(optarg, NULL);
			break;
		case 'n':
			programs = strtoull(optarg, NULL, 0);
			break;
		case 's':
			r.s = strtoull(optarg, NULL, 0);
			break;
		case 'c':
			read_corpus(optarg);
			nr_given = nr_seeds;
			break;
		case 'o':
			read_corpus(optarg);
			break;
		case 'r':
		case 'R':
			mode = c;
			read_programs(optarg, add_seed);
			break;
		case 'T':
			times = strtoul(optarg, NULL, 0);
			break;
		case 'k':
			skip = strtoul(optarg, NULL, 0);
			break;
		case 'S':
			opt.stuck_s = strtoul(optarg, NULL, 0);
			break;
		case 'K':
			blind = true;
			break;
		case 'm':
			mode = c;
			break;
		case 'd':
			return decode();
		case 'e':
			read_programs(optarg, add_seed);
			return encode();
		case 'l':
			return list_ops();
		case 'M':
			return make_up(&r, programs);
		case 'N':
			return 0;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind != argc) {
		usage(stderr);
		return 2;
	}

	exec_init(&opt);
	kcov = !blind && cover_init();
	gen_faults = !access("/proc/self/fail-nth", W_OK);
	cover_print_sections(stdout);
	stats.start = now_ns();
	switch (mode) {
	case 'r':
		return replay(times);
	case 'R':
		return reduce(times, skip, seconds);
	case 'm':
		merge();
		return 0;
	}
	printf("# seed %llu, %u programs to begin with, %s, %s\n",
	       (unsigned long long)r.s, nr_seeds,
	       kcov ? "coverage by KCOV" : "no KCOV: blind but for results and states",
	       gen_faults ? "allocations can be made to fail" :
	       "no fault injection");
	for (i = 0; i < nr_seeds; i++)
		consider(&seeds[i], true);
	fuzz(&r, seconds, programs);
	say_stats();
	if (kcov && !cover_count()) {
		fputs("mbuf-fuzz: KCOV saw nothing of the module: boot with nokaslr\n",
		      stderr);
		return 2;
	}
	return 0;
}
