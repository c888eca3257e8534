// SPDX-License-Identifier: GPL-2.0
/*
 * A third party supplies the memory: what consents are worth and when, who can
 * use them, and what is left when one of the three goes.
 */
#include <sys/resource.h>

#include "paged.h"
#include "provide.h"

/* An offer of @a, and the consents of both sides. */
struct deal {
	struct mbuf_offer o;
	int x, y;
};

static int deal_make(int a, int b, uint32_t rights, uint32_t options,
		     struct deal *d)
{
	int ret;

	d->o = offer_of(4, rights, options);
	d->x = -1;
	d->y = -1;
	ret = rg_offer(a, &d->o);
	if (ret)
		return ret;
	d->x = pv_consent(a, d->o.id);
	if (d->x < 0)
		return d->x;
	d->y = pv_consent(b, d->o.id);
	return d->y < 0 ? d->y : 0;
}

static void deal_close(struct deal *d)
{
	close_fd(&d->x);
	close_fd(&d->y);
}

#define DEAL(d, rights, options) \
	ASSERT_EQ(0, deal_make(self->a, self->b, rights, options, d))

/* Both sides get what was provided. */
#define GET_BOTH(d) do {						\
	struct mbuf_answer __a;						\
									\
	self->theirs = pv_claim(self->b, (d)->o.id);			\
	ASSERT_GE(self->theirs, 0);					\
	ASSERT_EQ(0, rg_answer(self->a, (d)->o.id, &__a, MBUF_NOW));	\
	self->mine = __a.region.fd;					\
	ASSERT_GE(self->mine, 0);					\
} while (0)

#define CLOSE_BOTH() do {						\
	close_fd(&self->mine);						\
	close_fd(&self->theirs);					\
} while (0)

static void *map_fd(int fd, size_t size, int prot)
{
	return mmap(NULL, size, prot, MAP_SHARED, fd, 0);
}

/* What one writes the other reads; -errno if either cannot. */
static int shared_between(int w, int r, size_t size, uint32_t seed)
{
	char *x = map_fd(w, size, PROT_READ | PROT_WRITE);
	char *y = map_fd(r, size, PROT_READ);
	int ret = -EACCES;

	if (x != MAP_FAILED && y != MAP_FAILED) {
		fill_pattern(x, size, seed);
		ret = is_pattern(y, size, seed) ? 0 : -EIO;
	}
	if (x != MAP_FAILED)
		munmap(x, size);
	if (y != MAP_FAILED)
		munmap(y, size);
	return ret;
}

static int read_only(int fd, size_t size)
{
	char *p = map_fd(fd, size, PROT_READ | PROT_WRITE);

	if (p == MAP_FAILED)
		return errno == EACCES ? 1 : -errno;
	munmap(p, size);
	return 0;
}

TEST_F(region, provided_by_a_third)
{
	int memory = sealed_memfd(self->size, SEALS_SIZE);
	struct mbuf_consent_info i[2];
	struct mbuf_channel_info end;
	struct mbuf_answer answer;
	struct mbuf_provide p = {};
	struct mbuf_claim claim;
	struct deal d;

	ASSERT_NE(0, self->q.features & MBUF_FEATURE_PROVIDE);
	ASSERT_GE(memory, 0);
	DEAL(&d, RIGHTS_R, 0);
	EXPECT_EQ(FD_CLOEXEC, fcntl(d.x, F_GETFD));

	/* What the provider sees of it. */
	ASSERT_EQ(0, pv_info(d.x, &i[0]));
	ASSERT_EQ(0, pv_info(d.y, &i[1]));
	end = ch_info(self->a);
	EXPECT_EQ(end.id, i[0].end);
	EXPECT_EQ(end.peer_id, i[0].peer);
	EXPECT_EQ(end.peer_id, i[1].end);
	EXPECT_EQ(end.id, i[1].peer);
	EXPECT_NE(i[0].id, i[1].id);
	EXPECT_EQ(d.o.id, i[0].offer);
	EXPECT_EQ(d.o.id, i[1].offer);
	EXPECT_EQ(MBUF_PARTY_MAKER, i[0].party);
	EXPECT_EQ(MBUF_PARTY_TAKER, i[1].party);
	EXPECT_EQ(RIGHTS_RW, i[0].rights);
	EXPECT_EQ(RIGHTS_R, i[1].rights);
	EXPECT_EQ(self->size, i[1].min);
	EXPECT_EQ(self->size, i[1].max);
	EXPECT_EQ(0, i[0].error);
	EXPECT_EQ(0, i[1].error);
	EXPECT_EQ(0, i[1].left);
	EXPECT_EQ(0, i[1].options);
	EXPECT_EQ(0, i[1].resv);
	EXPECT_EQ(MBUF_PEER_KNOWN, i[0].by.flags);
	EXPECT_EQ(getpid(), (pid_t)i[0].by.pid);
	EXPECT_EQ(getpid(), (pid_t)i[0].holder.pid);
	EXPECT_EQ(geteuid(), i[0].by.uid);

	/* Nothing has happened yet, and nothing does by looking. */
	EXPECT_EQ(-EAGAIN, rg_answer(self->a, d.o.id, &answer, MBUF_NOW));
	EXPECT_EQ(-EAGAIN, pv_claim(self->b, d.o.id));
	ASSERT_EQ(0, pv_check(self->session, d.x, d.y));
	ASSERT_EQ(0, pv_check(self->session, d.y, d.x));
	EXPECT_EQ(-EAGAIN, rg_answer(self->a, d.o.id, &answer, MBUF_NOW));
	EXPECT_EQ(-EAGAIN, pv_claim(self->b, d.o.id));

	p.consent[0].fd = d.y;
	p.consent[1].fd = d.x;
	p.memory.fd = memory;
	ASSERT_EQ(0, xioctl(self->session, MBUF_IOC_PROVIDE, &p));
	EXPECT_EQ(self->size, p.size);
	EXPECT_EQ(d.o.id, p.offer);
	/* Once. */
	EXPECT_EQ(-ESTALE, pv_provide(self->session, d.x, d.y, memory));
	EXPECT_EQ(-ESTALE, pv_check(self->session, d.x, d.y));
	EXPECT_EQ(-ESTALE, pv_state(d.x));

	ASSERT_EQ(0, rg_answer(self->a, d.o.id, &answer, MBUF_NOW));
	self->mine = answer.region.fd;
	EXPECT_EQ(MBUF_OUTCOME_TAKEN, answer.outcome);
	EXPECT_EQ(self->size, answer.wanted);
	EXPECT_EQ(RIGHTS_R, answer.rights);
	EXPECT_EQ(MBUF_OFFER_PROVIDED | MBUF_OFFER_MEMFD, answer.options);
	ASSERT_EQ(0, pv_claim_some(self->b, d.o.id, &claim, MBUF_NOW));
	self->theirs = claim.region.fd;
	EXPECT_EQ(self->size, claim.size);
	EXPECT_EQ(RIGHTS_R, claim.rights);
	EXPECT_EQ(MBUF_OFFER_PROVIDED | MBUF_OFFER_MEMFD, claim.options);
	EXPECT_EQ(FD_CLOEXEC, fcntl(self->theirs, F_GETFD));
	/* Told once. */
	EXPECT_EQ(-ENOENT, pv_claim(self->b, d.o.id));
	EXPECT_EQ(-ENOENT, rg_answer(self->a, d.o.id, &answer, MBUF_NOW));

	EXPECT_EQ(0, shared_between(self->mine, self->theirs, self->size, 1));
	EXPECT_EQ(0, shared_between(memory, self->mine, self->size, 2));
	EXPECT_EQ(1, read_only(self->theirs, self->size));
	/* The provider and the channel may go. */
	close(memory);
	close_fd(&self->a);
	close_fd(&self->b);
	EXPECT_EQ(0, shared_between(self->mine, self->theirs, self->size, 3));
	deal_close(&d);
}

/* What the kernel allocates the provider never gets to see. */
TEST_F(region, provided_by_the_kernel)
{
	struct mbuf_consent c = { .flags = MBUF_CONSENT_FRESH };
	int memory = sealed_memfd(self->size, SEALS_SIZE), fds;
	struct mbuf_claim claim;
	struct mbuf_answer a;
	struct mbuf_provide p = {};
	struct mbuf_offer o;
	struct stat st;
	struct deal d;

	o = offer_of(4, RIGHTS_RW, 0);
	o.min = page_size();
	o.max = 8 * page_size();
	ASSERT_EQ(0, rg_offer(self->a, &o));
	d.o = o;
	d.x = pv_consent(self->a, o.id);
	ASSERT_GE(d.x, 0);
	c.offer = o.id;
	c.min = 5 * page_size();
	c.max = 7 * page_size();
	d.y = pv_consent_some(self->b, &c);
	ASSERT_GE(d.y, 0);

	EXPECT_EQ(-EPERM, pv_provide(self->session, d.x, d.y, memory));
	/* Nearest to what was wanted. */
	p.consent[0].fd = d.x;
	p.consent[1].fd = d.y;
	p.flags = MBUF_PROVIDE_CHECK;
	ASSERT_EQ(0, xioctl(self->session, MBUF_IOC_PROVIDE, &p));
	EXPECT_EQ(5 * page_size(), p.size);
	p.flags = MBUF_PROVIDE_ALLOCATE;
	p.size = 4 * page_size();
	EXPECT_EQ(-EMSGSIZE, xioctl(self->session, MBUF_IOC_PROVIDE, &p));
	p.size = 8 * page_size();
	EXPECT_EQ(-EMSGSIZE, xioctl(self->session, MBUF_IOC_PROVIDE, &p));
	p.size = 6 * page_size();
	fds = count_fds();
	ASSERT_EQ(0, xioctl(self->session, MBUF_IOC_PROVIDE, &p));
	EXPECT_EQ(fds, count_fds());
	ASSERT_EQ(0, rg_answer(self->a, o.id, &a, MBUF_NOW));
	self->mine = a.region.fd;
	ASSERT_EQ(0, pv_claim_some(self->b, o.id, &claim, MBUF_NOW));
	self->theirs = claim.region.fd;
	EXPECT_EQ(6 * page_size(), claim.size);
	EXPECT_EQ(6 * page_size(), a.wanted);
	EXPECT_EQ(MBUF_OFFER_PROVIDED, claim.options);
	EXPECT_EQ(MBUF_OFFER_PROVIDED, a.options);
	/* All pages are there, and it is a memfd for both. */
	ASSERT_EQ(0, fstat(self->theirs, &st));
	EXPECT_EQ((long)(6 * page_size() / 512), st.st_blocks);
	EXPECT_EQ(SEALS_SIZE, fcntl(self->mine, F_GET_SEALS));
	EXPECT_EQ(0, shared_between(self->mine, self->theirs, claim.size, 1));
	EXPECT_EQ(0, shared_between(self->theirs, self->mine, claim.size, 2));
	CLOSE_BOTH();
	deal_close(&d);

	/* Solid, without a word about sizes. */
	DEAL(&d, RIGHTS_RW, MBUF_OFFER_SOLID);
	EXPECT_EQ(-EPERM, pv_provide(self->session, d.x, d.y, memory));
	ASSERT_EQ(0, pv_allocate(self->session, d.x, d.y));
	GET_BOTH(&d);
	EXPECT_EQ(0, shared_between(self->mine, self->theirs, self->size, 3));
	EXPECT_EQ(-1, fcntl(self->mine, F_GET_SEALS));
	EXPECT_EQ(-1, fcntl(self->theirs, F_GET_SEALS));
	close(memory);
	deal_close(&d);
}

/* A region of ours as the memory: what it can do is the most anybody gets. */
TEST_F(region, provided_from_a_region)
{
	struct mbuf_consent c = { .rights = RIGHTS_R };
	int memfd = sealed_memfd(self->size, SEALS_SIZE), ro, solid, end[2];
	struct mbuf_region_info one, other;
	struct mbuf_offer so = offer_of(4, RIGHTS_RW, MBUF_OFFER_SOLID);
	struct deal d;
	int rest;

	ASSERT_GE(memfd, 0);
	ro = rg_grant(self->session, memfd, RIGHTS_R);
	ASSERT_GE(ro, 0);
	DEAL(&d, RIGHTS_R, 0);
	/* The offering side wants to write. */
	EXPECT_EQ(-EPERM, pv_provide(self->session, d.x, d.y, ro));
	close_fd(&d.x);
	c.offer = d.o.id;
	d.x = pv_consent_some(self->a, &c);
	ASSERT_GE(d.x, 0);
	ASSERT_EQ(0, pv_provide(self->session, d.x, d.y, ro));
	GET_BOTH(&d);
	EXPECT_EQ(1, read_only(self->mine, self->size));
	EXPECT_EQ(1, read_only(self->theirs, self->size));
	EXPECT_EQ(0, shared_between(memfd, self->mine, self->size, 1));
	EXPECT_EQ(0, shared_between(memfd, self->theirs, self->size, 2));
	EXPECT_EQ(-EPERM, rg_grant(self->session, self->mine, RIGHTS_RW));
	ASSERT_EQ(0, rg_info(self->mine, &one));
	ASSERT_EQ(0, rg_info(ro, &other));
	EXPECT_EQ(one.id, other.id);
	CLOSE_BOTH();
	deal_close(&d);
	close(ro);

	/* A solid one, for an offer of such. */
	ASSERT_EQ(0, ch_create(self->session, 0, end));
	ASSERT_EQ(0, rg_agree(end[0], end[1], &so, RIGHTS_RW, &solid, &rest));
	close(rest);
	close(end[0]);
	close(end[1]);
	DEAL(&d, RIGHTS_RW, MBUF_OFFER_SOLID);
	EXPECT_EQ(-EPERM, pv_provide(self->session, d.x, d.y, memfd));
	ASSERT_EQ(0, pv_provide(self->session, d.x, d.y, solid));
	GET_BOTH(&d);
	EXPECT_EQ(0, shared_between(self->mine, self->theirs, self->size, 3));
	EXPECT_EQ(0, shared_between(solid, self->theirs, self->size, 4));
	EXPECT_EQ(-1, fcntl(self->theirs, F_GET_SEALS));
	CLOSE_BOTH();
	deal_close(&d);
	/* And for one of any kind. */
	DEAL(&d, RIGHTS_R, 0);
	ASSERT_EQ(0, pv_provide(self->session, d.x, d.y, solid));
	GET_BOTH(&d);
	EXPECT_EQ(0, shared_between(self->mine, self->theirs, self->size, 5));
	EXPECT_EQ(1, read_only(self->theirs, self->size));
	deal_close(&d);
	close(solid);
	close(memfd);
}

/* Memory with a pager: only to those who have said that they take it. */
TEST_F(region, provided_with_a_pager)
{
	struct mbuf_consent x = {}, y = { .rights = RIGHTS_R };
	struct mbuf_region_info info;
	int pager, region, ro;
	struct deal d;

	if (!(self->q.features & MBUF_FEATURE_PAGED))
		SKIP(return, "this module has no paged regions");
	ASSERT_EQ(0, pg_create(self->session, self->size, &pager, &region,
			       NULL));
	ro = rg_grant(self->session, region, RIGHTS_R);
	ASSERT_GE(ro, 0);
	/* So that nobody has to wait for it. */
	ASSERT_LT(0, pg_zero(pager, 0, self->size));

	DEAL(&d, RIGHTS_RW, 0);
	EXPECT_EQ(-EPERM, pv_provide(self->session, d.x, d.y, region));
	close_fd(&d.x);
	x.offer = d.o.id;
	x.flags = MBUF_CONSENT_PAGED;
	d.x = pv_consent_some(self->a, &x);
	EXPECT_EQ(-EPERM, pv_provide(self->session, d.x, d.y, region));
	close_fd(&d.y);
	y.offer = d.o.id;
	y.flags = MBUF_CONSENT_PAGED;
	d.y = pv_consent_some(self->b, &y);
	/* Not more than it has. */
	EXPECT_EQ(-EPERM, pv_provide(self->session, d.x, d.y, ro));
	ASSERT_EQ(0, pv_provide(self->session, d.x, d.y, region));
	GET_BOTH(&d);
	ASSERT_EQ(0, rg_info(self->theirs, &info));
	EXPECT_EQ(RIGHTS_R, info.rights);
	EXPECT_NE(0, info.options & MBUF_REGION_PAGED);
	EXPECT_EQ(0, shared_between(self->mine, self->theirs, self->size, 1));
	EXPECT_EQ(0, shared_between(region, self->theirs, self->size, 2));
	EXPECT_EQ(1, read_only(self->theirs, self->size));
	EXPECT_EQ(-EPERM, rg_grant(self->session, self->theirs, RIGHTS_RW));
	CLOSE_BOTH();
	deal_close(&d);

	/* It is not solid. */
	d.o = offer_of(4, RIGHTS_R, MBUF_OFFER_SOLID);
	ASSERT_EQ(0, rg_offer(self->a, &d.o));
	x.offer = d.o.id;
	y.offer = d.o.id;
	d.x = pv_consent_some(self->a, &x);
	d.y = pv_consent_some(self->b, &y);
	EXPECT_EQ(-EPERM, pv_provide(self->session, d.x, d.y, region));
	deal_close(&d);
	close(pager);
	close(region);
	close(ro);
}

TEST_F(region, rights_of_each_side)
{
	int memory = sealed_memfd(self->size, SEALS_SIZE);
	struct mbuf_consent c = { .rights = RIGHTS_R };
	struct mbuf_provide p = {};
	struct deal d;

	ASSERT_GE(memory, 0);
	d.o = offer_of(4, RIGHTS_RW, 0);
	ASSERT_EQ(0, rg_offer(self->a, &d.o));
	c.offer = d.o.id;
	d.x = pv_consent_some(self->a, &c);
	d.y = pv_consent_some(self->b, &c);
	ASSERT_GE(d.x, 0);
	ASSERT_GE(d.y, 0);
	p.consent[0].fd = d.y;
	p.consent[1].fd = d.x;
	p.memory.fd = memory;
	/* More than it has to get, for the one that takes. */
	p.rights[0] = RIGHTS_RW;
	ASSERT_EQ(0, xioctl(self->session, MBUF_IOC_PROVIDE, &p));
	GET_BOTH(&d);
	EXPECT_EQ(0, shared_between(self->theirs, self->mine, self->size, 1));
	EXPECT_EQ(1, read_only(self->mine, self->size));
	CLOSE_BOTH();
	deal_close(&d);

	DEAL(&d, RIGHTS_R, 0);
	p.consent[0].fd = d.y;
	p.consent[1].fd = d.x;
	/* More than was offered; less than it has to; none at all. */
	EXPECT_EQ(-EINVAL, xioctl(self->session, MBUF_IOC_PROVIDE, &p));
	p.rights[0] = 0;
	p.rights[1] = RIGHTS_R;
	EXPECT_EQ(-EINVAL, xioctl(self->session, MBUF_IOC_PROVIDE, &p));
	p.rights[1] = MBUF_REGION_WRITE;
	EXPECT_EQ(-EINVAL, xioctl(self->session, MBUF_IOC_PROVIDE, &p));
	p.rights[1] = 4 | RIGHTS_RW;
	EXPECT_EQ(-EINVAL, xioctl(self->session, MBUF_IOC_PROVIDE, &p));
	p.rights[1] = RIGHTS_RW;
	EXPECT_EQ(0, xioctl(self->session, MBUF_IOC_PROVIDE, &p));
	GET_BOTH(&d);
	deal_close(&d);
	close(memory);
}

/* Whatever is no pair of consents of one channel: no effect, whoever tries. */
TEST_F(region, impostors)
{
	int memory = sealed_memfd(self->size, SEALS_SIZE);
	int other[2], again, file;
	struct deal d, e, back;
	char path[64], text[512];

	ASSERT_GE(memory, 0);
	DEAL(&d, RIGHTS_RW, 0);
	ASSERT_EQ(0, ch_create(self->session, 0, other));
	ASSERT_EQ(0, deal_make(other[0], other[1], RIGHTS_RW, 0, &e));

	/* Of another channel, whose ends somebody really has. */
	EXPECT_EQ(-EXDEV, pv_provide(self->session, d.x, e.y, memory));
	EXPECT_EQ(-EXDEV, pv_provide(self->session, e.x, d.y, memory));
	EXPECT_EQ(-EXDEV, pv_check(self->session, d.x, e.x));
	/* The same end twice. */
	EXPECT_EQ(-EXDEV, pv_provide(self->session, d.x, d.x, memory));
	EXPECT_EQ(-EXDEV, pv_provide(self->session, d.y, d.y, memory));
	again = pv_consent(self->a, d.o.id);
	ASSERT_GE(again, 0);
	EXPECT_EQ(-EXDEV, pv_provide(self->session, d.x, again, memory));
	/* The first of them is not worth anything any more. */
	EXPECT_EQ(-ESTALE, pv_provide(self->session, d.x, d.y, memory));
	EXPECT_EQ(-ESTALE, pv_state(d.x));
	close(d.x);
	d.x = again;
	/* Something else than a consent: the end itself, memory, nothing. */
	EXPECT_EQ(-ENOTTY, pv_provide(self->session, d.x, self->b, memory));
	EXPECT_EQ(-ENOTTY, pv_provide(self->session, self->a, d.y, memory));
	EXPECT_EQ(-ENOTTY, pv_provide(self->session, memory, d.y, memory));
	EXPECT_EQ(-EBADF, pv_provide(self->session, d.x, -1, memory));
	EXPECT_EQ(-EBADF, pv_provide(self->session, 9999, d.y, memory));
	/* Consents to different offers of one channel, each way. */
	ASSERT_EQ(0, deal_make(self->b, self->a, RIGHTS_RW, 0, &back));
	EXPECT_EQ(-ESTALE, pv_provide(self->session, d.x, back.x, memory));
	EXPECT_EQ(-ESTALE, pv_provide(self->session, d.y, back.y, memory));
	EXPECT_EQ(-EXDEV, pv_provide(self->session, d.x, back.y, memory));

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", d.x);
	ASSERT_TRUE(read_file(path, text, sizeof(text)));
	EXPECT_STREQ("consent", fdinfo_value(text, "mbuf-type"));
	snprintf(path, sizeof(path), "%016llx", (unsigned long long)d.o.id);
	EXPECT_STREQ(path, fdinfo_value(text, "mbuf-offer"));
	/* A consent is nothing else than that. */
	EXPECT_EQ(-1, read(d.x, &file, sizeof(file)));
	EXPECT_EQ(-1, write(d.x, &file, sizeof(file)));
	EXPECT_EQ(MAP_FAILED, map_fd(d.x, page_size(), PROT_READ));
	EXPECT_EQ(-ENOTTY, pv_claim(d.x, d.o.id));
	EXPECT_EQ(-ENOTTY, pv_revoke(d.x, 1));
	EXPECT_EQ(-ENOTTY, rg_offer(d.x, &d.o));

	/* All that has changed nothing. */
	EXPECT_EQ(-EAGAIN, pv_claim(self->b, d.o.id));
	ASSERT_EQ(0, pv_provide(self->session, d.x, d.y, memory));
	GET_BOTH(&d);
	CLOSE_BOTH();
	ASSERT_EQ(0, pv_allocate(self->session, back.x, back.y));
	ASSERT_EQ(0, pv_allocate(self->session, e.x, e.y));
	deal_close(&d);
	deal_close(&e);
	deal_close(&back);
	close(other[0]);
	close(other[1]);
	close(memory);
}

/* Each way in which a consent, or what it was for, can be over. */
TEST_F(region, stale)
{
	struct mbuf_consent c = {};
	struct mbuf_answer answer;
	struct mbuf_offer first;
	struct deal d;
	int old, fd;

	/* Revoked. */
	d.o = offer_of(4, RIGHTS_RW, 0);
	ASSERT_EQ(0, rg_offer(self->a, &d.o));
	c.offer = d.o.id;
	d.x = pv_consent_some(self->a, &c);
	ASSERT_GE(d.x, 0);
	EXPECT_EQ(-ENOENT, pv_revoke(self->b, c.id));
	EXPECT_EQ(-ENOENT, pv_revoke(self->a, c.id ^ 1));
	EXPECT_EQ(-ENOENT, pv_revoke(self->a, 0));
	d.y = pv_consent(self->b, d.o.id);
	ASSERT_GE(d.y, 0);
	ASSERT_EQ(0, pv_revoke(self->a, c.id));
	EXPECT_EQ(-ENOENT, pv_revoke(self->a, c.id));
	EXPECT_EQ(-ESTALE, pv_allocate(self->session, d.x, d.y));
	EXPECT_EQ(-ESTALE, pv_state(d.x));
	EXPECT_EQ(0, pv_state(d.y));
	close(d.x);
	d.x = pv_consent(self->a, d.o.id);
	ASSERT_GE(d.x, 0);
	/* And by the other side. */
	ASSERT_EQ(0, pv_check(self->session, d.x, d.y));
	c.offer = d.o.id;
	close(d.y);
	d.y = pv_consent_some(self->b, &c);
	ASSERT_GE(d.y, 0);
	ASSERT_EQ(0, pv_revoke(self->b, c.id));
	EXPECT_EQ(-ESTALE, pv_allocate(self->session, d.x, d.y));
	EXPECT_EQ(-ENOENT, pv_claim(self->b, d.o.id));
	close(d.y);
	d.y = pv_consent(self->b, d.o.id);

	/* Withdrawn, and another offer. */
	first = d.o;
	ASSERT_EQ(0, rg_withdraw(self->a, d.o.id));
	EXPECT_EQ(-ESTALE, pv_allocate(self->session, d.x, d.y));
	EXPECT_EQ(-ENOENT, pv_claim(self->b, d.o.id));
	EXPECT_EQ(-ENOENT, pv_consent(self->a, d.o.id));
	ASSERT_EQ(0, rg_offer(self->a, &d.o));
	EXPECT_NE(first.id, d.o.id);
	EXPECT_EQ(-ESTALE, pv_allocate(self->session, d.x, d.y));
	old = d.y;
	close(d.x);
	d.x = pv_consent(self->a, d.o.id);
	/* A replayed one beside a new one. */
	EXPECT_EQ(-ESTALE, pv_allocate(self->session, d.x, old));
	close(old);

	/* Rejected, countered, taken. */
	d.y = pv_consent(self->b, d.o.id);
	ASSERT_GE(d.y, 0);
	ASSERT_EQ(0, rg_reject(self->b, d.o.id, 3));
	EXPECT_EQ(-ESTALE, pv_allocate(self->session, d.x, d.y));
	EXPECT_EQ(-ENOENT, pv_claim(self->b, d.o.id));
	ASSERT_EQ(0, rg_answer(self->a, d.o.id, &answer, MBUF_NOW));
	EXPECT_EQ(MBUF_OUTCOME_REJECTED, answer.outcome);
	deal_close(&d);
	DEAL(&d, RIGHTS_RW, 0);
	ASSERT_EQ(0, rg_counter(self->b, d.o.id, 9, RIGHTS_RW, 0));
	EXPECT_EQ(-ESTALE, pv_allocate(self->session, d.x, d.y));
	deal_close(&d);
	DEAL(&d, RIGHTS_RW, 0);
	fd = rg_take(self->b, d.o.id);
	ASSERT_GE(fd, 0);
	close(fd);
	EXPECT_EQ(-ESTALE, pv_allocate(self->session, d.x, d.y));
	EXPECT_EQ(-ENOENT, pv_claim(self->b, d.o.id));
	ASSERT_EQ(0, rg_answer(self->a, d.o.id, &answer, MBUF_NOW));
	close(answer.region.fd);
	deal_close(&d);

	/* Used: neither again, nor for the next. */
	DEAL(&d, RIGHTS_RW, 0);
	ASSERT_EQ(0, pv_allocate(self->session, d.x, d.y));
	EXPECT_EQ(-ESTALE, pv_allocate(self->session, d.x, d.y));
	EXPECT_EQ(-EALREADY, rg_withdraw(self->a, d.o.id));
	EXPECT_EQ(-ENOENT, rg_take(self->b, d.o.id));
	EXPECT_EQ(-ENOENT, rg_reject(self->b, d.o.id, 0));
	GET_BOTH(&d);
	ASSERT_EQ(0, rg_offer(self->a, &d.o));
	EXPECT_EQ(-ESTALE, pv_allocate(self->session, d.x, d.y));
	deal_close(&d);
}

/* Revoking what was used is told from what was never there. */
TEST_F(region, revoked_too_late)
{
	struct mbuf_consent x = {}, y = {};
	struct deal d;

	d.o = offer_of(4, RIGHTS_RW, 0);
	ASSERT_EQ(0, rg_offer(self->a, &d.o));
	x.offer = d.o.id;
	y.offer = d.o.id;
	d.x = pv_consent_some(self->a, &x);
	d.y = pv_consent_some(self->b, &y);
	ASSERT_EQ(0, pv_allocate(self->session, d.x, d.y));
	EXPECT_EQ(-EALREADY, pv_revoke(self->a, x.id));
	EXPECT_EQ(-EALREADY, pv_revoke(self->b, y.id));
	GET_BOTH(&d);
	EXPECT_EQ(-ENOENT, pv_revoke(self->a, x.id));
	EXPECT_EQ(-ENOENT, pv_revoke(self->b, y.id));
	deal_close(&d);
}

TEST_F(region, expires)
{
	struct mbuf_consent c = {};
	struct mbuf_consent_info i;
	struct deal d;

	d.o = offer_of(4, RIGHTS_RW, 0);
	ASSERT_EQ(0, rg_offer(self->a, &d.o));
	d.x = pv_consent(self->a, d.o.id);
	c.offer = d.o.id;
	c.expires = now_ns() + 1000 * NS_PER_SEC;
	d.y = pv_consent_some(self->b, &c);
	ASSERT_GE(d.y, 0);
	ASSERT_EQ(0, pv_info(d.y, &i));
	EXPECT_EQ(0, i.error);
	EXPECT_LT(900 * NS_PER_SEC, i.left);
	EXPECT_GE(1000 * NS_PER_SEC, i.left);
	ASSERT_EQ(0, pv_check(self->session, d.x, d.y));
	close(d.y);

	c.expires = now_ns();
	d.y = pv_consent_some(self->b, &c);
	ASSERT_GE(d.y, 0);
	EXPECT_EQ(-ETIMEDOUT, pv_allocate(self->session, d.x, d.y));
	EXPECT_EQ(-ETIMEDOUT, pv_check(self->session, d.x, d.y));
	ASSERT_EQ(0, pv_info(d.y, &i));
	EXPECT_EQ(ETIMEDOUT, i.error);
	EXPECT_EQ(1, i.left);
	/* The offer is still there. */
	close(d.y);
	d.y = pv_consent(self->b, d.o.id);
	EXPECT_EQ(0, pv_allocate(self->session, d.x, d.y));
	deal_close(&d);
}

/* Only from a provider: the other side cannot make the first one pay. */
TEST_F(region, only_provided)
{
	struct deal d;

	DEAL(&d, RIGHTS_RW, MBUF_OFFER_PROVIDED);
	EXPECT_EQ(-EOPNOTSUPP, rg_take(self->b, d.o.id));
	EXPECT_EQ(0, pv_state(d.y));
	ASSERT_EQ(0, pv_allocate(self->session, d.x, d.y));
	GET_BOTH(&d);
	deal_close(&d);
}

TEST_F(region, refused_consents)
{
	int memory = sealed_memfd(self->size, SEALS_SIZE), i, fd;
	struct mbuf_offer o = offer_of(4, RIGHTS_R, 0);
	struct mbuf_consent good, c;
	size_t page = page_size();
	struct mbuf_claim claim;
	const struct mbuf_consent bad[] = {
		{ .min = page },
		{ .max = 9 * page },
		{ .min = 5 * page, .max = 4 * page },
		{ .min = 3 * page + 8 },
		{ .rights = RIGHTS_RW },
		{ .rights = MBUF_REGION_WRITE },
		{ .rights = 4 | RIGHTS_R },
		{ .flags = 8 },
		{ .uid = 1 },
		{ .resv = 1 },
		{ .expires = 1ull << 63 },
	};

	o.min = 2 * page;
	o.max = 8 * page;
	ASSERT_EQ(0, rg_offer(self->a, &o));
	good = (struct mbuf_consent){ .offer = o.id };
	for (i = 0; i < (int)ARRAY_SIZE(bad); i++) {
		c = bad[i];
		c.offer = o.id;
		EXPECT_EQ(-EINVAL, pv_consent_some(self->b, &c)) {
			TH_LOG("consent %d", i);
		}
	}
	c = good;
	c.flags = MBUF_CONSENT_UID;
	c.uid = UINT32_MAX;
	EXPECT_EQ(-EINVAL, pv_consent_some(self->b, &c));
	c = good;
	c.target = 1;
	EXPECT_EQ(-EOPNOTSUPP, pv_consent_some(self->b, &c));
	c = good;
	c.offer = o.id ^ 1;
	EXPECT_EQ(-ENOENT, pv_consent_some(self->b, &c));
	c.offer = 0;
	EXPECT_EQ(-ENOENT, pv_consent_some(self->b, &c));
	/* What it offers it may also write. */
	c = good;
	c.rights = RIGHTS_RW;
	fd = pv_consent_some(self->a, &c);
	EXPECT_GE(fd, 0);
	close(fd);
	EXPECT_EQ(-ENOENT, pv_claim(self->b, o.id));
	fd = pv_consent(self->b, o.id);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(-EAGAIN, pv_claim_some(self->b, o.id, &claim, MBUF_NOW));
	close(fd);
	ASSERT_EQ(0, rg_withdraw(self->a, o.id));

	/* Brought already. */
	o = offer_of(4, RIGHTS_R, MBUF_OFFER_MEMFD);
	o.memory.fd = memory;
	ASSERT_EQ(0, rg_offer(self->a, &o));
	EXPECT_EQ(-EINVAL, pv_consent(self->a, o.id));
	EXPECT_EQ(-EINVAL, pv_consent(self->b, o.id));
	close(memory);
}

TEST_F(region, refused_memory)
{
	int none = sealed_memfd(self->size, 0);
	int some = sealed_memfd(self->size, F_SEAL_SHRINK | F_SEAL_GROW);
	int sealed = sealed_memfd(self->size, SEALS_SIZE | F_SEAL_WRITE);
	int small = sealed_memfd(self->size / 2, SEALS_SIZE);
	int good = sealed_memfd(self->size, SEALS_SIZE);
	struct mbuf_provide p = {};
	int zero, half, ro, fds[2];
	struct deal d;
	char path[64];

	DEAL(&d, RIGHTS_RW, 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", good);
	ro = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_GE(ro, 0);
	zero = open("/dev/zero", O_RDWR | O_CLOEXEC);
	half = memfd_create("half", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ASSERT_EQ(0, ftruncate(half, (off_t)self->size - 8));
	ASSERT_EQ(0, fcntl(half, F_ADD_SEALS, SEALS_SIZE));
	ASSERT_EQ(0, pipe(fds));

	EXPECT_EQ(-EPERM, pv_provide(self->session, d.x, d.y, none));
	EXPECT_EQ(-EPERM, pv_provide(self->session, d.x, d.y, some));
	EXPECT_EQ(-EPERM, pv_provide(self->session, d.x, d.y, sealed));
	EXPECT_EQ(-EPERM, pv_provide(self->session, d.x, d.y, ro));
	EXPECT_EQ(-EMSGSIZE, pv_provide(self->session, d.x, d.y, small));
	EXPECT_EQ(-EMSGSIZE, pv_provide(self->session, d.x, d.y, half));
	EXPECT_EQ(-ENOTTY, pv_provide(self->session, d.x, d.y, zero));
	EXPECT_EQ(-ENOTTY, pv_provide(self->session, d.x, d.y, fds[0]));
	EXPECT_EQ(-ENOTTY, pv_provide(self->session, d.x, d.y, self->a));
	EXPECT_EQ(-EBADF, pv_provide(self->session, d.x, d.y, -1));

	p.consent[0].fd = d.x;
	p.consent[1].fd = d.y;
	p.memory.fd = good;
	p.size = self->size + page_size();
	EXPECT_EQ(-EMSGSIZE, xioctl(self->session, MBUF_IOC_PROVIDE, &p));
	p.size = 8;
	EXPECT_EQ(-EINVAL, xioctl(self->session, MBUF_IOC_PROVIDE, &p));
	p.size = 0;
	p.flags = MBUF_PROVIDE_ALLOCATE;
	EXPECT_EQ(-EINVAL, xioctl(self->session, MBUF_IOC_PROVIDE, &p));
	p.flags = MBUF_PROVIDE_CHECK;
	EXPECT_EQ(-EINVAL, xioctl(self->session, MBUF_IOC_PROVIDE, &p));
	p.memory.fd = 0;
	p.flags = MBUF_PROVIDE_CHECK | MBUF_PROVIDE_ALLOCATE;
	EXPECT_EQ(-EINVAL, xioctl(self->session, MBUF_IOC_PROVIDE, &p));
	p.flags = 4;
	EXPECT_EQ(-EINVAL, xioctl(self->session, MBUF_IOC_PROVIDE, &p));
	p.flags = MBUF_PROVIDE_ALLOCATE;
	p.resv = 1;
	EXPECT_EQ(-EINVAL, xioctl(self->session, MBUF_IOC_PROVIDE, &p));
	p.resv = 0;
	p.consent[1].flags = 1;
	EXPECT_EQ(-EINVAL, xioctl(self->session, MBUF_IOC_PROVIDE, &p));
	p.consent[1].flags = 0;
	p.target = 1;
	EXPECT_EQ(-EOPNOTSUPP, xioctl(self->session, MBUF_IOC_PROVIDE, &p));

	/* Still there. */
	EXPECT_EQ(-EAGAIN, pv_claim(self->b, d.o.id));
	ASSERT_EQ(0, pv_provide(self->session, d.x, d.y, good));
	GET_BOTH(&d);
	deal_close(&d);
	close(none);
	close(some);
	close(sealed);
	close(small);
	close(good);
	close(half);
	close(ro);
	close(zero);
	close(fds[0]);
	close(fds[1]);
}

/* No size that both take. */
TEST_F(region, sizes_apart)
{
	struct mbuf_consent x = {}, y = {};
	struct deal d;

	d.o = offer_of(4, RIGHTS_RW, 0);
	d.o.max = 8 * page_size();
	ASSERT_EQ(0, rg_offer(self->a, &d.o));
	x.offer = d.o.id;
	x.max = 5 * page_size();
	y.offer = d.o.id;
	y.min = 6 * page_size();
	d.x = pv_consent_some(self->a, &x);
	d.y = pv_consent_some(self->b, &y);
	EXPECT_EQ(-EMSGSIZE, pv_allocate(self->session, d.x, d.y));
	EXPECT_EQ(-EMSGSIZE, pv_check(self->session, d.x, d.y));
	deal_close(&d);
}

static short pri(int fd)
{
	return poll_now(fd, POLLPRI) & POLLPRI;
}

TEST_F(region, poll_tells_of_what_was_provided)
{
	struct mbuf_consent c = {};
	struct mbuf_answer answer;
	struct mbuf_event ev[4];
	struct deal d;
	int fd;

	d.o = offer_of(4, RIGHTS_RW, 0);
	ASSERT_EQ(0, rg_offer(self->a, &d.o));
	EXPECT_EQ(POLLPRI, pri(self->b));
	d.x = pv_consent(self->a, d.o.id);
	EXPECT_EQ(POLLPRI, pri(self->b));
	/* It has done its part, and it has not. */
	c.offer = d.o.id;
	d.y = pv_consent_some(self->b, &c);
	EXPECT_EQ(0, pri(self->b));
	EXPECT_EQ(-EAGAIN, ch_poll_all(self->session, ev, 4, MBUF_NOW));
	ASSERT_EQ(0, pv_revoke(self->b, c.id));
	EXPECT_EQ(POLLPRI, pri(self->b));
	ASSERT_EQ(1, ch_poll_all(self->session, ev, 4, MBUF_NOW));
	EXPECT_EQ(101, ev[0].cookie);
	close(d.y);
	d.y = pv_consent(self->b, d.o.id);
	EXPECT_EQ(0, pri(self->b));
	EXPECT_EQ(0, pri(self->a));
	ASSERT_EQ(0, pv_allocate(self->session, d.x, d.y));
	EXPECT_EQ(POLLPRI, pri(self->a));
	EXPECT_EQ(POLLPRI, pri(self->b));
	EXPECT_EQ(2, ch_poll_all(self->session, ev, 4, MBUF_NOW));
	EXPECT_EQ(MBUF_EVENT_OFFER, ev[0].events);
	/* What it has not claimed is in the way of the next consent only. */
	ASSERT_EQ(0, rg_answer(self->a, d.o.id, &answer, MBUF_NOW));
	close(answer.region.fd);
	EXPECT_EQ(0, pri(self->a));
	deal_close(&d);
	c.offer = d.o.id;
	ASSERT_EQ(0, rg_offer(self->a, &d.o));
	EXPECT_EQ(-EBUSY, pv_consent(self->b, d.o.id));
	fd = pv_claim(self->b, c.offer);
	ASSERT_GE(fd, 0);
	close(fd);
	/* Now for the new offer. */
	EXPECT_EQ(POLLPRI, pri(self->b));
	d.y = pv_consent(self->b, d.o.id);
	EXPECT_GE(d.y, 0);
	d.x = -1;
	EXPECT_EQ(0, pri(self->b));
	deal_close(&d);
}

struct claim {
	int fd;
	uint64_t offer, deadline;
	struct mbuf_claim m;
	int ret;
	_Atomic bool done;
	_Atomic pid_t tid;
	pthread_t thread;
};

static void *claim_main(void *arg)
{
	struct claim *c = arg;

	atomic_store(&c->tid, (pid_t)syscall(SYS_gettid));
	c->ret = pv_claim_some(c->fd, c->offer, &c->m, c->deadline);
	atomic_store(&c->done, true);
	return NULL;
}

static bool claim_asleep(struct claim *c)
{
	c->done = false;
	c->tid = 0;
	return !pthread_create(&c->thread, NULL, claim_main, c) &&
	       EVENTUALLY(atomic_load(&c->tid) &&
			  sleeps_in_ioctl(atomic_load(&c->tid),
					  MBUF_IOC_CLAIM));
}

static int claim_join(struct claim *c)
{
	if (!EVENTUALLY(atomic_load(&c->done)))
		return -ETIME;
	pthread_join(c->thread, NULL);
	return c->ret;
}

/* Whatever ends the negotiation ends the wait for it. */
TEST_F(region, claims_wait)
{
	struct claim c = { .fd = self->b, .deadline = MBUF_FOREVER };
	struct mbuf_consent y = {};
	struct mbuf_answer answer;
	struct mbuf_claim m;
	struct deal d;
	int way, fd;

	for (way = 0; way < 8; way++) {
		int want = -ENOENT;

		DEAL(&d, RIGHTS_RW, 0);
		close(d.y);
		y.offer = d.o.id;
		d.y = pv_consent_some(self->b, &y);
		c.offer = d.o.id;
		EXPECT_EQ(-ETIMEDOUT, pv_claim_some(self->b, d.o.id, &m,
						    in_ms(5)));
		ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
		ASSERT_TRUE(claim_asleep(&c)) {
			TH_LOG("way %d", way);
		}
		switch (way) {
		case 0:
			ASSERT_EQ(0, pv_allocate(self->session, d.x, d.y));
			want = 0;
			break;
		case 1:
			ASSERT_EQ(0, rg_withdraw(self->a, d.o.id));
			break;
		case 2:
			ASSERT_EQ(0, rg_reject(self->b, d.o.id, 0));
			break;
		case 3:
			ASSERT_EQ(0, rg_counter(self->b, d.o.id, 2, RIGHTS_R,
						0));
			break;
		case 4:
			fd = rg_take(self->b, d.o.id);
			ASSERT_GE(fd, 0);
			close(fd);
			break;
		case 5:
			ASSERT_EQ(0, pv_revoke(self->b, y.id));
			break;
		case 6:
			ASSERT_EQ(0, pthread_kill(c.thread, SIGUSR1));
			want = -EINTR;
			break;
		case 7:
			close_fd(&self->a);
			want = -EPIPE;
			break;
		}
		EXPECT_EQ(want, claim_join(&c)) {
			TH_LOG("way %d", way);
		}
		if (!c.ret)
			close(c.m.region.fd);
		deal_close(&d);
		if (rg_withdraw(self->a, d.o.id) &&
		    !rg_answer(self->a, d.o.id, &answer, MBUF_NOW) &&
		    answer.region.fd >= 0)
			close(answer.region.fd);
	}
}

/* What cannot be delivered leaves all as it was. */
TEST_F(region, undeliverable)
{
	struct mbuf_provide *ro = map_pages(page_size(),
					    PROT_READ | PROT_WRITE);
	struct rlimit old, none;
	struct mbuf_claim *m;
	struct deal d;
	int x, y;

	ASSERT_NE(NULL, ro);
	DEAL(&d, RIGHTS_RW, 0);
	*ro = (struct mbuf_provide){
		.consent = { { .fd = d.x }, { .fd = d.y } },
		.flags = MBUF_PROVIDE_ALLOCATE,
	};
	ASSERT_EQ(0, mprotect(ro, page_size(), PROT_READ));
	EXPECT_EQ(-EFAULT, xioctl(self->session, MBUF_IOC_PROVIDE, ro));
	EXPECT_EQ(-EAGAIN, pv_claim(self->b, d.o.id));
	EXPECT_EQ(0, pv_state(d.x));

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	none = old;
	none.rlim_cur = 0;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
	x = pv_consent(self->a, d.o.id);
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
	EXPECT_EQ(-EMFILE, x);
	/* The last one has not been replaced. */
	EXPECT_EQ(0, pv_state(d.x));
	ASSERT_EQ(0, mprotect(ro, page_size(), PROT_READ | PROT_WRITE));
	*(struct mbuf_consent *)(void *)ro = (struct mbuf_consent){
		.offer = d.o.id,
	};
	ASSERT_EQ(0, mprotect(ro, page_size(), PROT_READ));
	EXPECT_EQ(-EFAULT, xioctl(self->a, MBUF_IOC_CONSENT, ro));
	EXPECT_EQ(0, pv_state(d.x));

	ASSERT_EQ(0, pv_allocate(self->session, d.x, d.y));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
	y = pv_claim(self->b, d.o.id);
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
	EXPECT_EQ(-EMFILE, y);
	ASSERT_EQ(0, mprotect(ro, page_size(), PROT_READ | PROT_WRITE));
	m = (struct mbuf_claim *)(void *)ro;
	*m = (struct mbuf_claim){ .id = d.o.id };
	ASSERT_EQ(0, mprotect(ro, page_size(), PROT_READ));
	EXPECT_EQ(-EFAULT, xioctl(self->b, MBUF_IOC_CLAIM, m));
	munmap(ro, page_size());
	GET_BOTH(&d);
	EXPECT_EQ(0, shared_between(self->mine, self->theirs, self->size, 1));
	deal_close(&d);
}

TEST_F(region, ends_close)
{
	struct mbuf_consent_info i;
	struct deal d;

	/* Before: nothing happens. A consent outlives both ends. */
	DEAL(&d, RIGHTS_RW, 0);
	close_fd(&self->a);
	EXPECT_EQ(-EPIPE, pv_allocate(self->session, d.x, d.y));
	EXPECT_EQ(-EPIPE, pv_check(self->session, d.x, d.y));
	EXPECT_EQ(-EPIPE, pv_state(d.x));
	EXPECT_EQ(-EPIPE, pv_state(d.y));
	EXPECT_EQ(-EPIPE, pv_claim(self->b, d.o.id));
	EXPECT_EQ(-EPIPE, pv_consent(self->b, d.o.id));
	close_fd(&self->b);
	ASSERT_EQ(0, pv_info(d.y, &i));
	EXPECT_EQ(EPIPE, i.error);
	EXPECT_EQ(0, i.options);
	EXPECT_EQ(getpid(), (pid_t)i.holder.pid);
	EXPECT_EQ(-EPIPE, pv_allocate(self->session, d.x, d.y));
	deal_close(&d);
}

TEST_F(region, taker_closes)
{
	struct deal d;

	DEAL(&d, RIGHTS_RW, 0);
	close_fd(&self->b);
	EXPECT_EQ(-EPIPE, pv_allocate(self->session, d.x, d.y));
	EXPECT_EQ(-EPIPE, pv_state(d.x));
	EXPECT_EQ(0, rg_withdraw(self->a, d.o.id));
	deal_close(&d);
}

/* What was provided stays so, for either side alone, and for none. */
TEST_F(region, ends_close_afterwards)
{
	struct mbuf_answer a;
	struct deal d;
	int end[2];

	DEAL(&d, RIGHTS_RW, 0);
	ASSERT_EQ(0, pv_allocate(self->session, d.x, d.y));
	close_fd(&self->a);
	self->theirs = pv_claim(self->b, d.o.id);
	EXPECT_EQ(1, pwrite(self->theirs, "x", 1, 0));
	EXPECT_EQ(-EPIPE, pv_claim(self->b, d.o.id));
	close_fd(&self->b);
	deal_close(&d);

	ASSERT_EQ(0, ch_create(self->session, 0, end));
	self->a = end[0];
	self->b = end[1];
	DEAL(&d, RIGHTS_RW, 0);
	ASSERT_EQ(0, pv_allocate(self->session, d.x, d.y));
	close_fd(&self->b);
	ASSERT_EQ(0, rg_answer(self->a, d.o.id, &a, MBUF_NOW));
	self->mine = a.region.fd;
	EXPECT_EQ(1, pwrite(self->mine, "x", 1, 0));
	deal_close(&d);
}

TEST_F(region, nobody_fetches_it)
{
	struct deal d;

	DEAL(&d, RIGHTS_RW, MBUF_OFFER_SOLID);
	ASSERT_EQ(0, pv_allocate(self->session, d.x, d.y));
	close_fd(&self->a);
	close_fd(&self->b);
	deal_close(&d);
}

/*
 * Three processes that trust only the kernel: the two sides send their consents
 * over sockets; a third client sends what it can get hold of.
 */
struct client {
	int sock;		/* to the daemon */
	int end;		/* of the channel */
	int side;
	uint32_t flags;
	uid_t uid;
};

static int client_main(void *arg)
{
	struct client *k = arg;
	struct mbuf_consent c = { .flags = k->flags, .uid = k->uid };
	struct mbuf_offer o = offer_of(2, RIGHTS_RW, MBUF_OFFER_PROVIDED);
	struct mbuf_offered seen;
	struct mbuf_answer a;
	struct mbuf_claim m;
	size_t size = 2 * page_size();
	char *p, byte = 0;
	int fd;

	if (!k->side) {
		CHECK_EQ(0, rg_offer(k->end, &o));
	} else {
		CHECK_EQ(0, rg_offered(k->end, &seen, MBUF_FOREVER));
		CHECK_EQ(MBUF_OFFER_PROVIDED, seen.options);
		o.id = seen.id;
	}
	c.offer = o.id;
	fd = pv_consent_some(k->end, &c);
	CHECK(fd >= 0);
	CHECK_EQ(1, pass_fd(k->sock, fd));
	close(fd);
	if (!k->side) {
		CHECK_EQ(0, rg_answer(k->end, o.id, &a, MBUF_FOREVER));
		CHECK_EQ(MBUF_OUTCOME_TAKEN, a.outcome);
		fd = a.region.fd;
	} else {
		CHECK_EQ(0, pv_claim_some(k->end, o.id, &m, MBUF_FOREVER));
		fd = m.region.fd;
	}
	p = map_fd(fd, size, PROT_READ | PROT_WRITE);
	CHECK(p != MAP_FAILED);
	/* One writes, tells the other, and that one looks. */
	if (!k->side) {
		fill_pattern(p, size, 7);
		CHECK_EQ(0, ch_put(k->end, 1));
		CHECK_EQ(2, ch_take(k->end, MBUF_FOREVER));
	} else {
		CHECK_EQ(1, ch_take(k->end, MBUF_FOREVER));
		CHECK(is_pattern(p, size, 7));
		CHECK_EQ(0, ch_put(k->end, 2));
	}
	CHECK_EQ(1, write(k->sock, &byte, 1));
	return 0;
}

TEST_F(region, a_daemon_and_its_clients)
{
	struct mbuf_consent_info i;
	struct client k[2] = {};
	int sock[2][2], got[2], n;
	pid_t pid[2];
	char byte;

	NEED_ROOT();
	for (n = 0; n < 2; n++) {
		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sock[n]));
		k[n].sock = sock[n][1];
		k[n].side = n;
		k[n].flags = n ? 0 : MBUF_CONSENT_UID;
		k[n].uid = n ? 0 : TEST_UID + 2;
	}
	/* Who made the channel has passed on its ends. */
	k[0].end = self->a;
	k[1].end = self->b;
	pid[0] = spawn_as(TEST_UID, client_main, &k[0]);
	pid[1] = spawn_as(TEST_UID + 1, client_main, &k[1]);
	ASSERT_GT(pid[0], 0);
	ASSERT_GT(pid[1], 0);
	for (n = 0; n < 2; n++) {
		got[n] = take_fd(sock[n][0]);
		ASSERT_GE(got[n], 0);
		ASSERT_EQ(0, pv_info(got[n], &i));
		EXPECT_EQ(pid[n], (pid_t)i.by.pid);
		EXPECT_EQ(TEST_UID + (uid_t)n, i.by.uid);
		EXPECT_EQ(getpid(), (pid_t)i.holder.pid);
		EXPECT_EQ(0, i.holder.uid);
		EXPECT_NE(0, i.by.start);
		EXPECT_EQ(n ? 0 : EACCES, i.error);
	}
	/* One of them wants another user to provide. */
	EXPECT_EQ(-EACCES, pv_allocate(self->session, got[0], got[1]));
	EXPECT_EQ(-EACCES, pv_check(self->session, got[0], got[1]));
	ASSERT_EQ(0, syscall(NR_SETRESUID, -1, TEST_UID + 2, -1));
	n = pv_allocate(self->session, got[0], got[1]);
	ASSERT_EQ(0, syscall(NR_SETRESUID, -1, 0, -1));
	ASSERT_EQ(0, n);
	for (n = 0; n < 2; n++) {
		EXPECT_EQ(1, read(sock[n][0], &byte, 1));
		EXPECT_EQ(0, reap(pid[n]));
		close(got[n]);
		close(sock[n][0]);
		close(sock[n][1]);
	}
}

/*
 * Races
 */
enum rival { R_WITHDRAW, R_REJECT, R_TAKE, R_REVOKE_X, R_REVOKE_Y, R_PROVIDE,
	     R_CLOSE_A, R_CLOSE_B, R_CONSENT, NR_RIVALS };

struct race {
	enum rival what;
	int a, b, session;
	struct deal d;
	uint64_t x, y;
	long ret;
	pthread_barrier_t start;
	struct handicap h;
};

static void *rival_main(void *arg)
{
	struct race *r = arg;

	pthread_barrier_wait(&r->start);
	handicap_spin(&r->h);
	switch (r->what) {
	case R_WITHDRAW:
		r->ret = rg_withdraw(r->a, r->d.o.id);
		break;
	case R_REJECT:
		r->ret = rg_reject(r->b, r->d.o.id, 0);
		break;
	case R_TAKE:
		r->ret = rg_take(r->b, r->d.o.id);
		break;
	case R_REVOKE_X:
		r->ret = pv_revoke(r->a, r->x);
		break;
	case R_REVOKE_Y:
		r->ret = pv_revoke(r->b, r->y);
		break;
	case R_PROVIDE:
		r->ret = pv_allocate(r->session, r->d.y, r->d.x);
		break;
	case R_CLOSE_A:
		r->ret = close(r->a);
		break;
	case R_CLOSE_B:
		r->ret = close(r->b);
		break;
	case R_CONSENT:
		r->ret = pv_consent(r->b, r->d.o.id);
		break;
	default:
		break;
	}
	return NULL;
}

/* Did one of the two come first, and is the other's error that of its defeat? */
static bool race_fine(const struct race *r, long ret)
{
	bool won = !ret;

	switch (r->what) {
	case R_WITHDRAW:
		return won ? r->ret == -EALREADY :
		       r->ret == 0 && ret == -ESTALE;
	case R_REJECT:
		return won ? r->ret == -ENOENT || r->ret == -EBUSY :
		       r->ret == 0 && ret == -ESTALE;
	case R_TAKE:
		return won ? r->ret == -ENOENT || r->ret == -EBUSY :
		       r->ret >= 0 && (ret == -ESTALE || ret == -EBUSY);
	case R_REVOKE_X:
	case R_REVOKE_Y:
		return won ? r->ret == -EALREADY :
		       r->ret == 0 && ret == -ESTALE;
	case R_PROVIDE:
		return won ? r->ret == -ESTALE || r->ret == -EBUSY :
		       r->ret == 0 && (ret == -ESTALE || ret == -EBUSY);
	case R_CLOSE_A:
	case R_CLOSE_B:
		return r->ret == 0 && (won || ret == -EPIPE);
	case R_CONSENT:
		return won ? r->ret == -ENOENT || r->ret == -EBUSY ||
			     r->ret == -EPIPE :
		       r->ret >= 0 && ret == -ESTALE;
	default:
		return false;
	}
}

TEST_F(region, provide_races)
{
	unsigned int won[NR_RIVALS] = {}, lost[NR_RIVALS] = {};
	struct race r = { .session = self->session };
	int round, fd, end[2];

	close_fd(&self->a);
	close_fd(&self->b);
	for (round = 0; round < 100 * NR_RIVALS; round++) {
		struct mbuf_consent x = {}, y = {};
		static struct handicap h[NR_RIVALS];
		struct mbuf_answer a;
		pthread_t thread;
		long ret;

		r.what = (enum rival)(round % NR_RIVALS);
		ASSERT_EQ(0, ch_create(self->session, 0, end));
		r.a = end[0];
		r.b = end[1];
		r.d.o = offer_of(2, RIGHTS_RW, 0);
		ASSERT_EQ(0, rg_offer(r.a, &r.d.o));
		x.offer = r.d.o.id;
		y.offer = r.d.o.id;
		r.d.x = pv_consent_some(r.a, &x);
		r.d.y = pv_consent_some(r.b, &y);
		ASSERT_GE(r.d.x, 0);
		ASSERT_GE(r.d.y, 0);
		r.x = x.id;
		r.y = y.id;
		r.h = h[r.what];
		pthread_barrier_init(&r.start, NULL, 2);
		ASSERT_EQ(0, pthread_create(&thread, NULL, rival_main, &r));
		pthread_barrier_wait(&r.start);
		ret = pv_allocate(self->session, r.d.x, r.d.y);
		pthread_join(thread, NULL);
		pthread_barrier_destroy(&r.start);
		ASSERT_TRUE(race_fine(&r, ret)) {
			TH_LOG("rival %d: PROVIDE gives %ld, the other %ld",
			       r.what, ret, r.ret);
		}
		if (ret)
			lost[r.what]++;
		else
			won[r.what]++;
		/* So that both happen. */
		handicap_adapt(&h[r.what], !!ret);

		/* If it was provided, both get it, who are still there. */
		if (!ret || (r.what == R_PROVIDE && !r.ret)) {
			if (r.what != R_CLOSE_B) {
				fd = pv_claim(r.b, r.d.o.id);
				ASSERT_GE(fd, 0);
				close(fd);
			}
			if (r.what != R_CLOSE_A) {
				ASSERT_EQ(0, rg_answer(r.a, r.d.o.id, &a,
						       MBUF_NOW));
				close(a.region.fd);
			}
		} else if (r.what != R_CLOSE_B) {
			EXPECT_GT(0, pv_claim(r.b, r.d.o.id));
		}
		if ((r.what == R_TAKE || r.what == R_CONSENT) && r.ret >= 0)
			close((int)r.ret);
		if (r.what != R_CLOSE_A)
			close(r.a);
		if (r.what != R_CLOSE_B)
			close(r.b);
		deal_close(&r.d);
	}
	for (round = 0; round < NR_RIVALS; round++)
		TH_LOG("rival %d: provided %u times, not %u times", round,
		       won[round], lost[round]);
}

/*
 * Kills
 */
struct killed {
	int a, b, session;
	unsigned int step;
};

/* Does not end by itself. */
static int __attribute__((noreturn)) killed_main(void *arg)
{
	struct killed *k = arg;

	for (;;) {
		struct mbuf_answer a;
		struct deal d;
		int fd;

		if (deal_make(k->a, k->b, RIGHTS_RW,
			      k->step & 8 ? MBUF_OFFER_SOLID : 0, &d) &&
		    d.x < 0)
			rg_withdraw(k->a, d.o.id);
		if (k->step % 8 > 0)
			pv_check(k->session, d.x, d.y);
		if (k->step % 8 > 1)
			pv_allocate(k->session, d.x, d.y);
		if (k->step % 8 > 2) {
			fd = pv_claim(k->b, d.o.id);
			if (fd >= 0)
				close(fd);
		}
		if (k->step % 8 > 3 &&
		    !rg_answer(k->a, d.o.id, &a, MBUF_NOW))
			close(a.region.fd);
		if (k->step % 8 < 5)
			rg_withdraw(k->a, d.o.id);
		deal_close(&d);
	}
}

/* All three in one process that is killed somewhere: nothing is left. */
TEST_F(region, killed_anywhere)
{
	struct handicap h = {};
	unsigned int i;

	for (i = 0; i < 96; i++) {
		struct killed k = { .step = i % 16, .session = self->session };
		int end[2];
		pid_t pid;

		ASSERT_EQ(0, ch_create(self->session, 0, end));
		k.a = end[0];
		k.b = end[1];
		pid = spawn(killed_main, &k);
		ASSERT_GT(pid, 0);
		close(end[0]);
		close(end[1]);
		h.time = 100u << (i % 17);
		handicap_spin(&h);
		EXPECT_EQ(128 + SIGKILL, kill_and_reap(pid));
	}
}

/* One of the three is killed, the others go on, or are told. */
TEST_F(region, one_of_three_is_killed)
{
	struct handicap h = {};
	unsigned int i, provided = 0;
	struct deal d;

	for (i = 0; i < 60; i++) {
		struct mbuf_answer a;
		int end[2], fd;
		pid_t pid;
		long ret;
		struct killed k = { .session = self->session };

		ASSERT_EQ(0, ch_create(self->session, 0, end));
		ASSERT_EQ(0, deal_make(end[0], end[1], RIGHTS_RW, 0, &d));
		/* The provider dies. */
		k.a = d.x;
		k.b = d.y;
		pid = fork();
		if (!pid) {
			for (;;)
				pv_allocate(k.session, k.a, k.b);
		}
		ASSERT_GT(pid, 0);
		h.time = 100u << (i % 16);
		handicap_spin(&h);
		EXPECT_EQ(128 + SIGKILL, kill_and_reap(pid));
		ret = rg_withdraw(end[0], d.o.id);
		fd = pv_claim(end[1], d.o.id);
		if (ret == -EALREADY) {
			provided++;
			EXPECT_GE(fd, 0);
			close(fd);
			ASSERT_EQ(0, rg_answer(end[0], d.o.id, &a, MBUF_NOW));
			close(a.region.fd);
		} else {
			EXPECT_EQ(0, ret);
			EXPECT_EQ(-ENOENT, fd);
		}
		close(end[0]);
		close(end[1]);
		deal_close(&d);
	}
	TH_LOG("%u of 60 were provided before the provider died", provided);
}

/* The endpoint of a thread is that of no other one. */
TEST_F(region, of_another_thread)
{
	struct claim c = { .deadline = MBUF_NOW };
	struct deal d;
	int end[2], fd;

	if (!(self->q.features & MBUF_FEATURE_THREAD))
		SKIP(return, "this kernel cannot bind endpoints to threads");
	ASSERT_EQ(0, ch_create(self->session, MBUF_END_THREAD, end));
	ASSERT_EQ(0, deal_make(end[0], end[1], RIGHTS_RW, 0, &d));
	ASSERT_EQ(0, pv_allocate(self->session, d.x, d.y));
	c.fd = end[1];
	c.offer = d.o.id;
	ASSERT_EQ(0, pthread_create(&c.thread, NULL, claim_main, &c));
	EXPECT_EQ(-EPERM, claim_join(&c));
	fd = pv_claim(end[1], d.o.id);
	EXPECT_GE(fd, 0);
	close(fd);
	close(end[0]);
	close(end[1]);
	deal_close(&d);
}

/* What a consent keeps is charged, so that it cannot be had for nothing. */
TEST_F(region, consents_are_charged)
{
	struct mbuf_query before, with, after;
	struct deal d;

	ASSERT_EQ(0, mbuf_query(self->session, &before));
	DEAL(&d, RIGHTS_RW, 0);
	ASSERT_EQ(0, mbuf_query(self->session, &with));
	EXPECT_EQ(before.objects.used + 2, with.objects.used);
	close_fd(&self->a);
	close_fd(&self->b);
	ASSERT_EQ(0, mbuf_query(self->session, &after));
	/* They keep the whole channel. */
	EXPECT_EQ(before.objects.used, after.objects.used);
	EXPECT_LT(before.memory.used, after.memory.used);
	deal_close(&d);
}

/* The library's form of it. */
TEST_F(region, by_the_library)
{
	struct mbuf_consent x = {}, y = {};
	struct mbuf_provide p = { .flags = MBUF_PROVIDE_ALLOCATE };
	struct mbuf_consent_info i;
	struct mbuf_offer o = offer_of(4, RIGHTS_RW, 0);
	struct mbuf_answer a;
	struct mbuf_claim m;

	ASSERT_EQ(0, mbuf_offer(self->a, &o));
	x.offer = o.id;
	y.offer = o.id;
	p.consent[0].fd = mbuf_consent(self->a, &x);
	p.consent[1].fd = mbuf_consent(self->b, &y);
	ASSERT_GE(p.consent[0].fd, 0);
	ASSERT_GE(p.consent[1].fd, 0);
	ASSERT_EQ(0, mbuf_consent_info(p.consent[1].fd, &i));
	EXPECT_EQ(y.id, i.id);
	ASSERT_EQ(0, mbuf_revoke(self->b, y.id));
	close(p.consent[1].fd);
	p.consent[1].fd = mbuf_consent(self->b, &y);
	EXPECT_EQ(-EAGAIN, mbuf_claim(self->b, o.id, NULL, MBUF_NOW));
	ASSERT_EQ(0, mbuf_provide(self->session, &p));
	self->theirs = mbuf_claim(self->b, o.id, &m, MBUF_FOREVER);
	ASSERT_GE(self->theirs, 0);
	EXPECT_EQ(self->size, m.size);
	ASSERT_EQ(0, mbuf_answer(self->a, o.id, &a, MBUF_FOREVER));
	self->mine = a.region.fd;
	EXPECT_EQ(0, shared_between(self->mine, self->theirs, self->size, 9));
	close(p.consent[0].fd);
	close(p.consent[1].fd);
}

TEST_HARNESS_MAIN
