// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A file tree, streamed from one process to another that knows nothing of it but
 * a name.
 *
 * usage: tree receive FOLDER		says when it is ready; FOLDER is made
 *	  tree send FOLDER
 *
 * Files are read right into the ring, and written right out of it. Both sides
 * compute the SHA-256 of all names and contents; the receiver sends its own back,
 * and both say what it is. What is neither a file nor a folder is left out, and
 * counted.
 *
 * Exit status: 0 if the digests are the same, 1 if not, 2 for wrong usage.
 */
#define _XOPEN_SOURCE 700
#include <err.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <nettle/sha2.h>

#include <mbuf_stream.h>

#include "example.h"

#define TREE_NAME	"mbuf example: tree"
#define PATIENCE_NS	10000000000ull

/*
 * The messages: what is next, its name following; for a file its contents in as
 * many as it takes, and an empty one. The reply to TREE_END is a struct summary.
 */
enum what { TREE_FOLDER, TREE_FILE, TREE_END };

struct entry {
	uint32_t what;
	uint32_t mode;
	char name[];
};

struct summary {
	uint64_t folders, files, bytes;
	uint8_t digest[SHA256_DIGEST_SIZE];
};

/* One stream in each process. */
static struct mbuf_stream *stream;
static struct sha256_ctx hash;
static struct summary summary;
static unsigned long left_out;
static size_t root_len;

static void check(int ret, const char *what)
{
	if (ret < 0)
		errx(1, "cannot %s: %s", what, mbuf_strerror(ret));
}

static void account(const struct entry *entry, size_t len)
{
	summary.folders += entry->what == TREE_FOLDER;
	summary.files += entry->what == TREE_FILE;
	sha256_update(&hash, len, (const uint8_t *)entry);
}

static void account_data(const void *data, size_t len)
{
	summary.bytes += len;
	sha256_update(&hash, len, data);
}

static void report(const char *did)
{
	int i;

	printf("%s %llu folders, %llu files, %llu bytes, SHA-256 ", did,
	       (unsigned long long)summary.folders,
	       (unsigned long long)summary.files,
	       (unsigned long long)summary.bytes);
	for (i = 0; i < SHA256_DIGEST_SIZE; i++)
		printf("%02x", summary.digest[i]);
	printf("\n");
	if (left_out)
		printf("%lu left out, as they are neither files nor folders\n",
		       left_out);
	/* A result that could not be written is none. */
	if (fflush(stdout) || ferror(stdout))
		err(1, "cannot write the result");
}

/* ---- sending --------------------------------------------------------------- */

static void send_entry(enum what what, mode_t mode, const char *name)
{
	char buf[sizeof(struct entry) + PATH_MAX];
	struct entry *entry = (struct entry *)buf;
	size_t len = strlen(name) + 1;

	entry->what = what;
	entry->mode = mode & 0777;
	memcpy(entry->name, name, len);
	account(entry, sizeof(*entry) + len);
	check(mbuf_stream_send(stream, buf, sizeof(*entry) + len, MBUF_FOREVER),
	      "send");
}

static void send_data(int fd, const char *path)
{
	size_t max = mbuf_stream_max(stream);
	ssize_t len;
	void *room;

	do {
		check(mbuf_stream_loan(stream, max, &room, MBUF_FOREVER),
		      "send");
		len = read(fd, room, max);
		if (len < 0)
			err(1, "cannot read %s", path);
		account_data(room, (size_t)len);
		check(mbuf_stream_commit(stream, (size_t)len), "send");
	} while (len);
}

static int send_one(const char *path, const struct stat *st, int type,
		    struct FTW *ftw)
{
	const char *name = path + root_len;
	int fd;

	/* The folder itself has no name. */
	if (!ftw->level)
		return 0;
	name += *name == '/';
	if (type == FTW_D) {
		send_entry(TREE_FOLDER, st->st_mode, name);
	} else if (type == FTW_F && S_ISREG(st->st_mode)) {
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0)
			err(1, "cannot open %s", path);
		send_entry(TREE_FILE, st->st_mode, name);
		send_data(fd, path);
		close(fd);
	} else if (type == FTW_F || type == FTW_SL) {
		left_out++;
	} else {
		errx(1, "cannot read %s", path);
	}
	return 0;
}

static int send_tree(int session, const char *folder)
{
	struct summary theirs;
	ssize_t len;

	check(mbuf_stream_connect(session, TREE_NAME, strlen(TREE_NAME), NULL,
				  mbuf_deadline(PATIENCE_NS), &stream),
	      "connect to a receiver");
	root_len = strlen(folder);
	if (nftw(folder, send_one, 32, FTW_PHYS))
		err(1, "cannot read %s", folder);
	send_entry(TREE_END, 0, "");
	sha256_digest(&hash, sizeof(summary.digest), summary.digest);
	len = mbuf_stream_recv(stream, &theirs, sizeof(theirs), MBUF_FOREVER);
	check((int)len, "get the receiver's digest");
	report("sent");
	if (len != sizeof(theirs) || memcmp(&theirs, &summary, sizeof(theirs)))
		errx(1, "the receiver has got something else");
	return 0;
}

/* ---- receiving ------------------------------------------------------------- */

/* A name that stays within the folder. Nothing in there is a symbolic link. */
static bool name_is_good(const char *name)
{
	const char *part = name;

	for (;;) {
		size_t len = strcspn(part, "/");

		if (!len || (len == 1 && part[0] == '.') ||
		    (len == 2 && part[0] == '.' && part[1] == '.'))
			return false;
		if (!part[len])
			return true;
		part += len + 1;
	}
}

static void receive_data(int folder, const struct entry *entry)
{
	struct mbuf_stream_piece piece;
	int fd;

	fd = openat(folder, entry->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
		    entry->mode & 0777);
	if (fd < 0)
		err(1, "cannot make %s", entry->name);
	do {
		check(mbuf_stream_peek(stream, &piece, MBUF_FOREVER),
		      "receive");
		if (write(fd, piece.data, piece.len) != (ssize_t)piece.len)
			err(1, "cannot write %s", entry->name);
		account_data(piece.data, piece.len);
		mbuf_stream_release(stream);
	} while (piece.len);
	if (close(fd))
		err(1, "cannot write %s", entry->name);
}

static int receive_tree(int session, const char *path)
{
	char buf[sizeof(struct entry) + PATH_MAX];
	struct entry *entry = (struct entry *)buf;
	struct mbuf_stream_listener *listener;
	int folder;
	ssize_t len;

	if (mkdir(path, 0777))
		err(1, "cannot make %s", path);
	folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		err(1, "cannot open %s", path);
	check(mbuf_stream_listen(session, TREE_NAME, strlen(TREE_NAME), 0600, 1,
				 NULL, &listener), "listen");
	example_ready("tree");
	check(mbuf_stream_accept(listener, MBUF_FOREVER, &stream), "accept");
	mbuf_stream_listener_close(listener);
	for (;;) {
		len = mbuf_stream_recv(stream, buf, sizeof(buf), MBUF_FOREVER);
		check((int)len, "receive");
		if ((size_t)len <= sizeof(*entry) || buf[len - 1])
			errx(1, "the sender does not keep to the protocol");
		account(entry, (size_t)len);
		if (entry->what == TREE_END)
			break;
		if (!name_is_good(entry->name))
			errx(1, "the name '%s' is not one in a folder",
			     entry->name);
		if (entry->what == TREE_FILE)
			receive_data(folder, entry);
		else if (mkdirat(folder, entry->name, entry->mode | 0700))
			err(1, "cannot make %s", entry->name);
	}
	sha256_digest(&hash, sizeof(summary.digest), summary.digest);
	check(mbuf_stream_send(stream, &summary, sizeof(summary), MBUF_FOREVER),
	      "reply");
	report("received");
	return 0;
}

int main(int argc, char **argv)
{
	bool sends = argc == 3 && !strcmp(argv[1], "send");
	int session, ret;

	if (argc != 3 || (!sends && strcmp(argv[1], "receive"))) {
		fprintf(stderr, "usage: tree send|receive FOLDER\n");
		return 2;
	}
	session = example_open();
	if (session < 0)
		return 1;
	sha256_init(&hash);
	ret = sends ? send_tree(session, argv[2]) :
		      receive_tree(session, argv[2]);
	mbuf_stream_close(stream);
	close(session);
	return ret;
}
