// SPDX-License-Identifier: LGPL-2.1-or-later
/* mbufctl doctor: what is wrong with this installation, in words. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <mbuf.h>
#include "ctl.h"

static int problems;

static void good(const char *format, ...)
	__attribute__((format(printf, 1, 2)));
static void bad(const char *format, ...)
	__attribute__((format(printf, 1, 2)));

static void good(const char *format, ...)
{
	va_list ap;

	printf("ok       ");
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
}

static void bad(const char *format, ...)
{
	va_list ap;

	problems++;
	printf(opt.color ? "\033[31mproblem\033[0m  " : "problem  ");
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
}

static bool look_at_module(void)
{
	struct stat st;

	if (stat("/sys/module/mbuf", &st)) {
		bad("the module is not loaded. Try: modprobe mbuf. If there is none, install it");
		return false;
	}
	good("the module is loaded");
	return true;
}

static bool look_at_device(void)
{
	struct mbuf_query q;
	struct stat st;
	int session;

	if (stat("/dev/mbuf", &st)) {
		bad("there is no /dev/mbuf: devtmpfs or udev has not made it");
		return false;
	}
	if ((st.st_mode & 0666) != 0666)
		bad("/dev/mbuf has mode %04o: not everybody can open it; it is meant to be 0666",
		    st.st_mode & 0777);
	session = mbuf_open();
	if (session < 0) {
		bad("/dev/mbuf cannot be opened: %s", mbuf_strerror(session));
		return false;
	}
	if (mbuf_query(session, &q)) {
		bad("/dev/mbuf does not answer: library and module do not fit");
		close(session);
		return false;
	}
	good("/dev/mbuf can be opened and answers");
	if (!(q.features & MBUF_FEATURE_THREAD))
		bad("endpoints cannot belong to threads: this kernel has no tracepoints");
	close(session);
	return true;
}

static void look_at_limits(void)
{
	struct users list = {};
	struct rlimit files;
	size_t i;
	int what;

	if (!getrlimit(RLIMIT_NOFILE, &files) && files.rlim_cur < 256)
		bad("only %llu descriptors are allowed here, one for each object",
		    (unsigned long long)files.rlim_cur);
	if (nl_users(&list)) {
		problems++;
		return;
	}
	for (i = 0; i < list.nr; i++) {
		for (what = 0; what < LIMITS; what++) {
			uint64_t used = list.u[i].n[MBUF_A_USER_OBJECTS +
						    2 * what];
			uint64_t limit = list.u[i].n[MBUF_A_USER_OBJECTS + 1 +
						     2 * what];

			if (limit && used >= limit - limit / 10)
				bad("user %u has %llu of %llu %s; see mbufctl quota",
				    list.u[i].uid, (unsigned long long)used,
				    (unsigned long long)limit,
				    limit_names[what]);
		}
	}
	if (!problems)
		good("nobody is near a limit");
	free(list.u);
}

static void look_at_objects(void)
{
	struct objects list = {};
	int before = problems;
	size_t i;

	if (nl_objects(&list)) {
		problems++;
		return;
	}
	for (i = 0; i < list.nr; i++) {
		const struct object *o = &list.o[i];

		if (o->type == MBUF_OBJECT_TYPE_QUEUE &&
		    o->n[MBUF_A_QUEUE_SEND_WAITERS] &&
		    !o->n[MBUF_A_QUEUE_RECV_WAITERS])
			bad("queue %016llx: %llu senders wait alone: mbufctl show %016llx",
			    (unsigned long long)o->id,
			    (unsigned long long)o->n[MBUF_A_QUEUE_SEND_WAITERS],
			    (unsigned long long)o->id);
		if (o->type == MBUF_OBJECT_TYPE_LISTENER &&
		    o->n[MBUF_A_LISTENER_BACKLOG] &&
		    o->n[MBUF_A_LISTENER_PENDING] >=
		    o->n[MBUF_A_LISTENER_BACKLOG])
			bad("listener %s has no room for connections: nobody accepts",
			    o->name);
		if (o->type == MBUF_OBJECT_TYPE_PAGED &&
		    o->n[MBUF_A_PAGED_WAITING] && o->n[MBUF_A_PAGED_SLOW])
			bad("paged region %016llx: its pager is slow, %llu threads wait",
			    (unsigned long long)o->id,
			    (unsigned long long)o->n[MBUF_A_PAGED_WAITING]);
	}
	if (problems == before)
		good("nothing is stuck");
	free(list.o);
}

int cmd_doctor(int argc, char **argv)
{
	(void)argv;
	if (argc || opt.json) {
		complain("doctor takes no arguments, and speaks to people");
		return EXIT_USAGE;
	}
	if (!look_at_module())
		return EXIT_NO_MODULE;
	if (look_at_device()) {
		look_at_limits();
		look_at_objects();
	}
	return problems ? EXIT_FAILED : EXIT_OK;
}
