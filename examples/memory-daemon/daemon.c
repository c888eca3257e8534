// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A memory daemon: gives its clients memory, as much as they ask for, of which
 * so many pages are in memory at any time and the rest in files; one client by
 * itself, or two that have agreed to share some. Runs as anybody, for anybody
 * who may connect.
 *
 * usage: memory-daemon PAGES [DIRECTORY]
 *
 * PAGES are in memory at most, for all clients together. The files are without a
 * name, in DIRECTORY (default: /tmp). Says when it is ready, and how it stands
 * when a client is gone, on SIGUSR1, and on SIGTERM, which ends it.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "../example.h"
#include "memory.h"
#include "pages.h"

/* Of one client, all of it that does not have to be in memory. */
#define SIZE_MAX_OF_CLIENT	(1ull << 30)

/**
 * struct watched - a descriptor that the daemon waits for
 * @kind: of what
 * @fd: the descriptor
 * @space: KIND_PAGER
 * @offer: KIND_CONNECTION, KIND_SHARER: identity of the offer
 * @queue: KIND_SHARER: where its consent comes, until it has come
 * @consent: KIND_SHARER: once it has come, or -1
 * @next: KIND_SHARER: in sharers
 *
 * A KIND_CONSENT is the queue of a KIND_SHARER: its @queue.
 */
struct watched {
	enum {
		KIND_LISTENER,
		KIND_SIGNALS,
		KIND_CONNECTION,
		KIND_PAGER,
		KIND_SHARER,
		KIND_CONSENT,
	} kind;
	int fd;
	struct space *space;
	uint64_t offer;
	struct watched *queue;
	int consent;
	struct watched *next;
};

static struct pages pages;

/* Who has come to share memory with another that has not come yet. */
static struct watched *sharers;

static void show(void)
{
	printf("memory-daemon: %llu faults, %llu hits, ",
	       (unsigned long long)pages.faults,
	       (unsigned long long)pages.hits);
	printf("%llu evictions, %llu written, %zu of %zu pages in memory\n",
	       (unsigned long long)pages.evictions,
	       (unsigned long long)pages.written, pages.used, pages.nr);
	fflush(stdout);
}

static struct watched *watch(int ep, int fd, int kind, uint32_t events)
{
	struct watched *w = calloc(1, sizeof(*w));
	struct epoll_event event = { .events = events, .data.ptr = w };

	if (!w)
		return NULL;
	w->kind = kind;
	w->fd = fd;
	if (!epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event))
		return w;
	free(w);
	return NULL;
}

static void drop(struct watched *w)
{
	struct watched **at = &sharers;

	while (*at && *at != w)
		at = &(*at)->next;
	if (*at) {
		*at = w->next;
		if (w->consent >= 0)
			close(w->consent);
	}
	if (w->queue)
		drop(w->queue);
	if (w->space)
		space_free(&pages, w->space);
	close(w->fd);
	free(w);
}

/* So much memory, which is the pager's that is returned. NULL: errno says why. */
static struct watched *memory_new(int session, int ep, uint64_t size,
				  const char *dir, int *region)
{
	struct watched *pager;
	int fd, ret;

	ret = size > SIZE_MAX_OF_CLIENT ? -EDQUOT :
	      mbuf_paged_create(session, size, &fd, region);
	if (ret < 0) {
		errno = -ret;
		return NULL;
	}
	pager = watch(ep, fd, KIND_PAGER, EPOLLIN);
	if (!pager) {
		close(fd);
		close(*region);
		return NULL;
	}
	pager->space = space_new(fd, size / pages.page, dir);
	if (pager->space)
		return pager;
	ret = errno;
	drop(pager);
	close(*region);
	errno = ret;
	return NULL;
}

static void refuse(struct watched *client, int err)
{
	fprintf(stderr, "memory-daemon: no memory for a client: %s\n",
		mbuf_strerror(err));
	drop(client);
}

/* Memory for one client. */
static void offer_own(int session, int ep, struct watched *client,
		      uint64_t size, const char *dir)
{
	struct mbuf_offer offer = {
		.min = size,
		.wanted = size,
		.max = size,
		.rights = MBUF_REGION_READ | MBUF_REGION_WRITE,
		.options = MBUF_OFFER_MEMFD,
	};
	struct watched *pager;
	int region, ret;

	pager = memory_new(session, ep, size, dir, &region);
	if (!pager) {
		refuse(client, -errno);
		return;
	}
	offer.memory.fd = region;
	ret = mbuf_offer(client->fd, &offer);
	/* The offer keeps it. */
	close(region);
	client->offer = offer.id;
	if (ret < 0) {
		drop(pager);
		refuse(client, ret);
	}
}

/* Where one client of two can send its consent. */
static void ask_consent(int session, int ep, struct watched *client)
{
	struct mbuf_queue_create args = {
		.slots = 1,
		.max_msg = 1,
		.flags = MBUF_QUEUE_CAPS,
		.max_caps = 1,
	};
	int ret;

	client->kind = KIND_SHARER;
	client->consent = -1;
	client->next = sharers;
	sharers = client;
	ret = mbuf_queue_create_args(session, &args);
	if (ret < 0) {
		refuse(client, ret);
		return;
	}
	client->queue = watch(ep, args.recv.fd, KIND_CONSENT, EPOLLIN);
	if (client->queue) {
		ret = mbuf_give(client->fd, args.send.fd);
		if (ret >= 0)
			ret = mbuf_channel_signal(client->fd);
	} else {
		ret = -errno;
		close(args.recv.fd);
	}
	close(args.send.fd);
	if (ret < 0)
		refuse(client, ret);
}

/*
 * Both consents of an offer are there: provide what both take. Whether they are
 * what they seem is for PROVIDE to find out.
 */
static int provide(int session, int ep, const int *consents, const char *dir)
{
	struct mbuf_provide args = {
		.consent = { { .fd = consents[0] }, { .fd = consents[1] } },
		.flags = MBUF_PROVIDE_CHECK,
	};
	struct watched *pager;
	int region, ret;

	ret = mbuf_provide(session, &args);
	if (ret < 0)
		return ret;
	pager = memory_new(session, ep, args.size, dir, &region);
	if (!pager)
		return -errno;
	args.flags = 0;
	args.memory.fd = region;
	ret = mbuf_provide(session, &args);
	close(region);
	if (ret < 0) {
		drop(pager);
		return ret;
	}
	printf("memory-daemon: %zu pages for two that share them\n",
	       pager->space->nr);
	fflush(stdout);
	return 0;
}

/* One client has sent its consent; the other may have done so before. */
static void consented(int session, int ep, struct watched *queue,
		      const char *dir)
{
	struct watched *client = sharers, *other = sharers;
	struct mbuf_consent_info info;
	char room[1];
	struct mbuf_msg msg = { .buf = (uintptr_t)room, .len = sizeof(room) };
	struct mbuf_cap cap = { 0 };
	unsigned int nr = 1;
	int consents[2], ret;

	while (client && client->queue != queue)
		client = client->next;
	if (!client)
		return;
	ret = mbuf_recv_caps(queue->fd, &msg, &cap, &nr, 0, -1, MBUF_NOW);
	if (ret == -EAGAIN)
		return;
	if (ret >= 0)
		ret = !nr ? -EINVAL : cap.error;
	/* One is enough. */
	drop(client->queue);
	client->queue = NULL;
	if (ret < 0) {
		refuse(client, ret);
		return;
	}
	client->consent = cap.ref.fd;
	ret = mbuf_consent_info(client->consent, &info);
	if (ret >= 0)
		ret = -(int)info.error;
	if (ret < 0) {
		refuse(client, ret);
		return;
	}
	client->offer = info.offer;
	while (other && (other == client || other->consent < 0 ||
			 other->offer != info.offer))
		other = other->next;
	if (!other)
		return;
	consents[0] = other->consent;
	consents[1] = client->consent;
	ret = provide(session, ep, consents, dir);
	if (ret < 0) {
		refuse(other, ret);
		refuse(client, ret);
		return;
	}
	drop(other);
	drop(client);
}

/* Somebody has connected. */
static void welcome(int session, int ep, int end, const char *dir)
{
	struct memory_request request;
	struct watched *client;
	int ret;

	client = watch(ep, end, KIND_CONNECTION, EPOLLPRI);
	if (!client) {
		close(end);
		return;
	}
	ret = mbuf_channel_read(end, &request, NULL);
	if (ret < 0)
		refuse(client, ret);
	else if (request.what == MEMORY_OWN)
		offer_own(session, ep, client, request.size, dir);
	else if (request.what == MEMORY_SHARED)
		ask_consent(session, ep, client);
	else
		refuse(client, -EINVAL);
}

/* The client has taken what was offered, or is gone. */
static void answered(struct watched *w)
{
	struct mbuf_answer answer;
	int ret = mbuf_answer(w->fd, w->offer, &answer, MBUF_NOW);

	if (ret == -EAGAIN)
		return;
	if (ret >= 0 && answer.region.fd >= 0)
		close(answer.region.fd);
	drop(w);
}

static int signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static bool told_to_end(int fd)
{
	struct signalfd_siginfo info;

	show();
	return read(fd, &info, sizeof(info)) == sizeof(info) &&
	       info.ssi_signo == SIGTERM;
}

int main(int argc, char **argv)
{
	const char *dir = argc > 2 ? argv[2] : "/tmp";
	long budget = argc > 1 ? strtol(argv[1], NULL, 10) : 0;
	int session, listener, ep, sig, end;
	struct epoll_event event;

	if (budget < 1 || argc > 3) {
		fprintf(stderr, "usage: memory-daemon PAGES [DIRECTORY]\n");
		return 2;
	}
	if (memory_be_nobody()) {
		perror("memory-daemon: cannot give up privileges");
		return 1;
	}
	session = example_open();
	if (session < 0)
		return 1;
	listener = mbuf_listen(session, MEMORY_NAME, strlen(MEMORY_NAME), 0666,
			       16);
	if (listener < 0) {
		fprintf(stderr, "memory-daemon: cannot listen: %s\n",
			mbuf_strerror(listener));
		return 1;
	}
	sig = signals();
	ep = epoll_create1(EPOLL_CLOEXEC);
	if (sig < 0 || ep < 0 || pages_init(&pages, (size_t)budget) ||
	    !watch(ep, listener, KIND_LISTENER, EPOLLIN) ||
	    !watch(ep, sig, KIND_SIGNALS, EPOLLIN)) {
		perror("memory-daemon: cannot begin");
		return 1;
	}
	example_ready("memory-daemon");

	while (epoll_wait(ep, &event, 1, -1) > 0 || errno == EINTR) {
		struct watched *w = event.data.ptr;

		switch (w->kind) {
		case KIND_LISTENER:
			end = mbuf_accept(listener, NULL, MBUF_NOW);
			if (end >= 0)
				welcome(session, ep, end, dir);
			break;
		case KIND_SIGNALS:
			if (told_to_end(sig))
				return 0;
			break;
		case KIND_CONNECTION:
			answered(w);
			break;
		case KIND_SHARER:
			/* It is gone, and nobody else was provided for. */
			drop(w);
			break;
		case KIND_CONSENT:
			consented(session, ep, w, dir);
			break;
		case KIND_PAGER:
			if (space_serve(&pages, w->space) < 0) {
				drop(w);
				show();
			}
			break;
		}
	}
	perror("memory-daemon: epoll");
	return 1;
}
