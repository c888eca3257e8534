// SPDX-License-Identifier: GPL-2.0
/*
 * Capabilities on their way, step by step; see step.h.
 *
 * There is one, the passenger: a right to send to a queue that nobody else can
 * send to. Wherever the one that dies was with it, afterwards it is in exactly
 * one place: in the message, or where it was before, or where it has come to.
 * The session and its table are everybody's.
 */
#include "../cap.h"
#include "step.h"

#define FROM_TABLE	1u	/* a handle beforehand, and gone if it is sent */
#define IN_QUEUE	2u	/* it waits in a message */
#define IN_MESSAGE	4u	/* in a message object */
#define TO_TABLE	8u	/* it arrives as a handle */
#define TO_OTHER	16u	/* in another table */

static int pass_rfd = -1, pass_sfd = -1;
static uint64_t pass_id, handle, table, message, caps_before;

static int send_number(struct scene *s, unsigned int nr, bool with)
{
	struct mbuf_cap cap = mbuf_cap_fd(pass_sfd);
	struct mbuf_msg msg = msg_of(s->room, 50);

	fill_pattern(s->room, 50, nr);
	return mbuf_send_caps(s->sfd, &msg, &cap, with, -1, MBUF_NOW);
}

static bool caps_prepare(struct scene *s, const struct job *job)
{
	struct mbuf_message_create m = {
		.max_msg = 50,
		.max_caps = 1,
		.sent.fd = -1,
		.arrived.fd = -1,
	};
	struct mbuf_query q;
	struct mbuf_cap cap;
	unsigned int i;

	if (mbuf_query(s->session, &q))
		return false;
	caps_before = q.caps.used;
	handle = 0;
	table = 0;
	message = 0;
	fill_pattern(s->buf, 50, M_CHILD);
	if (cap_queue(s->session, job->slots, 1, &s->rfd, &s->sfd) ||
	    mbuf_queue_create(s->session, 2, 50, 0, &pass_rfd, &pass_sfd))
		return false;
	pass_id = get_info(pass_rfd).id;
	for (i = 0; i < job->base; i++)
		if (send_number(s, M_BASE + i, job->flags & IN_QUEUE))
			return false;
	if (job->flags & (FROM_TABLE | IN_MESSAGE) &&
	    mbuf_handle_put(s->session, pass_sfd, 0, 0, &handle))
		return false;
	if (job->flags & TO_OTHER &&
	    mbuf_table_create(s->session, 0, &table))
		return false;
	if (job->flags & IN_MESSAGE) {
		cap = mbuf_cap_move(handle);
		if (mbuf_message_create(s->session, &m) ||
		    mbuf_message_load(s->session, m.handle, s->buf, 50, &cap,
				      1))
			return false;
		message = m.handle;
	}
	/* Else it is the descriptor, which is closed when the child is dead. */
	if (job->flags & (FROM_TABLE | IN_MESSAGE | IN_QUEUE))
		close_fd(&pass_sfd);
	return true;
}

static bool caps_asleep(struct scene *s)
{
	struct mbuf_queue_info info = get_info(s->rfd);

	return info.send_waiters || info.recv_waiters;
}

/* The number of the next message, which others see, or -errno. */
static long recv_number(struct scene *s, int session, unsigned int *caps,
			uint64_t *got)
{
	struct mbuf_msg msg = msg_of(s->room, 50);
	struct mbuf_cap cap;
	unsigned int nr = 1, i;
	int ret;

	ret = mbuf_recv_caps(s->rfd, &msg, &cap, &nr, MBUF_RECV_HANDLES,
			     session, MBUF_NOW);
	if (ret)
		return ret;
	if (nr && cap.id == pass_id) {
		++*caps;
		*got = cap.ref.handle;
	}
	for (i = 1; i < 40; i++)
		if (msg.len == 50 && is_pattern(s->room, 50, i))
			return i;
	return -EBADMSG;
}

static bool caps_help(struct scene *s, const struct job *job,
		      struct seen *seen)
{
	unsigned int caps = 0;
	uint64_t got;

	seen->helped = true;
	if (job->parks)
		return recv_number(s, -1, &caps, &got) == M_BASE && !caps;
	return !send_number(s, M_HELP, true);
}

/* Where it is full, there must be room first. */
static bool caps_use(struct scene *s, const struct job *job, struct seen *seen)
{
	unsigned int caps = 0;
	uint64_t got;

	if (!job->parks)
		return !send_number(s, M_OTHER, false);
	return seen->helped || (recv_number(s, -1, &caps, &got) == M_BASE &&
				!caps);
}

/* How often it is in a table; the last handle is in @got. */
static unsigned int in_table(struct scene *s, uint64_t which, uint64_t *got)
{
	struct mbuf_handle_entry e[16];
	unsigned int n = 0;
	uint64_t start = 1;
	int nr, i;

	nr = mbuf_table_list(s->session, which, &start, e, ARRAY_SIZE(e));
	for (i = 0; i < nr; i++) {
		if (e[i].id == pass_id && e[i].type == MBUF_CAP_FILE) {
			n++;
			*got = which ? PATH(which, e[i].handle) : e[i].handle;
		}
	}
	return nr < 0 ? 99 : n;
}

/* All that is left of the call and of what it needed. */
static void empty_table(struct scene *s)
{
	struct mbuf_handle_entry e[16];
	uint64_t start = 1;
	int nr, i;

	nr = mbuf_table_list(s->session, 0, &start, e, ARRAY_SIZE(e));
	for (i = 0; i < nr; i++)
		mbuf_handle_delete(s->session, e[i].handle);
}

/* Whoever holds it can do with it what it is for. */
static bool works(struct scene *s, int session, uint64_t right)
{
	struct mbuf_msg msg = msg_of(s->room, 20);

	fill_pattern(s->room, 20, 7);
	return !mbuf_handle_send(session, right, &msg, NULL, 0, MBUF_NOW) &&
	       mbuf_recv(pass_rfd, s->room, 50, MBUF_NOW) == 20 &&
	       is_pattern(s->room, 20, 7);
}

static enum verdict caps_judge(struct scene *s, const struct job *job,
			       struct seen *seen)
{
	unsigned int child = 0, base = 0, help = 0, others = 0, caps = 0, root;
	unsigned int other = 0, at_start, at_end;
	enum verdict verdict = WRONG;
	int session = mbuf_open();
	uint64_t got = 0, held = 0;
	bool fine = true;
	long nr;

	close_fd(&pass_sfd);
	while ((nr = recv_number(s, session, &caps, &got)) > 0) {
		child += nr == M_CHILD;
		base += nr == M_BASE;
		help += nr == M_HELP;
		others += nr == M_OTHER;
	}
	root = in_table(s, 0, &held);
	if (table)
		other = in_table(s, table, &held);
	/* Where it is if nothing was done, and if all was. */
	at_start = job->flags & FROM_TABLE ? root :
		   job->flags & IN_QUEUE ? base && caps : !child;
	at_end = job->sends ? child && caps :
		 job->flags & TO_OTHER ? other :
		 job->flags & TO_TABLE ? root : !base && !help;
	if (job->waits) {
		/* It comes on its way only if somebody was asleep. */
		at_start = !seen->helped || (help && caps);
		at_end = seen->helped && !help &&
			 (!(job->flags & TO_TABLE) || root);
	}
	if (!!at_start + !!at_end == 1)
		verdict = at_end ? MADE : NOT_MADE;
	if (nr != -EAGAIN || root + other + caps > 1 ||
	    child + base + help > 1 || others != !job->parks)
		fine = false;
	if (caps && !works(s, session, got))
		fine = false;
	if (held && !works(s, s->session, held))
		fine = false;
	close(session);
	empty_table(s);
	/* It was nowhere else. */
	if (!EVENTUALLY(!get_info(pass_rfd).senders))
		fine = false;
	if (fine && verdict != WRONG)
		return verdict;
	diag("messages: %u of the child, %u, %u, %u of others", child, base,
	     help, others);
	diag("the passenger: %u in messages, %u + %u in tables; %u senders",
	     caps, root, other, get_info(pass_rfd).senders);
	return WRONG;
}

static void caps_end(struct scene *s)
{
	struct mbuf_query q;

	empty_table(s);
	close_fd(&s->rfd);
	close_fd(&s->sfd);
	close_fd(&pass_rfd);
	close_fd(&pass_sfd);
	/* What was in a message is closed by a worker. */
	if (!EVENTUALLY(!mbuf_query(s->session, &q) &&
			q.caps.used == caps_before))
		diag("capabilities are left");
}

static const struct kind a_passenger = {
	.prepare = caps_prepare,
	.asleep = caps_asleep,
	.help = caps_help,
	.use = caps_use,
	.judge = caps_judge,
	.end = caps_end,
};

static long do_send_fd(struct scene *s, const struct job *job)
{
	struct mbuf_msg msg = msg_of(s->buf, 50);
	struct mbuf_cap cap = mbuf_cap_fd(pass_sfd);

	(void)job;
	return mbuf_send_caps(s->sfd, &msg, &cap, 1, s->session, MBUF_FOREVER);
}

static long do_send_move(struct scene *s, const struct job *job)
{
	struct mbuf_msg msg = msg_of(s->buf, 50);
	struct mbuf_cap cap = mbuf_cap_move(handle);

	(void)job;
	return mbuf_send_caps(s->sfd, &msg, &cap, 1, s->session, MBUF_FOREVER);
}

static long do_recv(struct scene *s, const struct job *job)
{
	struct mbuf_msg msg = msg_of(s->buf, 50);
	struct mbuf_cap cap;
	unsigned int nr = 1;

	return mbuf_recv_caps(s->rfd, &msg, &cap, &nr, job->flags & TO_TABLE ?
			      MBUF_RECV_HANDLES : 0, s->session, MBUF_FOREVER);
}

static long do_move(struct scene *s, const struct job *job)
{
	uint64_t place = 0;

	(void)job;
	return mbuf_handle_move(s->session, handle, table, 0, &place);
}

static long do_enqueue(struct scene *s, const struct job *job)
{
	(void)job;
	return mbuf_message_enqueue(s->session, message, s->sfd);
}

static const struct job passages[] = {
	{ .name = "mbuf_send_caps, a descriptor", .call = do_send_fd,
	  .kind = &a_passenger, .slots = 4, .sends = 1 },
	{ .name = "mbuf_send_caps, a handle", .call = do_send_move,
	  .kind = &a_passenger, .slots = 4, .sends = 1, .flags = FROM_TABLE },
	{ .name = "mbuf_recv_caps, a descriptor", .call = do_recv,
	  .kind = &a_passenger, .slots = 4, .base = 1, .flags = IN_QUEUE },
	{ .name = "mbuf_recv_caps, a handle", .call = do_recv,
	  .kind = &a_passenger, .slots = 4, .base = 1,
	  .flags = IN_QUEUE | TO_TABLE },
	{ .name = "mbuf_handle_move", .call = do_move, .kind = &a_passenger,
	  .slots = 4, .flags = FROM_TABLE | TO_OTHER },
	{ .name = "mbuf_message_enqueue", .call = do_enqueue,
	  .kind = &a_passenger, .slots = 4, .sends = 1, .flags = IN_MESSAGE },
};

static const struct job sleepers[] = {
	{ .name = "mbuf_send_caps, parked", .call = do_send_move,
	  .kind = &a_passenger, .slots = 1, .base = 1, .sends = 1,
	  .flags = FROM_TABLE, .parks = true },
	{ .name = "mbuf_recv_caps, waiting", .call = do_recv,
	  .kind = &a_passenger, .slots = 4, .flags = 0, .waits = true },
	{ .name = "mbuf_recv_caps, waiting, a handle", .call = do_recv,
	  .kind = &a_passenger, .slots = 4, .flags = TO_TABLE, .waits = true },
};

TEST_F_TIMEOUT(step, caps, LONG_TIMEOUT)
{
	DRIVE_ALL(passages);
}

TEST_F_TIMEOUT(step, caps_asleep, LONG_TIMEOUT)
{
	DRIVE_ALL(sleepers);
}

TEST_HARNESS_MAIN
