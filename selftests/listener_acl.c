// SPDX-License-Identifier: GPL-2.0
/*
 * Who may connect: owner, group and mode, the list of users, and what it costs
 * the listener to say no.
 */
#include <dirent.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include "listener.h"

/* A listener that belongs to others than its maker. */
#define make_listener_of(uid_, gid_, mode_) do {			\
	struct mbuf_listen __l = listen_of(NAME, NAME_LEN, mode_, 16);	\
									\
	__l.flags |= MBUF_LISTEN_OWNER | MBUF_LISTEN_GROUP;		\
	__l.uid = (uid_);						\
	__l.gid = (gid_);						\
	ASSERT_EQ(0, xioctl(self->session, MBUF_IOC_LISTEN, &__l));	\
	self->lfd = __l.listener.fd;					\
} while (0)

/*
 * Owner, group, mode
 */
enum who { OWNER, OWNER_IN_GROUP, IN_GROUP, IN_MORE_GROUPS, OTHER, ROOT, NR_WHO };

static const char *const who_names[NR_WHO] = {
	"the owner", "the owner, in the group", "in the group",
	"in the group besides others", "other", "root",
};

/* Changes effective ids to be one of them, and back. */
static void be_who(enum who who)
{
	const gid_t groups[] = { 3, GID_A, 5 };
	bool in_group = who == OWNER_IN_GROUP || who == IN_GROUP;

	if (syscall(NR_SETGROUPS, who == IN_MORE_GROUPS ? 3 : 0, groups) ||
	    syscall(NR_SETRESGID, -1, in_group ? GID_A : 7, -1))
		abort();
	be_euid(who == ROOT ? 0 : who <= OWNER_IN_GROUP ? UID_A : UID_B);
}

static void be_root(void)
{
	be_euid(0);
	if (syscall(NR_SETRESGID, -1, 0, -1) || syscall(NR_SETGROUPS, 0, NULL))
		abort();
}

static int connect_who(int session, enum who who)
{
	int ret;

	be_who(who);
	ret = ls_connect(session, MBUF_CONNECT_ASYNC, MBUF_FOREVER);
	be_root();
	if (ret < 0)
		return ret;
	close(ret);
	return 0;
}

static bool mode_allows(enum who who, uint32_t mode)
{
	switch (who) {
	case OWNER:
	case OWNER_IN_GROUP:
		return mode & 0200;
	case IN_GROUP:
	case IN_MORE_GROUPS:
		return mode & 0020;
	default:
		return mode & 0002;
	}
}

TEST_F(listener, modes)
{
	uint64_t denied = 0;
	enum who who;
	uint32_t mode;

	NEED_ROOT();
	make_listener_of(UID_A, GID_A, 0);
	for (mode = 0; mode <= 0777; mode++) {
		/* Only some of those whose other bits differ. */
		if (mode & 0555 && (mode & 0555) != 0555 &&
		    (mode & 0555) != 0111)
			continue;
		ASSERT_EQ(0, ls_set_mode(self->lfd, mode));
		ASSERT_EQ(mode, ls_info(self->lfd).mode);
		for (who = 0; who < NR_WHO; who++) {
			bool yes = mode_allows(who, mode);

			EXPECT_EQ(yes ? 0 : -EACCES,
				  connect_who(self->session, who)) {
				TH_LOG("mode %04o, %s", mode, who_names[who]);
			}
			denied += !yes;
		}
	}
	EXPECT_EQ(denied, ls_info(self->lfd).denied);
	EXPECT_EQ(0, ls_info(self->lfd).pending);
}

/* The effective ids count, not the real ones. */
TEST_F(listener, effective_ids)
{
	NEED_ROOT();
	make_listener(0200, 1);		/* of root */
	be_euid(UID_A);
	EXPECT_EQ(0, getuid());
	EXPECT_EQ(-EACCES, ls_connect(self->session, 0, MBUF_FOREVER));
	be_euid(0);
	close_fd(&self->lfd);

	be_euid(UID_A);
	make_listener(0200, 1);
	EXPECT_EQ(UID_A, ls_info(self->lfd).uid);
	EXPECT_EQ(0, ls_may_connect(UID_A, self->session));
	be_euid(0);
	EXPECT_EQ(-EACCES, ls_connect(self->session, 0, MBUF_FOREVER));
}

TEST_F(listener, owner_and_group_change)
{
	struct mbuf_listener_set s = { .flags = MBUF_LISTEN_OWNER };
	struct mbuf_listener_info info;

	NEED_ROOT();
	make_listener_of(UID_A, GID_A, 0200);
	EXPECT_EQ(0, ls_may_connect(UID_A, self->session));
	EXPECT_EQ(-EACCES, ls_may_connect(UID_B, self->session));
	s.uid = UID_B;
	ASSERT_EQ(0, xioctl(self->lfd, MBUF_IOC_LISTENER_SET, &s));
	EXPECT_EQ(-EACCES, ls_may_connect(UID_A, self->session));
	EXPECT_EQ(0, ls_may_connect(UID_B, self->session));
	info = ls_info(self->lfd);
	EXPECT_EQ(UID_B, info.uid);
	EXPECT_EQ(GID_A, info.gid);
	EXPECT_EQ(0200, info.mode);

	/* All at once. */
	memset(&s, 0, sizeof(s));
	s.flags = MBUF_LISTEN_OWNER | MBUF_LISTEN_GROUP | MBUF_LISTEN_MODE |
		  MBUF_LISTEN_BACKLOG;
	s.uid = UID_A;
	s.gid = 7;
	s.mode = 0020;
	s.backlog = 3;
	ASSERT_EQ(0, xioctl(self->lfd, MBUF_IOC_LISTENER_SET, &s));
	info = ls_info(self->lfd);
	EXPECT_EQ(UID_A, info.uid);
	EXPECT_EQ(7, info.gid);
	EXPECT_EQ(0020, info.mode);
	EXPECT_EQ(3, info.backlog);
	EXPECT_EQ(-EACCES, connect_who(self->session, OWNER));
	EXPECT_EQ(0, connect_who(self->session, OTHER));
	EXPECT_EQ(-EACCES, connect_who(self->session, IN_GROUP));
	/* Nothing, too. */
	memset(&s, 0, sizeof(s));
	EXPECT_EQ(0, xioctl(self->lfd, MBUF_IOC_LISTENER_SET, &s));
	EXPECT_EQ(0020, ls_info(self->lfd).mode);
}

/* Who may give what to whom. */
static int listen_with(int session, uint32_t flags, uint32_t uid, uint32_t gid)
{
	struct mbuf_listen l = listen_of(NAME, NAME_LEN, 0600, 1);
	int ret;

	l.flags |= flags;
	l.uid = uid;
	l.gid = gid;
	ret = (int)xioctl(session, MBUF_IOC_LISTEN, &l);
	if (!ret)
		close(l.listener.fd);
	return ret;
}

static int set_with(int lfd, uint32_t flags, uint32_t uid, uint32_t gid)
{
	struct mbuf_listener_set s = { .flags = flags, .uid = uid, .gid = gid };

	return (int)xioctl(lfd, MBUF_IOC_LISTENER_SET, &s);
}

TEST_F(listener, giving_away)
{
	const uint32_t o = MBUF_LISTEN_OWNER, g = MBUF_LISTEN_GROUP;
	int i;

	NEED_ROOT();
	EXPECT_EQ(0, listen_with(self->session, o | g, UID_A, GID_A));
	/* In GID_A and 3 and 5, and with 7 as the effective one. */
	be_who(IN_MORE_GROUPS);
	EXPECT_EQ(0, listen_with(self->session, o, UID_B, 0));
	EXPECT_EQ(0, listen_with(self->session, g, 0, 7));
	EXPECT_EQ(0, listen_with(self->session, g, 0, GID_A));
	EXPECT_EQ(0, listen_with(self->session, o | g, UID_B, 5));
	EXPECT_EQ(-EPERM, listen_with(self->session, o, UID_A, 0));
	EXPECT_EQ(-EPERM, listen_with(self->session, o, 0, 0));
	EXPECT_EQ(-EPERM, listen_with(self->session, g, 0, 8));
	EXPECT_EQ(-EPERM, listen_with(self->session, g, 0, 0));
	EXPECT_EQ(-EPERM, listen_with(self->session, o | g, UID_A, 7));
	EXPECT_EQ(-EPERM, listen_with(self->session, o | g, UID_B, 8));
	make_listener(0600, 1);
	be_root();
	for (i = 0; i < 2; i++) {
		/* Who changes it is asked, not who made it. */
		if (i)
			EXPECT_EQ(0, set_with(self->lfd, o | g, UID_A, 8));
		be_who(IN_MORE_GROUPS);
		EXPECT_EQ(0, set_with(self->lfd, o, UID_B, 0));
		EXPECT_EQ(0, set_with(self->lfd, g, 0, 3));
		EXPECT_EQ(-EPERM, set_with(self->lfd, o, UID_A, 0));
		EXPECT_EQ(-EPERM, set_with(self->lfd, g, 0, 8));
		EXPECT_EQ(-EPERM, set_with(self->lfd, o | g, UID_B, 8));
		be_root();
		EXPECT_EQ(UID_B, ls_info(self->lfd).uid);
		EXPECT_EQ(3, ls_info(self->lfd).gid);
	}
	/* Ids that nobody has. */
	EXPECT_EQ(-EINVAL, listen_with(self->session, o, UINT32_MAX, 0));
	EXPECT_EQ(-EINVAL, listen_with(self->session, g, 0, UINT32_MAX));
	EXPECT_EQ(-EINVAL, set_with(self->lfd, o, UINT32_MAX, 0));
	EXPECT_EQ(-EINVAL, set_with(self->lfd, g, 0, UINT32_MAX));
	/* Ids that do not count. */
	EXPECT_EQ(-EINVAL, listen_with(self->session, g, 1, 0));
	EXPECT_EQ(-EINVAL, listen_with(self->session, o, 0, 1));
	EXPECT_EQ(-EINVAL, set_with(self->lfd, g, 1, 0));
	EXPECT_EQ(-EINVAL, set_with(self->lfd, o, 0, 1));
}

/*
 * The list
 */
TEST_F(listener, list)
{
	NEED_ROOT();
	make_listener(0222, 4);
	EXPECT_EQ(0, ls_may_connect(UID_A, self->session));
	ASSERT_EQ(0, ls_acl(self->lfd, UID_A, MBUF_ACL_DENY));
	EXPECT_EQ(1, ls_info(self->lfd).acl_nr);
	EXPECT_EQ(-EACCES, ls_may_connect(UID_A, self->session));
	EXPECT_EQ(0, ls_may_connect(UID_B, self->session));
	EXPECT_EQ(0, ls_may_connect(0, self->session));
	EXPECT_EQ(1, ls_info(self->lfd).denied);
	/* Not by waiting, either. */
	EXPECT_EQ(-EACCES, ls_connect_as(UID_A, self->session, 0,
					 MBUF_FOREVER));
	EXPECT_EQ(-EACCES, ls_connect_as(UID_A, self->session, 0, MBUF_NOW));
	EXPECT_EQ(3, ls_info(self->lfd).denied);

	/* It says yes against the mode as well as no. */
	ASSERT_EQ(0, ls_set_mode(self->lfd, 0));
	ASSERT_EQ(0, ls_acl(self->lfd, UID_B, MBUF_ACL_ALLOW));
	EXPECT_EQ(2, ls_info(self->lfd).acl_nr);
	EXPECT_EQ(-EACCES, ls_may_connect(UID_A, self->session));
	EXPECT_EQ(0, ls_may_connect(UID_B, self->session));
	EXPECT_EQ(-EACCES, ls_may_connect(0, self->session));
	ASSERT_EQ(0, ls_acl(self->lfd, 0, MBUF_ACL_ALLOW));
	EXPECT_EQ(0, ls_may_connect(0, self->session));

	/* Another opinion, and none. */
	ASSERT_EQ(0, ls_acl(self->lfd, UID_A, MBUF_ACL_ALLOW));
	ASSERT_EQ(0, ls_acl(self->lfd, UID_B, MBUF_ACL_DENY));
	EXPECT_EQ(3, ls_info(self->lfd).acl_nr);
	EXPECT_EQ(0, ls_may_connect(UID_A, self->session));
	EXPECT_EQ(-EACCES, ls_may_connect(UID_B, self->session));
	ASSERT_EQ(0, ls_set_mode(self->lfd, 0222));
	ASSERT_EQ(0, ls_acl(self->lfd, UID_B, MBUF_ACL_FORGET));
	ASSERT_EQ(0, ls_acl(self->lfd, UID_B, MBUF_ACL_FORGET));
	EXPECT_EQ(2, ls_info(self->lfd).acl_nr);
	EXPECT_EQ(0, ls_may_connect(UID_B, self->session));

	EXPECT_EQ(-EINVAL, ls_acl(self->lfd, UID_A, 3));
	EXPECT_EQ(-EINVAL, ls_acl(self->lfd, UID_A, UINT32_MAX));
	EXPECT_EQ(-EINVAL, ls_acl(self->lfd, UINT32_MAX, MBUF_ACL_ALLOW));
	EXPECT_EQ(-EINVAL, ls_acl(self->lfd, UINT32_MAX, MBUF_ACL_FORGET));
	EXPECT_EQ(2, ls_info(self->lfd).acl_nr);
}

/* Against a simple model, in any order. */
TEST_F(listener, list_at_random)
{
	enum { NR = 24 };
	uint32_t model[NR] = {}, mode = 0;
	unsigned int seed = 1, i, nr, round;
	struct mbuf_query before, q;

	NEED_ROOT();
	make_listener(0, 4);
	ASSERT_EQ(0, mbuf_query(self->session, &before));
	for (round = 0; round < 600; round++) {
		uint32_t at = (uint32_t)rand_r(&seed) % NR;
		uint32_t op = (uint32_t)rand_r(&seed) % 3;

		if (rand_r(&seed) % 16 == 0) {
			/* The group is still the listener's. */
			mode ^= 0022;
			ASSERT_EQ(0, ls_set_mode(self->lfd, mode));
		}
		ASSERT_EQ(0, ls_acl(self->lfd, UID_A + at * 7919 % NR, op));
		model[at] = op;
		for (i = 0, nr = 0; i < NR; i++) {
			nr += model[i] != MBUF_ACL_FORGET;
			/* All of them now and then. */
			if (i != at && round % 16)
				continue;
			ASSERT_EQ(model[i] == MBUF_ACL_ALLOW ||
				  (model[i] == MBUF_ACL_FORGET && mode) ?
				  0 : -EACCES,
				  ls_may_connect(UID_A + i * 7919 % NR,
						 self->session)) {
				TH_LOG("round %u, user %u", round, i);
			}
		}
		ASSERT_EQ(nr, ls_info(self->lfd).acl_nr);
		/* Each user in the list is paid for. */
		ASSERT_EQ(0, mbuf_query(self->session, &q));
		ASSERT_EQ(before.memory.used + 8 * nr, q.memory.used);
	}
}

TEST_F(listener, list_is_full)
{
	uint32_t i;

	NEED_ROOT();
	make_listener(0222, 4);
	/* Downwards, upwards, and from the middle. */
	for (i = 0; i < 4096; i++)
		ASSERT_EQ(0, ls_acl(self->lfd, 100000 + i * 2731 % 4096,
				    i % 2 ? MBUF_ACL_DENY : MBUF_ACL_ALLOW));
	EXPECT_EQ(4096, ls_info(self->lfd).acl_nr);
	EXPECT_EQ(-ENOSPC, ls_acl(self->lfd, 99999, MBUF_ACL_ALLOW));
	EXPECT_EQ(-ENOSPC, ls_acl(self->lfd, 99999, MBUF_ACL_DENY));
	EXPECT_EQ(0, ls_acl(self->lfd, 99999, MBUF_ACL_FORGET));
	EXPECT_EQ(0, ls_may_connect(99999, self->session));
	/* Who is in it can be changed. */
	EXPECT_EQ(0, ls_acl(self->lfd, 100000, MBUF_ACL_DENY));
	EXPECT_EQ(-EACCES, ls_may_connect(100000, self->session));
	EXPECT_EQ(0, ls_acl(self->lfd, 100000, MBUF_ACL_ALLOW));
	EXPECT_EQ(0, ls_may_connect(100000, self->session));
	EXPECT_EQ(0, ls_acl(self->lfd, 100000, MBUF_ACL_FORGET));
	EXPECT_EQ(0, ls_acl(self->lfd, 99999, MBUF_ACL_DENY));
	EXPECT_EQ(-EACCES, ls_may_connect(99999, self->session));
	EXPECT_EQ(4096, ls_info(self->lfd).acl_nr);
	for (i = 1; i < 4096; i += 173)
		EXPECT_EQ(i * 2731 % 4096 == 0 ? 0 : i % 2 ? -EACCES : 0,
			  ls_may_connect(100000 + i * 2731 % 4096,
					 self->session));
}

/*
 * DENY refuses those who wait already.
 */
TEST_F(listener, deny_refuses_who_waits)
{
	enum { NR = 30 };
	int con[NR], q[2], i, left;
	struct mbuf_listener_info info;

	NEED_ROOT();
	make_listener(0222, 12);
	for (i = 0; i < 2; i++) {
		q[i] = ls_queue(self->lfd, 12);
		ASSERT_GE(q[i], 0);
	}
	for (i = 0; i < NR; i++) {
		be_euid(i % 3 == 1 ? UID_A : UID_B);
		con[i] = ls_hello(self->session, (uint64_t)i + 1);
		be_euid(0);
		ASSERT_GE(con[i], 0);
	}
	ASSERT_EQ(0, ls_acl(self->lfd, UID_A, MBUF_ACL_DENY));
	for (i = 0; i < NR; i++)
		EXPECT_EQ(i % 3 == 1 ? -ECONNREFUSED : 0, ch_signal(con[i]));
	info = ls_info(self->lfd);
	EXPECT_EQ(NR / 3, info.denied);
	EXPECT_EQ(0, info.withdrawn);
	EXPECT_EQ(NR - NR / 3, info.pending + ls_info(q[0]).pending +
			       ls_info(q[1]).pending);

	/* The others are there, in order. */
	for (left = 0; left < 3; left++) {
		int64_t last = 0, num;

		while ((num = ls_accept_num(left < 2 ? q[left] : self->lfd,
					    MBUF_NOW)) > 0) {
			EXPECT_GT(num, last);
			EXPECT_NE(1, (num - 1) % 3);
			last = num;
		}
		EXPECT_EQ(-EAGAIN, num);
	}
	EXPECT_EQ(NR - NR / 3, ls_info(self->lfd).accepted);
	for (i = 0; i < NR; i++)
		close(con[i]);
	close(q[0]);
	close(q[1]);
}

/* Also who sleeps in CONNECT. */
static int connect_child(void *arg)
{
	int ret = ls_connect(*(int *)arg, 0, MBUF_FOREVER);

	return ret < 0 ? -ret : 0;
}

TEST_F(listener, deny_wakes_who_connects)
{
	pid_t a, b;

	NEED_ROOT();
	make_listener(0222, 4);
	a = spawn_as(UID_A, connect_child, &self->session);
	ASSERT_PENDING(self->lfd, 1);
	b = spawn_as(UID_B, connect_child, &self->session);
	ASSERT_PENDING(self->lfd, 2);
	ASSERT_EQ(0, ls_acl(self->lfd, UID_A, MBUF_ACL_DENY));
	EXPECT_EQ(ECONNREFUSED, reap(a));
	EXPECT_EQ(1, ls_info(self->lfd).pending);
	self->acc = ls_accept(self->lfd, 0, MBUF_NOW);
	EXPECT_GE(self->acc, 0);
	EXPECT_EQ(0, reap(b));
}

/* One that somebody is about to accept, and then cannot. */
TEST_F(listener, deny_what_comes_back)
{
	struct stuck_accept s;
	int deny, err;

	NEED_ROOT();
	for (deny = 0; deny < 2; deny++) {
		make_listener(0222, 4);
		err = stuck_accept_start(&s, self->lfd, 0);
		if (err)
			SKIP(return, "no userfaultfd: %s", mbuf_strerror(err));
		be_euid(UID_A);
		self->con = ls_hello(self->session, 3);
		be_euid(0);
		ASSERT_GE(self->con, 0);
		ASSERT_NE(0, stuck_wait(&s.stuck));
		EXPECT_EQ(0, ls_info(self->lfd).pending);
		EXPECT_EQ(0, ls_info(self->lfd).waiters);
		if (deny)
			ASSERT_EQ(0, ls_acl(self->lfd, UID_A, MBUF_ACL_DENY));
		EXPECT_EQ(MBUF_END_PENDING, ch_info(self->con).state);
		EXPECT_EQ(-EFAULT, stuck_accept_break(&s));
		EXPECT_EQ(!deny, ls_info(self->lfd).pending);
		EXPECT_EQ(deny, ls_info(self->lfd).denied);
		EXPECT_EQ(deny ? -EAGAIN : 3,
			  ls_accept_num(self->lfd, MBUF_NOW));
		EXPECT_EQ(deny ? -ECONNREFUSED : -EPIPE, ch_signal(self->con));
		close_fd(&self->con);
		close_fd(&self->lfd);
	}
}

/* DENY is in force for all that begin after it has returned. */
struct knocker {
	int session;
	bool keeps;
	_Atomic bool *stop;
	_Atomic unsigned int *turn;	/* odd: denied */
	_Atomic long let_in, late;
	pthread_t thread;
};

#define KEPT	16

static void *knocker_main(void *arg)
{
	struct knocker *k = arg;
	int kept[KEPT], nr = 0, i;

	be_euid(UID_A);
	while (!atomic_load(k->stop)) {
		unsigned int turn = atomic_load(k->turn);
		int fd = ls_connect(k->session, MBUF_CONNECT_ASYNC,
				    MBUF_FOREVER);

		if (fd >= 0) {
			atomic_fetch_add(&k->let_in, 1);
			if (turn % 2 && turn == atomic_load(k->turn))
				atomic_fetch_add(&k->late, 1);
			if (k->keeps && nr < KEPT)
				kept[nr++] = fd;
			else
				close(fd);
		}
		/* Only being refused takes them out of the queue. */
		for (i = 0; i < nr; i++) {
			if (ch_info(kept[i]).state & MBUF_END_REFUSED) {
				close(kept[i]);
				kept[i--] = kept[--nr];
			}
		}
	}
	while (nr)
		close(kept[--nr]);
	return NULL;
}

TEST_F(listener, deny_is_in_force_at_once)
{
	_Atomic unsigned int turn = 0;
	_Atomic bool stop = false;
	struct knocker k[2];
	int i, n, q;

	NEED_ROOT();
	make_listener(0222, 64);
	q = ls_queue(self->lfd, 64);
	ASSERT_GE(q, 0);
	memset(k, 0, sizeof(k));
	for (n = 0; n < 2; n++) {
		k[n].session = self->session;
		k[n].keeps = n;
		k[n].stop = &stop;
		k[n].turn = &turn;
		ASSERT_EQ(0, pthread_create(&k[n].thread, NULL, knocker_main,
					    &k[n]));
	}
	for (i = 0; i < 200; i++) {
		n = i % 2;
		{
			long in = atomic_load(&k[n].let_in);

			ASSERT_TRUE(EVENTUALLY(atomic_load(&k[n].let_in) > in));
		}
		ASSERT_EQ(0, ls_acl(self->lfd, UID_A, MBUF_ACL_DENY));
		atomic_fetch_add(&turn, 1);
		ASSERT_EQ(0, ls_info(self->lfd).pending);
		ASSERT_EQ(0, ls_info(q).pending);
		atomic_fetch_add(&turn, 1);
		ASSERT_EQ(0, ls_acl(self->lfd, UID_A, MBUF_ACL_FORGET));
	}
	atomic_store(&stop, true);
	for (n = 0; n < 2; n++) {
		pthread_join(k[n].thread, NULL);
		EXPECT_EQ(0, atomic_load(&k[n].late));
	}
	TH_LOG("%ld and %ld got in", atomic_load(&k[0].let_in),
	       atomic_load(&k[1].let_in));
	close(q);
}

/*
 * Who made it: against others who take a name first.
 */
static int connect_expecting(int session, uint32_t uid)
{
	struct mbuf_connect c = connect_of(NAME, NAME_LEN, MBUF_CONNECT_ASYNC |
					   MBUF_CONNECT_UID, MBUF_FOREVER);
	int ret;

	c.uid = uid;
	ret = (int)xioctl(session, MBUF_IOC_CONNECT, &c);
	if (!ret)
		close(c.end.ref.fd);
	return ret;
}

TEST_F(listener, expected_maker)
{
	struct mbuf_connect c;
	uint64_t denied;

	NEED_ROOT();
	be_euid(UID_A);
	make_listener(0222, 4);
	be_euid(0);
	EXPECT_EQ(0, connect_expecting(self->session, UID_A));
	EXPECT_EQ(-EACCES, connect_expecting(self->session, UID_B));
	EXPECT_EQ(-EACCES, connect_expecting(self->session, 0));
	EXPECT_EQ(-EINVAL, connect_expecting(self->session, UINT32_MAX));
	/* It does not hear of who was not looking for it. */
	EXPECT_EQ(0, ls_info(self->lfd).denied);

	/* The owner is another thing. */
	EXPECT_EQ(0, set_with(self->lfd, MBUF_LISTEN_OWNER, UID_B, 0));
	EXPECT_EQ(0, connect_expecting(self->session, UID_A));
	EXPECT_EQ(-EACCES, connect_expecting(self->session, UID_B));

	/* And it does not help who is denied. */
	ASSERT_EQ(0, ls_acl(self->lfd, UID_B, MBUF_ACL_DENY));
	denied = ls_info(self->lfd).denied;
	be_euid(UID_B);
	EXPECT_EQ(-EACCES, connect_expecting(self->session, UID_A));
	be_euid(0);
	EXPECT_EQ(denied + 1, ls_info(self->lfd).denied);
	close_fd(&self->lfd);
	EXPECT_EQ(-ECONNREFUSED, connect_expecting(self->session, UID_A));

	c = connect_of(NAME, NAME_LEN, 0, MBUF_NOW);
	c.uid = 1;
	EXPECT_EQ(-EINVAL, xioctl(self->session, MBUF_IOC_CONNECT, &c));
}

/*
 * User namespaces
 */
struct ns_test {
	int session, lfd;
};

/* Here 0 to 9 are UID_A and what follows. */
static int userns_child(void *arg)
{
	struct ns_test *t = arg;
	struct mbuf_listener_info info;
	struct mbuf_listen l;
	int session, lfd;

	/* A listener from outside, of outside's root. */
	info = ls_info(t->lfd);
	CHECK_EQ(overflow_id("uid"), info.uid);
	CHECK_EQ(overflow_id("gid"), info.gid);
	CHECK_EQ(-EINVAL, ls_acl(t->lfd, UID_A, MBUF_ACL_ALLOW));
	CHECK_EQ(-EINVAL, ls_acl(t->lfd, 10, MBUF_ACL_ALLOW));
	CHECK_EQ(-EINVAL, connect_expecting(t->session, 10));
	/* 1 here is UID_A + 1 there. */
	CHECK_EQ(0, ls_acl(t->lfd, 1, MBUF_ACL_DENY));
	CHECK_EQ(0, ls_acl(t->lfd, 0, MBUF_ACL_ALLOW));
	CHECK_EQ(0, ls_may_connect(0, t->session));
	CHECK_EQ(-EACCES, ls_may_connect(1, t->session));
	CHECK_EQ(-EACCES, connect_expecting(t->session, 0));
	/* Its root may not give it to whom it does not know, or did not make. */
	CHECK_EQ(-EINVAL, set_with(t->lfd, MBUF_LISTEN_OWNER, 10, 0));
	CHECK_EQ(-EINVAL, set_with(t->lfd, MBUF_LISTEN_GROUP, 0, 10));

	/* One from inside. */
	session = mbuf_open();
	CHECK(session >= 0);
	l = listen_of("inside", 6, 0200, 4);
	l.flags |= MBUF_LISTEN_OWNER | MBUF_LISTEN_GROUP;
	l.uid = 3;
	l.gid = 4;
	CHECK_EQ(0, xioctl(session, MBUF_IOC_LISTEN, &l));
	lfd = l.listener.fd;
	CHECK_EQ(3, ls_info(lfd).uid);
	CHECK_EQ(4, ls_info(lfd).gid);
	l = listen_of("inside2", 7, 0200, 4);
	l.flags |= MBUF_LISTEN_OWNER;
	l.uid = 10;
	CHECK_EQ(-EINVAL, xioctl(session, MBUF_IOC_LISTEN, &l));
	l.uid = 0;
	l.flags |= MBUF_LISTEN_GROUP;
	l.gid = 10;
	CHECK_EQ(-EINVAL, xioctl(session, MBUF_IOC_LISTEN, &l));
	/* Without the capability it is like outside. */
	be_euid(2);
	CHECK_EQ(-EPERM, set_with(lfd, MBUF_LISTEN_OWNER, 3, 0));
	CHECK_EQ(0, set_with(lfd, MBUF_LISTEN_OWNER, 2, 0));
	be_euid(0);
	CHECK_EQ(2, ls_info(lfd).uid);
	return 0;
}

TEST_F(listener, user_namespaces)
{
	struct ns_test t;
	int ret;

	NEED_ROOT();
	make_listener(0222, 4);
	t.session = self->session;
	t.lfd = self->lfd;
	ret = run_in_userns(UID_A, 10, userns_child, &t);
	if (ret == 77)
		SKIP(return, "no user namespaces");
	ASSERT_EQ(0, ret);
	/* As seen from here. */
	EXPECT_EQ(2, ls_info(self->lfd).acl_nr);
	EXPECT_EQ(-EACCES, ls_may_connect(UID_A + 1, self->session));
	ASSERT_EQ(0, ls_set_mode(self->lfd, 0));
	EXPECT_EQ(0, ls_may_connect(UID_A, self->session));
	EXPECT_EQ(-EACCES, ls_may_connect(1, self->session));
	EXPECT_EQ(-EACCES, ls_may_connect(0, self->session));
}

/*
 * A flood from who is denied: it costs the listener nothing.
 */
#define FLOOD	100000

/* A process that listens, in all ways at once. */
enum { IN_ACCEPT, IN_POLL, IN_EPOLL, IN_POLL_ALL, NR_THREADS };

struct listener_process {
	struct stage *stage;	/* value: thread ids; [NR_THREADS]: woken */
	int orders;		/* a pipe: reading it is all it does */
	uint32_t backlog;
	int session, lfd;
};

struct listener_thread {
	struct listener_process *p;
	int how;
};

static void *listener_thread(void *arg)
{
	struct listener_thread *t = arg;
	struct listener_process *p = t->p;
	struct pollfd pfd = { .fd = p->lfd, .events = POLLIN };
	struct epoll_event ev = { .events = EPOLLIN };
	struct mbuf_event event;
	int ep;

	atomic_store(&p->stage->value[t->how], syscall(SYS_gettid));
	switch (t->how) {
	case IN_ACCEPT:
		ls_accept(p->lfd, 0, MBUF_FOREVER);
		break;
	case IN_POLL:
		poll(&pfd, 1, -1);
		break;
	case IN_EPOLL:
		ep = epoll_create1(EPOLL_CLOEXEC);
		epoll_ctl(ep, EPOLL_CTL_ADD, p->lfd, &ev);
		epoll_wait(ep, &ev, 1, -1);
		break;
	case IN_POLL_ALL:
		ch_poll_all(p->session, &event, 1, MBUF_FOREVER);
		break;
	}
	atomic_fetch_add(&p->stage->value[NR_THREADS], 1);
	return NULL;
}

static int listener_process(void *arg)
{
	struct listener_process *p = arg;
	struct listener_thread t[NR_THREADS];
	pthread_t thread;
	char c;
	int i;

	p->session = mbuf_open();
	CHECK(p->session >= 0);
	p->lfd = ls_listen(p->session, 0222, p->backlog);
	CHECK(p->lfd >= 0);
	CHECK_EQ(0, ch_attach(p->session, p->lfd, 1));
	CHECK_EQ(0, ls_acl(p->lfd, UID_A, MBUF_ACL_DENY));
	for (i = 0; i < NR_THREADS; i++) {
		t[i].p = p;
		t[i].how = i;
		CHECK_EQ(0, pthread_create(&thread, NULL, listener_thread,
					   &t[i]));
	}
	stage_go(p->stage, 1);
	CHECK_EQ(1, xread(p->orders, &c, 1));
	/* The only way to see its counters. */
	atomic_store(&p->stage->value[NR_THREADS + 1],
		     (long)ls_info(p->lfd).denied);
	atomic_store(&p->stage->value[NR_THREADS + 2],
		     ls_info(p->lfd).pending);
	stage_go(p->stage, 3);
	for (;;)
		pause();
}

/* What a process has been doing: how often it was switched to, and how long. */
struct activity {
	unsigned long long switches, runtime;
	int threads;
};

static bool status_number(const char *text, const char *key,
			  unsigned long long *n)
{
	const char *p = strstr(text, key);

	return p && sscanf(p + strlen(key), ": %llu", n) == 1;
}

static bool get_activity(pid_t pid, struct activity *a)
{
	char path[300], text[4096];
	struct dirent *d;
	bool ok = true;
	DIR *dir;

	memset(a, 0, sizeof(*a));
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	if (!dir)
		return false;
	while (ok && (d = readdir(dir))) {
		unsigned long long n, ran;

		if (d->d_name[0] == '.')
			continue;
		a->threads++;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/status", pid,
			 d->d_name);
		ok = read_file(path, text, sizeof(text)) &&
		     status_number(text, "\nvoluntary_ctxt_switches", &n);
		a->switches += n;
		ok = ok &&
		     status_number(text, "\nnonvoluntary_ctxt_switches", &n);
		a->switches += n;
		/* Kernels without schedstat: the switches have to do. */
		snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", pid,
			 d->d_name);
		if (read_file(path, text, sizeof(text)) &&
		    sscanf(text, "%llu", &ran) == 1)
			a->runtime += ran;
	}
	closedir(dir);
	return ok;
}

/* Are all threads asleep, where they should? */
static bool all_asleep(pid_t pid, struct stage *stage)
{
	int i;

	for (i = 0; i < NR_THREADS; i++) {
		pid_t tid = (pid_t)atomic_load(&stage->value[i]);

		if (!tid || task_state(tid) != 'S')
			return false;
	}
	if (task_state(pid) != 'S')
		return false;
	return sleeps_in_ioctl((pid_t)atomic_load(&stage->value[IN_ACCEPT]),
			       MBUF_IOC_ACCEPT) &&
	       sleeps_in_ioctl((pid_t)atomic_load(&stage->value[IN_POLL_ALL]),
			       MBUF_IOC_POLL_ALL);
}

/* Kilobytes of slab, and of page tables and so on that are not counted. */
static long meminfo(const char *key)
{
	char text[8192];
	unsigned long long n = 0;

	if (!read_file("/proc/meminfo", text, sizeof(text)) ||
	    !status_number(text, key, &n))
		return -1;
	return (long)n;
}

struct flood {
	int session;
	struct stage *stage;
};

static int flood_child(void *arg)
{
	struct mbuf_connect c = connect_of(NAME, NAME_LEN, 0, MBUF_FOREVER);
	struct flood *f = arg;
	long i;

	/* The first ones map what is needed. */
	for (i = 0; i < 100; i++)
		CHECK_EQ(-EACCES, xioctl(f->session, MBUF_IOC_CONNECT, &c));
	stage_go(f->stage, 1);
	CHECK(stage_wait(f->stage, 2));
	for (i = 100; i < FLOOD; i++) {
		if (xioctl(f->session, MBUF_IOC_CONNECT, &c) != -EACCES)
			return 1;
	}
	return 0;
}

TEST_F(listener, flood_from_a_denied_user)
{
	struct stage *stage = map_shared(sizeof(*stage));
	struct stage *go = map_shared(sizeof(*go));
	struct listener_process p = { .stage = stage, .backlog = 4 };
	struct flood f = { self->session, go };
	struct activity before, after;
	struct mbuf_query q[2];
	int orders[2];
	long slab[2];
	pid_t pid, flooder;

	NEED_ROOT();
	ASSERT_NE(NULL, stage);
	ASSERT_NE(NULL, go);
	ASSERT_EQ(0, pipe2(orders, O_CLOEXEC));
	p.orders = orders[0];
	pid = spawn(listener_process, &p);
	ASSERT_TRUE(stage_wait(stage, 1));
	ASSERT_TRUE(EVENTUALLY(all_asleep(pid, stage)));
	flooder = spawn_as(UID_A, flood_child, &f);
	ASSERT_TRUE(stage_wait(go, 1));
	ASSERT_EQ(0, mbuf_query(self->session, &q[0]));
	ASSERT_TRUE(get_activity(pid, &before));
	slab[0] = meminfo("Slab");
	stage_go(go, 2);
	ASSERT_EQ(0, reap(flooder));
	slab[1] = meminfo("Slab");
	ASSERT_TRUE(get_activity(pid, &after));
	ASSERT_EQ(0, mbuf_query(self->session, &q[1]));
	EXPECT_TRUE(all_asleep(pid, stage));

	TH_LOG("the listener was switched to %llu times and ran %llu ns; slab grew by %ld kB",
	       after.switches - before.switches, after.runtime - before.runtime,
	       slab[1] - slab[0]);
	EXPECT_EQ(NR_THREADS + 1, after.threads);
	EXPECT_EQ(before.switches, after.switches);
	EXPECT_EQ(before.runtime, after.runtime);
	EXPECT_EQ(q[0].objects.used, q[1].objects.used);
	EXPECT_EQ(q[0].memory.used, q[1].memory.used);
	/* That of one channel for every hundredth would be 480 kB. */
	EXPECT_LT(slab[1] - slab[0], 400);

	EXPECT_EQ(0, atomic_load(&stage->value[NR_THREADS]));
	ASSERT_EQ(1, xwrite(orders[1], "?", 1));
	ASSERT_TRUE(stage_wait(stage, 3));
	EXPECT_EQ(FLOOD, atomic_load(&stage->value[NR_THREADS + 1]));
	EXPECT_EQ(0, atomic_load(&stage->value[NR_THREADS + 2]));
	EXPECT_EQ(128 + SIGKILL, kill_and_reap(pid));
	close(orders[0]);
	close(orders[1]);
	munmap(stage, sizeof(*stage));
	munmap(go, sizeof(*go));
}

/*
 * The same, counted by the kernel itself: what is allocated by whom.
 */
#define TRACING	"/sys/kernel/tracing/"

static const char *const alloc_events[] = {
	TRACING "events/kmem/kmalloc/enable",
	TRACING "events/kmem/kmalloc_node/enable",	/* not since 6.2 */
	TRACING "events/kmem/kmem_cache_alloc/enable",
	TRACING "events/kmem/kmem_cache_alloc_node/enable",
	TRACING "events/kmem/mm_page_alloc/enable",
};

static bool trace_enable(bool on)
{
	unsigned int i, nr = 0;

	for (i = 0; i < ARRAY_SIZE(alloc_events); i++)
		nr += write_file(alloc_events[i], "%d", on);
	return nr >= 3;
}

/* Events since the last time; each is a line without # in front. */
static long trace_events(void)
{
	FILE *f = fopen(TRACING "trace", "re");
	char line[512];
	long nr = 0;

	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f))
		nr += line[0] != '#';
	fclose(f);
	f = fopen(TRACING "trace", "we");
	if (f)
		fclose(f);
	return nr;
}

enum { CONNECT_DENIED, CONNECT_FULL, CONNECT_NOBODY, CONNECT_FINE, NR_CONNECT };

struct traced {
	struct stage *stage;
	int session;
	long want;
};

static int traced_child(void *arg)
{
	struct traced *t = arg;
	struct mbuf_connect c = connect_of(NAME, NAME_LEN,
					   t->want ? 0 : MBUF_CONNECT_ASYNC,
					   MBUF_FOREVER);
	int i;

	CHECK_EQ(t->want, xioctl(t->session, MBUF_IOC_CONNECT, &c));
	if (!t->want)
		close(c.end.ref.fd);
	/* Until its pid is the one that is traced; without a call. */
	atomic_store(&t->stage->step, 1);
	while (atomic_load(&t->stage->step) != 2)
		;
	for (i = 0; i < 1000; i++) {
		if (xioctl(t->session, MBUF_IOC_CONNECT, &c) != t->want)
			return 1;
		if (!t->want)
			close(c.end.ref.fd);
	}
	atomic_store(&t->stage->step, 3);
	while (atomic_load(&t->stage->step) != 4)
		;
	return 0;
}

TEST_F(listener, refusing_allocates_nothing)
{
	static const char *const what[] = {
		[CONNECT_DENIED] = "a user that is denied",
		[CONNECT_FULL] = "no room",
		[CONNECT_NOBODY] = "no such name",
		[CONNECT_FINE] = "one that gets in",
	};
	struct stage *stage = map_shared(sizeof(*stage));
	struct traced t = { stage, self->session, 0 };
	bool mounted;
	int how;

	NEED_ROOT();
	ASSERT_NE(NULL, stage);
	mounted = !access(TRACING "trace", F_OK) ? false :
		  !mount("tracefs", TRACING, "tracefs", 0, NULL);
	if (access(TRACING "set_event_pid", F_OK) || !trace_enable(true)) {
		munmap(stage, sizeof(*stage));
		if (mounted)
			umount(TRACING);
		SKIP(return, "no tracefs with kmem events");
	}
	for (how = 0; how < NR_CONNECT; how++) {
		long events;
		pid_t pid;

		if (how != CONNECT_NOBODY)
			make_listener(0222, 1);
		if (how == CONNECT_DENIED) {
			ASSERT_EQ(0, ls_acl(self->lfd, UID_A, MBUF_ACL_DENY));
		} else if (how == CONNECT_FULL) {
			self->con = ls_hello(self->session, 1);
			ASSERT_GE(self->con, 0);
		}
		t.want = how == CONNECT_DENIED ? -EACCES :
			 how == CONNECT_FULL ? -EAGAIN :
			 how == CONNECT_NOBODY ? -ECONNREFUSED : 0;
		atomic_store(&stage->step, 0);
		pid = spawn_as(UID_A, traced_child, &t);
		ASSERT_TRUE(EVENTUALLY(atomic_load(&stage->step) == 1));
		ASSERT_TRUE(write_file(TRACING "set_event_pid", "%d", pid));
		trace_events();
		atomic_store(&stage->step, 2);
		ASSERT_TRUE(EVENTUALLY(atomic_load(&stage->step) == 3));
		events = trace_events();
		atomic_store(&stage->step, 4);
		ASSERT_EQ(0, reap(pid));
		TH_LOG("%s: %ld allocations in 1000 calls", what[how], events);
		/* Interrupts count as who is interrupted. */
		EXPECT_GE(events, how == CONNECT_FINE ? 1000 : 0);
		EXPECT_LT(events, how == CONNECT_FINE ? LONG_MAX : 50);
		close_fd(&self->con);
		close_fd(&self->lfd);
	}
	trace_enable(false);
	write_file(TRACING "set_event_pid", " ");
	if (mounted)
		umount(TRACING);
	munmap(stage, sizeof(*stage));
}

/*
 * Limits: a user in the list is paid for by who pays for the listener.
 */
#define MEMORY_LIMIT	"/sys/module/mbuf/parameters/memory_limit"

static int limited_child(void *arg)
{
	struct stage *stage = arg;
	struct mbuf_query q = {};
	int session, lfd;

	session = mbuf_open();
	CHECK(session >= 0);
	lfd = ls_listen(session, 0222, 1);
	CHECK(lfd >= 0);
	CHECK_EQ(0, mbuf_query(session, &q));
	atomic_store(&stage->value[0], (long)q.memory.used);
	stage_go(stage, 1);
	CHECK(stage_wait(stage, 2));
	/* There is room for two. */
	CHECK_EQ(0, ls_acl(lfd, 1, MBUF_ACL_ALLOW));
	CHECK_EQ(0, ls_acl(lfd, 2, MBUF_ACL_ALLOW));
	CHECK_EQ(-EDQUOT, ls_acl(lfd, 3, MBUF_ACL_ALLOW));
	CHECK_EQ(-EDQUOT, ls_acl(lfd, 3, MBUF_ACL_DENY));
	CHECK_EQ(2, ls_info(lfd).acl_nr);
	CHECK_EQ(0, ls_acl(lfd, 2, MBUF_ACL_DENY));
	CHECK_EQ(0, ls_acl(lfd, 1, MBUF_ACL_FORGET));
	CHECK_EQ(0, ls_acl(lfd, 3, MBUF_ACL_DENY));
	CHECK_EQ(-EDQUOT, ls_listen_name(session, "x", 1, 0222, 1));
	CHECK_EQ(-EDQUOT, ls_queue(lfd, 1));
	CHECK_EQ(-EDQUOT, ls_connect(session, MBUF_CONNECT_ASYNC,
				     MBUF_FOREVER));
	CHECK_EQ(1, ls_info(lfd).queues);
	CHECK_EQ(0, ls_info(lfd).pending);
	CHECK_EQ(-ECONNREFUSED, ls_connect_name(session, "x", 1, 0, MBUF_NOW));
	return 0;
}

TEST_F(listener, limits)
{
	struct stage *stage = map_shared(sizeof(*stage));
	char was[32];
	pid_t pid;

	NEED_ROOT();
	ASSERT_NE(NULL, stage);
	ASSERT_TRUE(read_file(MEMORY_LIMIT, was, sizeof(was)));
	pid = spawn_as(TEST_UID, limited_child, stage);
	ASSERT_TRUE(stage_wait(stage, 1));
	ASSERT_TRUE(write_file(MEMORY_LIMIT, "%ld\n",
			       atomic_load(&stage->value[0]) + 16));
	stage_go(stage, 2);
	EXPECT_EQ(0, reap(pid));
	EXPECT_TRUE(write_file(MEMORY_LIMIT, "%s", was));
	munmap(stage, sizeof(*stage));
}

TEST_HARNESS_MAIN
