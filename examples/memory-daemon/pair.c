// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Two clients of the memory daemon that share memory: they agree on it over a
 * channel of theirs, both consent that the daemon supplies it, and each writes
 * every other page, and looks at all, word by word.
 *
 * usage: memory-pair offer|take PAGES [ROUNDS]
 *
 * One of each. If one is killed, the other goes on with what both have written.
 *
 * Exit status: 0 if all was as it should be; 1 if not; 2 for wrong usage; 3 if
 * the daemon was gone, or refused a page.
 */
#define _GNU_SOURCE
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../example.h"
#include "memory.h"
#include "words.h"

/* The name by which they find each other. */
#define PAIR_NAME	"mbuf example: memory pair"

#define PATIENCE_NS	30000000000ull

/**
 * struct pair - one of the two
 * @offers: which
 * @session: a session
 * @end: of the channel to the other
 * @memory: what they share
 * @nr: pages
 * @page: bytes in a page
 * @met: how often they have met
 * @other_met: what the other says about that
 */
struct pair {
	bool offers;
	int session;
	int end;
	uint64_t *memory;
	size_t nr;
	size_t page;
	uint64_t met;
	uint64_t other_met;
};

/* What one says to the other as it comes to a meeting. */
struct meeting {
	uint64_t nr;
	uint8_t resv[MBUF_SLOT_SIZE - sizeof(uint64_t)];
};

static uint64_t soon(void)
{
	return mbuf_deadline(PATIENCE_NS);
}

static const char *who(const struct pair *p)
{
	return p->offers ? "memory-pair (offers)" : "memory-pair (takes)";
}

static int failed(const struct pair *p, const char *what, int err)
{
	fprintf(stderr, "%s: %s: %s\n", who(p), what, mbuf_strerror(err));
	return err;
}

static int find_other(const struct pair *p)
{
	int listener, end;

	if (!p->offers)
		return mbuf_connect(p->session, PAIR_NAME, strlen(PAIR_NAME),
				    soon());
	listener = mbuf_listen(p->session, PAIR_NAME, strlen(PAIR_NAME), 0600,
			       1);
	if (listener < 0)
		return listener;
	example_ready("memory-pair");
	end = mbuf_accept(listener, NULL, soon());
	close(listener);
	return end;
}

/* The offer that both consent to; or -errno. */
static int agree(const struct pair *p, uint64_t *offer)
{
	const uint64_t size = p->nr * p->page;
	struct mbuf_offer args = {
		.min = size,
		.wanted = size,
		.max = size,
		.rights = MBUF_REGION_READ | MBUF_REGION_WRITE,
		.options = MBUF_OFFER_PROVIDED,
	};
	struct mbuf_offered offered;
	int ret;

	if (p->offers) {
		ret = mbuf_offer(p->end, &args);
		*offer = args.id;
		return ret;
	}
	ret = mbuf_offered(p->end, &offered, soon());
	if (ret < 0)
		return ret;
	*offer = offered.id;
	return offered.wanted == size ? 0 : -EMSGSIZE;
}

/* Send the consent to the daemon. Its connection, to be kept; or -errno. */
static int consent(const struct pair *p, uint64_t offer)
{
	struct memory_request request = { .what = MEMORY_SHARED };
	struct mbuf_connect args = {
		.name = (uintptr_t)MEMORY_NAME,
		.name_len = strlen(MEMORY_NAME),
		.flags = MBUF_CONNECT_HELLO,
	};
	struct mbuf_consent yes = {
		.offer = offer,
		.flags = MBUF_CONSENT_PAGED | MBUF_CONSENT_UID,
	};
	struct mbuf_channel_info info;
	struct mbuf_msg msg = { .buf = (uintptr_t)"c", .len = 1 };
	struct mbuf_cap cap;
	int daemon, queue, proof, ret;

	memcpy(args.data, &request, sizeof(request));
	ret = mbuf_connect_args(p->session, &args, soon());
	if (ret < 0)
		return ret;
	daemon = args.end.ref.fd;
	/* Of no use to any other user. */
	ret = mbuf_channel_info(daemon, &info);
	yes.uid = info.peer.uid;
	if (ret >= 0)
		ret = mbuf_channel_wait(daemon, NULL, NULL, soon());
	queue = ret < 0 ? ret : mbuf_given(daemon);
	if (queue < 0)
		return queue;
	proof = mbuf_consent(p->end, &yes);
	if (proof < 0)
		return proof;
	cap = mbuf_cap_fd(proof);
	ret = mbuf_send_caps(queue, &msg, &cap, 1, -1, soon());
	close(proof);
	close(queue);
	return ret < 0 ? ret : daemon;
}

/* What the daemon provides; or -errno. */
static int receive(const struct pair *p, uint64_t offer)
{
	struct mbuf_answer answer;
	int ret;

	if (!p->offers)
		return mbuf_claim(p->end, offer, NULL, soon());
	ret = mbuf_answer(p->end, offer, &answer, soon());
	if (ret < 0)
		return ret;
	return answer.outcome == MBUF_OUTCOME_TAKEN ? answer.region.fd :
						      -ECONNREFUSED;
}

static int get_memory(struct pair *p)
{
	uint64_t offer;
	int ret, daemon, fd;
	void *memory;

	p->end = find_other(p);
	if (p->end < 0)
		return failed(p, "cannot find the other", p->end);
	ret = agree(p, &offer);
	if (ret < 0)
		return failed(p, "no agreement", ret);
	daemon = consent(p, offer);
	if (daemon < 0)
		return failed(p, "cannot pass a consent to the memory daemon",
			      daemon);
	fd = receive(p, offer);
	close(daemon);
	if (fd < 0)
		return failed(p, "no memory", fd);
	memory = mmap(NULL, p->nr * p->page, PROT_READ | PROT_WRITE, MAP_SHARED,
		      fd, 0);
	close(fd);
	if (memory == MAP_FAILED)
		return failed(p, "cannot map the memory", -errno);
	p->memory = memory;
	return 0;
}

static uint64_t *page_at(const struct pair *p, size_t page)
{
	return p->memory + page * (p->page / sizeof(*p->memory));
}

static bool is_mine(const struct pair *p, size_t page)
{
	return page % 2 == (p->offers ? 0 : 1);
}

static void fill(const struct pair *p, unsigned int round, bool all)
{
	size_t i;

	for (i = 0; i < p->nr; i++) {
		if (all || is_mine(p, i))
			words_fill(page_at(p, i),
				   p->page / sizeof(*p->memory), i, round);
	}
}

/* The other's pages may be of the round @theirs, too. */
static int check(const struct pair *p, unsigned int round, unsigned int theirs)
{
	size_t i;

	for (i = 0; i < p->nr; i++) {
		if (words_check_either(page_at(p, i),
				       p->page / sizeof(*p->memory), i, round,
				       is_mine(p, i) ? round : theirs)) {
			fprintf(stderr, "%s: round %u\n", who(p), round);
			return 1;
		}
	}
	return 0;
}

/* Both are here. -EPIPE: the other is gone. */
static int meet(struct pair *p)
{
	struct meeting m = { .nr = ++p->met };
	int ret;

	ret = mbuf_channel_post(p->end, &m);
	/* It may have been here before it went; or be on its way to the next. */
	while ((ret >= 0 || ret == -EPIPE) && p->other_met < p->met) {
		ret = mbuf_channel_wait(p->end, &m, NULL, soon());
		if (ret < 0)
			break;
		p->other_met = m.nr;
	}
	return p->other_met < p->met ? ret : 0;
}

/* What is there stays there, and can be used. */
static int go_on_alone(const struct pair *p, unsigned int round,
		       unsigned int theirs)
{
	if (check(p, round, theirs))
		return 1;
	fill(p, round + 1, true);
	if (check(p, round + 1, round + 1))
		return 1;
	printf("%s: the other is gone: %zu pages, all as they should be\n",
	       who(p), p->nr);
	return 0;
}

static int work(struct pair *p, unsigned int rounds)
{
	unsigned int round;
	int ret;

	for (round = 1; round <= rounds; round++) {
		fill(p, round, false);
		ret = meet(p);
		/* It may have got half way: or not begun, as they were zeroes. */
		if (ret == -EPIPE && round > 1)
			return go_on_alone(p, round, round - 1);
		if (ret < 0)
			return !!failed(p, "cannot meet the other", ret);
		if (check(p, round, round))
			return 1;
		if (round == 1)
			example_ready(who(p));
		ret = round < rounds ? meet(p) : 0;
		if (ret == -EPIPE)
			return go_on_alone(p, round, round);
		if (ret < 0)
			return !!failed(p, "cannot meet the other", ret);
	}
	printf("%s: %zu pages, all as they should be\n", who(p), p->nr);
	return 0;
}

int main(int argc, char **argv)
{
	struct pair p = { .page = (size_t)sysconf(_SC_PAGESIZE) };
	unsigned int rounds = argc > 3 ? (unsigned int)atoi(argv[3]) : 3;

	if (argc > 2)
		p.nr = strtoul(argv[2], NULL, 10);
	if (!p.nr || !rounds || argc > 4 ||
	    (strcmp(argv[1], "offer") && strcmp(argv[1], "take"))) {
		fprintf(stderr,
			"usage: memory-pair offer|take PAGES [ROUNDS]\n");
		return 2;
	}
	p.offers = !strcmp(argv[1], "offer");
	if (memory_be_nobody()) {
		perror("memory-pair: cannot give up privileges");
		return 1;
	}
	words_expect_loss();
	p.session = example_open();
	if (p.session < 0 || get_memory(&p))
		return 1;
	return work(&p, rounds);
}
