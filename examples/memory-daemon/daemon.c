// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A memory daemon: gives its clients memory that they can share, as much as
 * they ask for, of which so many pages are in memory at any time and the rest in
 * files. Runs as anybody, for anybody who may connect.
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
 * @offer: KIND_CONNECTION: identity of the offer
 */
struct watched {
	enum { KIND_LISTENER, KIND_SIGNALS, KIND_CONNECTION, KIND_PAGER } kind;
	int fd;
	struct space *space;
	uint64_t offer;
};

static struct pages pages;

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
	if (w->space)
		space_free(&pages, w->space);
	close(w->fd);
	free(w);
}

/* Memory for who has connected; all that it has goes away if that fails. */
static void welcome(int session, int ep, int end, const char *dir)
{
	struct memory_request request;
	struct watched *client = NULL, *pager = NULL;
	struct mbuf_offer offer = {
		.rights = MBUF_REGION_READ | MBUF_REGION_WRITE,
		.options = MBUF_OFFER_MEMFD,
	};
	int fd, region, ret;

	client = watch(ep, end, KIND_CONNECTION, EPOLLPRI);
	if (!client) {
		close(end);
		return;
	}
	ret = mbuf_channel_read(end, &request, NULL);
	if (ret >= 0 && request.size > SIZE_MAX_OF_CLIENT)
		ret = -EDQUOT;
	if (ret < 0)
		goto fail;
	ret = mbuf_paged_create(session, request.size, &fd, &region);
	if (ret < 0)
		goto fail;
	pager = watch(ep, fd, KIND_PAGER, EPOLLIN);
	if (pager)
		pager->space = space_new(fd, request.size / pages.page, dir);
	else
		close(fd);
	offer.min = request.size;
	offer.wanted = request.size;
	offer.max = request.size;
	offer.memory.fd = region;
	ret = pager && pager->space ? mbuf_offer(end, &offer) : -errno;
	/* The offer keeps it. */
	close(region);
	if (ret >= 0) {
		client->offer = offer.id;
		return;
	}
fail:
	fprintf(stderr, "memory-daemon: no memory for a client: %s\n",
		mbuf_strerror(ret));
	if (pager)
		drop(pager);
	drop(client);
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
