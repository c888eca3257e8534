// SPDX-License-Identifier: GPL-2.0
/*
 * Who is at the other end: process, user and group, as of the time when it
 * connected or accepted, and as seen by who asks.
 */
#include "listener.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME	0x00000080
#endif

/* When a process was started, in clock ticks, as /proc has it. */
static long long start_ticks(pid_t pid)
{
	char path[64], text[1024], *p;
	int field;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (!read_file(path, text, sizeof(text)))
		return -1;
	/* What follows the name is field 3. */
	p = strrchr(text, ')');
	for (field = 3; p && field <= 22; field++)
		p = strchr(p + 1, ' ');
	return p ? strtoll(p, NULL, 10) : -1;
}

static long long ticks_of(uint64_t ns)
{
	return (long long)(ns / (NS_PER_SEC /
				 (unsigned long)sysconf(_SC_CLK_TCK)));
}

#define EXPECT_PEER(p, pid_, uid_, gid_) do {				\
	EXPECT_EQ(MBUF_PEER_KNOWN, (p).flags);				\
	EXPECT_EQ((uint32_t)(pid_), (p).pid);				\
	EXPECT_EQ((uint32_t)(uid_), (p).uid);				\
	EXPECT_EQ((uint32_t)(gid_), (p).gid);				\
} while (0)

static int same_peer(const struct mbuf_peer *a, const struct mbuf_peer *b)
{
	return !memcmp(a, b, sizeof(*a));
}

/* Accepts one, and sees to it that ACCEPT and CHANNEL_INFO say the same. */
static int accept_peer(int lfd, struct mbuf_peer *peer)
{
	struct mbuf_accept a = accept_of(0, MBUF_FOREVER);
	struct mbuf_channel_info info;
	int ret = (int)xioctl(lfd, MBUF_IOC_ACCEPT, &a);

	if (ret)
		return ret;
	*peer = a.peer;
	ret = ch_try_info(a.end.ref.fd, &info);
	if (!ret && !same_peer(&info.peer, peer))
		ret = -EPROTO;
	if (ret) {
		close(a.end.ref.fd);
		return ret;
	}
	return a.end.ref.fd;
}

/* A process that connects, and ends when it is killed. */
struct other {
	int session;
	uid_t uid;
	gid_t gid;
	uint32_t flags;
	struct stage *stage;	/* value: its pid as it sees it, its start */
};

static int other_main(void *arg)
{
	struct other *o = arg;
	int fd;

	if (o->uid || o->gid)
		CHECK_EQ(0, become(o->uid, o->gid));
	atomic_store(&o->stage->value[0], getpid());
	atomic_store(&o->stage->value[1], start_ticks(getpid()));
	fd = ls_connect(o->session, o->flags, MBUF_FOREVER);
	CHECK(fd >= 0);
	stage_go(o->stage, 1);
	for (;;)
		pause();
}

TEST_F(listener, itself)
{
	struct mbuf_peer peer, seen;

	make_listener(0200, 1);
	self->con = ls_hello(self->session, 1);
	ASSERT_GE(self->con, 0);
	self->acc = accept_peer(self->lfd, &peer);
	ASSERT_GE(self->acc, 0);
	EXPECT_PEER(peer, getpid(), geteuid(), getegid());
	EXPECT_EQ(start_ticks(getpid()), ticks_of(peer.start));
	/* The other way round, as soon as it is accepted. */
	seen = ch_info(self->con).peer;
	EXPECT_PEER(seen, getpid(), geteuid(), getegid());
	EXPECT_EQ(peer.start, seen.start);
}

TEST_F(listener, not_known_before_it_is_accepted)
{
	struct mbuf_peer none = { }, peer;

	make_listener(0200, 1);
	self->con = ls_hello(self->session, 1);
	ASSERT_GE(self->con, 0);
	peer = ch_info(self->con).peer;
	EXPECT_TRUE(same_peer(&none, &peer));
	close_fd(&self->lfd);
	/* Nobody ever was there. */
	peer = ch_info(self->con).peer;
	EXPECT_TRUE(same_peer(&none, &peer));
}

TEST_F(listener, other_process)
{
	struct other o = { .session = self->session };
	struct mbuf_peer peer, first = { }, seen;
	int i;
	pid_t pid;

	NEED_ROOT();
	o.stage = map_shared(sizeof(*o.stage));
	ASSERT_NE(NULL, o.stage);
	make_listener(0222, 4);
	for (i = 0; i < 3; i++) {
		atomic_store(&o.stage->step, 0);
		o.uid = i ? UID_A : 0;
		o.gid = i ? GID_A : 0;
		pid = spawn(other_main, &o);
		self->acc = accept_peer(self->lfd, &peer);
		ASSERT_GE(self->acc, 0);
		ASSERT_TRUE(stage_wait(o.stage, 1));
		EXPECT_PEER(peer, pid, o.uid, o.gid);
		EXPECT_EQ(atomic_load(&o.stage->value[1]),
			  ticks_of(peer.start));
		EXPECT_EQ(start_ticks(pid), ticks_of(peer.start));
		/* Started one after the other. */
		EXPECT_GT(peer.start, first.start);
		first = peer;
		/* It stays that, also when it is gone. */
		kill_and_reap(pid);
		EXPECT_EQ(MBUF_END_CLOSED, ch_info(self->acc).state);
		seen = ch_info(self->acc).peer;
		EXPECT_TRUE(same_peer(&peer, &seen));
		close_fd(&self->acc);
	}
	munmap(o.stage, sizeof(*o.stage));
}

/* Effective ids, not real ones, of that moment. */
TEST_F(listener, effective_ids)
{
	struct mbuf_peer peer, seen;

	NEED_ROOT();
	make_listener(0222, 4);
	ASSERT_EQ(0, syscall(NR_SETRESGID, -1, GID_A, -1));
	be_euid(UID_A);
	self->con = ls_hello(self->session, 1);
	be_euid(0);
	ASSERT_EQ(0, syscall(NR_SETRESGID, -1, 0, -1));
	ASSERT_GE(self->con, 0);
	self->acc = accept_peer(self->lfd, &peer);
	ASSERT_GE(self->acc, 0);
	EXPECT_PEER(peer, getpid(), UID_A, GID_A);
	seen = ch_info(self->con).peer;
	EXPECT_PEER(seen, getpid(), 0, 0);
}

/* Who calls counts, not who opened the session or has the descriptor later. */
TEST_F(listener, descriptors_are_passed)
{
	struct mbuf_peer peer, seen;
	pid_t pid;
	int status;

	make_listener(0222, 4);
	self->con = ls_hello(self->session, 1);
	ASSERT_GE(self->con, 0);
	/* A child has both now; its own identity plays no part. */
	pid = fork();
	if (!pid) {
		struct mbuf_peer p;
		int fd = accept_peer(self->lfd, &p);

		CHECK(fd >= 0);
		CHECK_EQ(getppid(), p.pid);
		p = ch_info(self->con).peer;
		CHECK_EQ(getpid(), p.pid);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	seen = ch_info(self->con).peer;
	EXPECT_PEER(seen, pid, geteuid(), getegid());
	close_fd(&self->con);

	/* And a session of ours in the hands of a child. */
	pid = fork();
	if (!pid)
		_exit(ls_hello(self->session, 1) < 0 ? 1 : (pause(), 0));
	self->acc = accept_peer(self->lfd, &peer);
	ASSERT_GE(self->acc, 0);
	EXPECT_PEER(peer, pid, geteuid(), getegid());
	kill_and_reap(pid);
}

/* Any thread is its process. */
static void *thread_hello(void *arg)
{
	return (void *)(long)ls_hello(*(int *)arg, 1);
}

TEST_F(listener, threads)
{
	struct mbuf_peer peer;
	pthread_t thread;
	void *ret;

	make_listener(0222, 4);
	ASSERT_EQ(0, pthread_create(&thread, NULL, thread_hello,
				    &self->session));
	pthread_join(thread, &ret);
	self->con = (int)(long)ret;
	ASSERT_GE(self->con, 0);
	self->acc = accept_peer(self->lfd, &peer);
	ASSERT_GE(self->acc, 0);
	EXPECT_PEER(peer, getpid(), geteuid(), getegid());
	EXPECT_EQ(start_ticks(getpid()), ticks_of(peer.start));
}

/* Both ends of a pair are who made it. */
TEST_F(listener, pair)
{
	struct mbuf_peer peer;
	int end[2], i;

	ASSERT_EQ(0, ch_create(self->session, MBUF_END_DETACHED, end));
	for (i = 0; i < 2; i++) {
		peer = ch_info(end[i]).peer;
		EXPECT_PEER(peer, getpid(), geteuid(), getegid());
		EXPECT_EQ(start_ticks(getpid()), ticks_of(peer.start));
	}
	close(end[0]);
	close(end[1]);
}

/*
 * Process id namespaces
 */
struct pidns {
	int session, lfd;
	struct stage *stage;
};

static int in_pidns(void *arg)
{
	struct pidns *p = arg;
	struct mbuf_peer peer;
	int fd, con;

	CHECK_EQ(1, getpid());
	/* One from outside has no number here, but it has a start. */
	fd = accept_peer(p->lfd, &peer);
	CHECK(fd >= 0);
	CHECK_EQ(MBUF_PEER_KNOWN, peer.flags);
	CHECK_EQ(0, peer.pid);
	CHECK_EQ(0, peer.uid);
	CHECK_EQ(atomic_load(&p->stage->value[0]), ticks_of(peer.start));
	close(fd);
	/* Its own, in its own terms. */
	con = ls_hello(p->session, 1);
	CHECK(con >= 0);
	fd = accept_peer(p->lfd, &peer);
	CHECK(fd >= 0);
	CHECK_EQ(1, peer.pid);
	/* And one that others will see. */
	con = ls_hello(p->session, 1);
	CHECK(con >= 0);
	stage_go(p->stage, 1);
	for (;;)
		pause();
}

static int pidns_main(void *arg)
{
	struct pidns *p = arg;
	struct mbuf_peer peer;
	pid_t pid;
	int fd;

	if (unshare(CLONE_NEWPID))
		return 77;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(in_pidns(arg));
	}
	CHECK(pid > 0);
	CHECK(stage_wait(p->stage, 1));
	fd = accept_peer(p->lfd, &peer);
	CHECK(fd >= 0);
	/* As seen from here: another number. */
	CHECK(pid != 1);
	CHECK_EQ(pid, peer.pid);
	CHECK_EQ(start_ticks(pid), ticks_of(peer.start));
	CHECK_EQ(128 + SIGKILL, kill_and_reap(pid));
	return 0;
}

TEST_F(listener, pid_namespaces)
{
	struct pidns p = { .session = self->session };
	int ret;

	NEED_ROOT();
	p.stage = map_shared(sizeof(*p.stage));
	ASSERT_NE(NULL, p.stage);
	atomic_store(&p.stage->value[0], start_ticks(getpid()));
	make_listener(0222, 4);
	p.lfd = self->lfd;
	self->con = ls_hello(self->session, 1);
	ASSERT_GE(self->con, 0);
	ret = reap(spawn(pidns_main, &p));
	munmap(p.stage, sizeof(*p.stage));
	if (ret == 77)
		SKIP(return, "no process id namespaces (CONFIG_PID_NS)");
	EXPECT_EQ(0, ret);
}

/*
 * User namespaces
 */
static int in_userns(void *arg)
{
	struct pidns *p = arg;
	struct mbuf_peer peer;
	int fd;

	/* One of root outside, who has no id here. */
	fd = accept_peer(p->lfd, &peer);
	CHECK(fd >= 0);
	CHECK_EQ(overflow_id("uid"), peer.uid);
	CHECK_EQ(overflow_id("gid"), peer.gid);
	CHECK_EQ(atomic_load(&p->stage->value[0]), peer.pid);
	close(fd);
	/* One of UID_A + 2, and of a group that has none. */
	fd = accept_peer(p->lfd, &peer);
	CHECK(fd >= 0);
	CHECK_EQ(2, peer.uid);
	CHECK_EQ(overflow_id("gid"), peer.gid);
	close(fd);
	/* And one to be seen outside: 0 and 0 here. */
	fd = ls_hello(p->session, 1);
	CHECK(fd >= 0);
	fd = accept_peer(p->lfd, &peer);
	CHECK(fd >= 0);
	CHECK_EQ(0, peer.uid);
	CHECK_EQ(0, peer.gid);
	/* Not close(): the process that connects must be there at once. */
	fd = ls_connect(p->session, 0, MBUF_FOREVER);
	CHECK(fd >= 0);
	return 0;
}

struct outside {
	int lfd;
	struct mbuf_peer peer;
	int ret;
};

static void *outside_accept(void *arg)
{
	struct outside *o = arg;

	/* The one that sleeps in CONNECT. */
	while (!EVENTUALLY(ls_info(o->lfd).accepted == 3))
		;
	o->ret = accept_peer(o->lfd, &o->peer);
	return NULL;
}

TEST_F(listener, user_namespaces)
{
	struct pidns p = { .session = self->session };
	struct outside o = { };
	pthread_t thread;
	int ret;

	NEED_ROOT();
	p.stage = map_shared(sizeof(*p.stage));
	ASSERT_NE(NULL, p.stage);
	atomic_store(&p.stage->value[0], getpid());
	make_listener(0222, 4);
	p.lfd = self->lfd;
	o.lfd = self->lfd;
	self->con = ls_hello(self->session, 1);
	ASSERT_GE(self->con, 0);
	ASSERT_EQ(0, syscall(NR_SETRESGID, -1, GID_A, -1));
	be_euid(UID_A + 2);
	self->acc = ls_hello(self->session, 2);
	be_euid(0);
	ASSERT_EQ(0, syscall(NR_SETRESGID, -1, 0, -1));
	ASSERT_GE(self->acc, 0);
	ASSERT_EQ(0, pthread_create(&thread, NULL, outside_accept, &o));
	ret = run_in_userns(UID_A, 10, in_userns, &p);
	if (ret == 77) {
		int fds[3], i;

		/* Let the thread go. */
		for (i = 0; i < 3; i++) {
			fds[i] = ls_hello(self->session, 1);
			ls_accept_num(self->lfd, MBUF_NOW);
			close(fds[i]);
		}
		self->lfd = -1;
		SKIP(return, "no user namespaces");
	}
	EXPECT_EQ(0, ret);
	pthread_join(thread, NULL);
	ASSERT_GE(o.ret, 0);
	EXPECT_EQ(MBUF_PEER_KNOWN, o.peer.flags);
	EXPECT_EQ(UID_A, o.peer.uid);
	EXPECT_EQ(UID_A, o.peer.gid);
	close(o.ret);
	munmap(p.stage, sizeof(*p.stage));
}

/*
 * Time namespaces: the start is as /proc has it for who asks.
 */
static int in_timens(void *arg)
{
	struct pidns *p = arg;
	struct mbuf_peer peer;
	int fd, con;

	/* Some thousand seconds later than outside. */
	con = ls_hello(p->session, 1);
	CHECK(con >= 0);
	fd = accept_peer(p->lfd, &peer);
	CHECK(fd >= 0);
	CHECK_EQ(start_ticks(getpid()), ticks_of(peer.start));
	CHECK(ticks_of(peer.start) - atomic_load(&p->stage->value[0]) >
	      5000 * sysconf(_SC_CLK_TCK));
	close(fd);
	con = ls_hello(p->session, 1);
	CHECK(con >= 0);
	stage_go(p->stage, 1);
	for (;;)
		pause();
}

static int timens_main(void *arg)
{
	struct pidns *p = arg;
	struct mbuf_peer peer;
	pid_t pid;
	int fd;

	if (unshare(CLONE_NEWTIME))
		return 77;
	CHECK(write_file("/proc/self/timens_offsets", "boottime 7000 0\n"));
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(in_timens(arg));
	}
	CHECK(pid > 0);
	CHECK(stage_wait(p->stage, 1));
	/* From here it is another time, and the same as /proc says. */
	fd = accept_peer(p->lfd, &peer);
	CHECK(fd >= 0);
	CHECK_EQ(pid, peer.pid);
	CHECK_EQ(start_ticks(pid), ticks_of(peer.start));
	CHECK(ticks_of(peer.start) - atomic_load(&p->stage->value[0]) <
	      5000 * sysconf(_SC_CLK_TCK));
	CHECK_EQ(128 + SIGKILL, kill_and_reap(pid));
	return 0;
}

TEST_F(listener, time_namespaces)
{
	struct pidns p = { .session = self->session };
	int ret;

	NEED_ROOT();
	p.stage = map_shared(sizeof(*p.stage));
	ASSERT_NE(NULL, p.stage);
	atomic_store(&p.stage->value[0], start_ticks(getpid()));
	make_listener(0222, 4);
	p.lfd = self->lfd;
	ret = reap(spawn(timens_main, &p));
	munmap(p.stage, sizeof(*p.stage));
	if (ret == 77)
		SKIP(return, "no time namespaces (CONFIG_TIME_NS)");
	EXPECT_EQ(0, ret);
}

/* exec by another thread: it is the same process, and has not begun anew. */
static void *exec_thread(void *arg)
{
	(void)arg;
	execl("/proc/self/exe", "listener_peer", "--wait", NULL);
	_exit(9);
}

TEST_F(listener, exec)
{
	struct mbuf_peer before, after;
	long long start;
	pid_t pid;

	make_listener(0222, 4);
	pid = fork();
	if (!pid) {
		pthread_t thread;
		int fd = ls_hello(self->session, 1);

		CHECK(fd >= 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fcntl(fd, F_SETFD, 0);
		CHECK_EQ(0, pthread_create(&thread, NULL, exec_thread, NULL));
		for (;;)
			pause();
	}
	self->acc = accept_peer(self->lfd, &before);
	ASSERT_GE(self->acc, 0);
	start = start_ticks(pid);
	ASSERT_TRUE(EVENTUALLY(ch_info(self->acc).signals == 2));
	after = ch_info(self->acc).peer;
	EXPECT_TRUE(same_peer(&before, &after));
	EXPECT_EQ(start, start_ticks(pid));
	EXPECT_EQ(start, ticks_of(after.start));
	kill_and_reap(pid);
}

/* What exec() starts: tells by a signal that it is there. */
static void __attribute__((noreturn)) wait_main(void)
{
	int fd;

	for (fd = 3; fd < 64; fd++) {
		struct mbuf_channel_info info;

		if (!ch_try_info(fd, &info))
			ch_signal(fd);
	}
	for (;;)
		pause();
}

static void __attribute__((constructor)) maybe_wait(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--wait"))
		wait_main();
}

TEST_HARNESS_MAIN
