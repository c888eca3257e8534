#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Checks of libmbuf that need no module: what it exports, that it can be used
# from C and C++, linked both ways, installed and found. Called by
# "make check"; prints TAP.
#
# Usage: check.sh BUILDDIR SONAME [TEST]...
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
build=$1
soname=$2
uapi=$here/../uapi
work=$build/check

: "${CC:=cc}" "${CXX:=c++}" "${NM:=nm}" "${PKG_CONFIG:=pkg-config}"
: "${MAKE:=make}"

tests=(
	map_is_header
	map_is_exported
	archive_is_exported
	only_libc_needed
	soname_is_set
	header_c11
	header_cxx17
	header_alone
	link_shared
	link_static
	link_cxx
	behaviour
	calls
	slot_copies_c11
	slot_copies_cxx17
	ring
	ring_sanitized
	ring_hostile
	ring_threads
	ring_threads_sanitized
	ring_processes
	ring_pingpong
	ring_epoll
	ring_kill_producer
	ring_kill_consumer
	ring_many
	ring_many_killed
	ring_no_system_call
	ring_step
	ring_cxx17
	library_32
	slot_copies_32
	ring_32
	ring_hostile_32
	ring_threads_32
	ring_kill_producer_32
	ring_kill_consumer_32
	ring_step_32
	ring_mixed
	staged_install
	pkg_config_program
	pkg_config_static
	uninstall_leaves_nothing
)
(($# < 3)) || tests=("${@:3}")

rm -rf "$work"
mkdir -p "$work"
cd "$work"

skip() {	# a reason, for a test that cannot be made here
	echo "$1" > skipped
	exit 0
}

# ---- a program that uses everything that is declared -------------------------

# Taking the address of every function proves that each can be linked.
functions_of_header() {
	# Only what the library's headers declare: line markers tell the files
	# apart. What is inline is not exported, and begins and ends in the
	# first column.
	printf '#include <mbuf_%s.h>\n' ring_many stack stream |
		"$CC" -E -I"$here/include" -I"$uapi" -x c - |
		awk '/^# [0-9]+ "/ { own = ($3 ~ /include\/mbuf(_ring|_ring_many|_stack|_stream)?\.h"$/); next }
		     !own { next }
		     /^static inline/ { inside = 1 }
		     !inside
		     /^}/ { inside = 0 }' |
		grep -oE '\bmbuf_[a-z0-9_]+ *\(' | tr -d ' (' | sort -u
}

# "name@@VERSION", as the map has it.
functions_of_map() {
	awk '/^LIBMBUF_/ { version = $1 }
	     /^\tmbuf_[a-z0-9_]+;$/ { sub(";", ""); print $1 "@@" version }' \
		"$here/libmbuf.map" | LC_ALL=C sort -u
}

functions_of_header > header.txt
{
	echo '#include <mbuf.h>'
	echo '#include <mbuf_ring.h>'
	echo '#include <mbuf_ring_many.h>'
	echo '#include <mbuf_stack.h>'
	echo '#include <mbuf_stream.h>'
	echo '#include <stdio.h>'
	echo 'typedef void (*function)(void);'
	echo 'int main(void)'
	echo '{'
	echo '	function all[] = {'
	sed 's/.*/		(function)&,/' header.txt
	echo '	};'
	echo '	unsigned int i, n = 0;'
	echo '	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)'
	echo '		n += all[i] != 0;'
	# shellcheck disable=SC2028 # the backslash is meant for C
	echo '	printf("%u\n", n);'
	echo '	return 0;'
	echo '}'
} > all.c
cp all.c all.cc

# What can be said of the library where there is no module.
cat > behaviour.c <<'END'
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <mbuf.h>

static int failed;

#define EXPECT(cond) do {						\
	if (!(cond)) {							\
		printf("line %d: %s\n", __LINE__, #cond);		\
		failed = 1;						\
	}								\
} while (0)

int main(void)
{
	struct mbuf_queue_info info;
	struct mbuf_query query;
	struct mbuf_msg msg = { .len = 7, .seq = 8 };
	int a = -7, b = -8, null, i;
	uint64_t before, then;
	char c = 0;

	/* Errors of the system come back with their sign changed. */
	EXPECT(mbuf_query(-1, &query) == -EBADF);
	EXPECT(mbuf_queue_create(-1, 1, 1, 0, &a, &b) == -EBADF);
	EXPECT(a == -7 && b == -8);
	EXPECT(mbuf_queue_info(-1, &info) == -EBADF);
	EXPECT(mbuf_send(-1, &c, 1, MBUF_NOW) == -EBADF);
	EXPECT(mbuf_recv(-1, &c, 1, MBUF_FOREVER) == -EBADF);
	EXPECT(mbuf_send_msg(-1, &msg, 1) == -EBADF);
	EXPECT(mbuf_recv_msg(-1, &msg, 1) == -EBADF);
	EXPECT(msg.len == 7 && msg.seq == 8);
	EXPECT(mbuf_send_batch(-1, &msg, 1, 1, MBUF_NOW) == -EBADF);
	EXPECT(mbuf_recv_batch(-1, &msg, 1, 1, MBUF_NOW) == -EBADF);

	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	EXPECT(null >= 0);
	EXPECT(mbuf_query(null, &query) == -ENOTTY);
	EXPECT(mbuf_send(null, &c, 1, MBUF_NOW) == -ENOTTY);
	close(null);

	/* Where there is no device, it is one of these that is reported. */
	a = mbuf_open();
	if (a >= 0) {
		EXPECT(fcntl(a, F_GETFD) & FD_CLOEXEC);
		EXPECT((fcntl(a, F_GETFL) & O_ACCMODE) == O_RDWR);
		close(a);
	} else {
		EXPECT(a == -ENOENT || a == -ENXIO || a == -ENODEV ||
		       a == -EACCES || a == -EPERM);
	}

	/* Deadlines: absolute, saturating, never one that means something else. */
	before = mbuf_deadline(0);
	then = mbuf_deadline(1000000000);
	EXPECT(before != MBUF_NOW && before != MBUF_FOREVER);
	EXPECT(then >= before + 1000000000);
	EXPECT(then < before + 60000000000ull);
	EXPECT(mbuf_deadline(UINT64_MAX) == MBUF_FOREVER);
	EXPECT(mbuf_deadline(UINT64_MAX - 1) == MBUF_FOREVER);
	EXPECT(mbuf_deadline((uint64_t)INT64_MAX) == MBUF_FOREVER ||
	       before <= 1);
	EXPECT(mbuf_deadline((uint64_t)INT64_MAX / 2) < (uint64_t)INT64_MAX);

	/* One line for any number, the same for both signs. */
	for (i = -4096; i <= 4096; i++) {
		const char *text = mbuf_strerror(i);

		EXPECT(text && *text && !strchr(text, '\n'));
		EXPECT(text == mbuf_strerror(-i) || !strcmp(text,
							   mbuf_strerror(-i)));
	}
	EXPECT(mbuf_strerror(INT_MIN) && mbuf_strerror(INT_MAX));
	EXPECT(strcmp(mbuf_strerror(-EPIPE), mbuf_strerror(-ERANGE)));
	return failed;
}
END

# ---- tests: each prints why it fails -----------------------------------------

map_is_header() {
	[ -s header.txt ]
	functions_of_map > versions.txt
	sed 's/@.*//' versions.txt | sort -u > map.txt
	diff header.txt map.txt
}

map_is_exported() {
	# "address T name@@VERSION"; the version's own symbol is of type A.
	"$NM" -D --defined-only "$build/$soname" |
		awk '$2 != "A" { print $3 }' | LC_ALL=C sort > exported.txt
	# And what only programs use that are older.
	LC_ALL=C sort - versions.txt <<-END | diff - exported.txt
		mbuf_query@LIBMBUF_0.1
	END
}

# But for what its own files share, under a prefix that is nobody else's.
archive_is_exported() {
	"$NM" -g --defined-only "$build/libmbuf.a" |
		awk 'NF == 3 && $3 !~ /^libmbuf_/ { print $3 }' | sort |
		diff map.txt -
}

only_libc_needed() {
	readelf -dW "$build/$soname" | grep NEEDED > needed.txt || true
	if grep -v 'libc\.so\.' needed.txt; then
		return 1
	fi
}

soname_is_set() {
	readelf -dW "$build/$soname" | grep -F "SONAME" | grep -F "[$soname]"
	[ "$(readlink "$build/libmbuf.so")" = "$soname" ]
}

header_c11() {
	"$CC" -std=c11 -Wall -Wextra -Werror -pedantic -Wcast-qual \
		-Wstrict-prototypes -fsyntax-only \
		-I"$here/include" -I"$uapi" all.c
}

header_cxx17() {
	need_cxx
	"$CXX" -std=c++17 -Wall -Wextra -Werror -pedantic \
		-fsyntax-only -I"$here/include" -I"$uapi" -x c++ - <<-'END'
		#include <mbuf.h>
		extern "C" { typedef int wanted(int, struct mbuf_query *); }
		/* Fails to compile if the linkage is that of C++. */
		wanted *query = mbuf_query;
		uint64_t now = MBUF_NOW, forever = MBUF_FOREVER;
	END
}

header_alone() {
	# It must not depend on what was included before, nor define anything.
	printf '#include <%s.h>\n' mbuf_stream mbuf_stream mbuf_ring_many \
		mbuf_ring_many mbuf_ring mbuf_ring mbuf mbuf > twice.c
	"$CC" -std=c11 -Wall -Wextra -Werror -I"$here/include" -I"$uapi" -c \
		-o twice.o twice.c
	if "$NM" -g twice.o | grep .; then
		return 1
	fi
}

count_is() {
	local got
	got=$("$@")
	[ "$got" = "$(wc -l < header.txt)" ] || {
		echo "linked $got functions of $(wc -l < header.txt)"
		return 1
	}
}

link_shared() {
	"$CC" -Wall -Werror -o all-shared all.c -I"$here/include" -I"$uapi" \
		-L"$build" -lmbuf
	readelf -dW all-shared | grep -F "NEEDED" | grep -F "[$soname]"
	count_is env LD_LIBRARY_PATH="$build" ./all-shared
}

link_static() {
	"$CC" -static -Wall -Werror -o all-static all.c -I"$here/include" \
		-I"$uapi" -L"$build" -lmbuf
	count_is ./all-static
}

link_cxx() {
	need_cxx
	"$CXX" -std=c++17 -Wall -Werror -o all-cxx all.cc -I"$here/include" \
		-I"$uapi" -L"$build" -lmbuf
	count_is env LD_LIBRARY_PATH="$build" ./all-cxx
}

behaviour() {
	"$CC" -std=gnu11 -Wall -Wextra -Werror -o behaviour behaviour.c \
		-I"$here/include" -I"$uapi" -L"$build" -lmbuf
	LD_LIBRARY_PATH=$build ./behaviour
}

# Its own ioctl() has to be the one that the library calls.
calls() {
	"$CC" -std=gnu11 -Wall -Wextra -Werror -rdynamic -o calls \
		"$here/check-calls.c" -I"$here/include" -I"$uapi" -L"$build" \
		-lmbuf
	LD_LIBRARY_PATH=$build ./calls
}

slot_copies_c11() {
	"$CC" -std=c11 -O2 -Wall -Wextra -Werror -pedantic -Wcast-qual -pthread \
		-o slot "$here/check-slot.c" -I"$here/include" -I"$uapi"
	./slot
}

slot_copies_cxx17() {
	need_cxx
	"$CXX" -std=c++17 -O2 -Wall -Wextra -Werror -pedantic \
		-pthread -o slot-cxx -x c++ "$here/check-slot.c" \
		-I"$here/include" -I"$uapi"
	./slot-cxx
}

# ---- rings ------------------------------------------------------------------

# ring_program NAME SOURCE [CFLAGS...]: one of the check-ring*.c, with the ring
# itself compiled the same way.
ring_program() {
	local name=$1 source=$2
	shift 2
	"$CC" -std=gnu11 -g -Wall -Wextra -Werror "$@" -pthread -o "$name" \
		"$here/$source" "$here/ring.c" "$here/ring_many.c" \
		"$here/time.c" \
		-I"$here/include" -I"$uapi"
}

# Many compilers come without the libraries that this needs.
need_sanitizer() {
	echo 'int main(void) { return 0; }' |
		"$CC" "-fsanitize=$1" -x c -o sanitizer - > sanitizer.txt 2>&1 ||
		skip "$CC -fsanitize=$1 does not work"
}

undefined=("-fsanitize=address,undefined" -fno-sanitize-recover=all)

ring() {
	ring_program ring-plain check-ring.c -O2
	./ring-plain
}

ring_sanitized() {
	need_sanitizer address,undefined
	ring_program ring-asan check-ring.c -O1 "${undefined[@]}"
	./ring-asan
}

# MBUF_CHECK_SECONDS: how long.
ring_hostile() {
	need_sanitizer address,undefined
	ring_program hostile check-ring-hostile.c -O1 "${undefined[@]}"
	./hostile "${MBUF_CHECK_SECONDS:-8}"
}

two() {	# TEST THOUSANDS
	[ -x two ] || ring_program two check-ring-two.c -O2
	./two "$@"
}

ring_threads() {
	two threads 300
}

# Its barriers are not among what the thread sanitizer understands, but it does
# not need them to see that there are no data races. It wants a fixed layout of
# the address space.
ring_threads_sanitized() {
	need_sanitizer thread
	ring_program two-tsan check-ring-two.c -O1 -fsanitize=thread -Wno-tsan
	# It looks at a head that it has given back, for a guess: whatever it
	# finds there will do.
	echo "race:rx_slip" > suppressions.txt
	export TSAN_OPTIONS="suppressions=$PWD/suppressions.txt"
	for test in threads pingpong epoll; do
		setarch -R ./two-tsan "$test" 20
	done
}

ring_processes() {
	two processes 300
}

ring_pingpong() {
	two pingpong 1000
}

ring_epoll() {
	two epoll 2000
}

ring_kill_producer() {
	two kill-producer 1000
}

ring_kill_consumer() {
	two kill-consumer 1000
}

many() {	# TEST [COUNT]
	[ -x many ] || ring_program many check-ring-many.c -O2
	./many "$@"
}

ring_many() {
	many calls
	many loan
	many ringing
	many threads 200
}

ring_many_killed() {
	many killed 300
}

ring_no_system_call() {
	local ret=0
	two quiet 1000 || ret=$?
	[ "$ret" != 77 ] || skip "the kernel has no system call user dispatch"
	return "$ret"
}

# MBUF_CHECK_KILL_EVERY: after how many instructions; 1 takes minutes.
ring_step() {
	[ "$(uname -m)" = x86_64 ] || [ "$(uname -m)" = aarch64 ] ||
		skip "single steps are for x86-64 and arm64"
	ring_program step check-ring-step.c -O2
	./step "${MBUF_CHECK_KILL_EVERY:-64}"
}

ring_cxx17() {
	need_cxx
	cat > ring.cc <<-'END'
		#include <mbuf_ring.h>
		static mbuf_ring_tx tx;
		static mbuf_ring_rx rx;
		int main()
		{
			alignas(4096) static unsigned char area[3 * 65536];
			struct mbuf_ring_map map;
			mbuf_ring_rec rec;
			void *data;
			long n = 42, m = 0;
			if (mbuf_ring_map(&map, area, sizeof(area), area) ||
			    mbuf_ring_tx_init(&tx, &map, nullptr) ||
			    mbuf_ring_rx_init(&rx, &map, nullptr) ||
			    mbuf_ring_push(&tx, &n, sizeof(n), MBUF_NOW) ||
			    mbuf_ring_loan(&tx, 10, &data, MBUF_NOW) ||
			    mbuf_ring_stage(&tx, 10, 7) ||
			    mbuf_ring_flush(&tx) ||
			    mbuf_ring_loan(&tx, 10, &data, MBUF_NOW) ||
			    mbuf_ring_commit(&tx, 5, 8))
				return 1;
			if (mbuf_ring_pop(&rx, &m, sizeof(m), MBUF_NOW) != sizeof(m) ||
			    m != 42 || mbuf_ring_peek(&rx, &rec, MBUF_NOW) ||
			    rec.tag != 7)
				return 1;
			mbuf_ring_release(&rx);
			return 0;
		}
	END
	"$CXX" -std=c++17 -O2 -Wall -Wextra -Werror -pedantic \
		-Wconversion -o ring-cxx ring.cc -I"$here/include" \
		-I"$uapi" -L"$build" -lmbuf
	LD_LIBRARY_PATH=$build ./ring-cxx
}

# ---- 32 bits ----------------------------------------------------------------

need_32() {
	cc32=$("$here/cc32" run 2> cc32.txt) || skip "$(cat cc32.txt)"
	# A command and its options; and no libraries are needed to run it.
	read -ra cc32 <<< "$cc32"
	cc32+=(-static -O2)
}

program_32() {	# NAME SOURCE
	need_32
	[ -x "$1" ] || CC="${cc32[0]}" ring_program "$1" "$2" "${cc32[@]:1}"
}

library_32() {
	need_32
	"$MAKE" -s -C "$here" O="$work/32" CC="${cc32[0]}" \
		CFLAGS="${cc32[*]:1}" "$work/32/libmbuf.a"
	"${cc32[@]}" -Wall -Werror -o all-32 all.c -I"$here/include" \
		-I"$uapi" -L"$work/32" -lmbuf
	count_is ./all-32
	"${cc32[@]}" -Wall -Wextra -Werror -o behaviour-32 behaviour.c \
		-I"$here/include" -I"$uapi" -L"$work/32" -lmbuf
	./behaviour-32
}

slot_copies_32() {
	need_32
	"${cc32[@]}" -std=c11 -Wall -Wextra -Werror -pedantic -pthread \
		-o slot-32 "$here/check-slot.c" -I"$here/include" -I"$uapi"
	./slot-32
}

ring_32() {
	program_32 ring-32 check-ring.c
	./ring-32
}

ring_hostile_32() {
	program_32 hostile-32 check-ring-hostile.c
	./hostile-32 "${MBUF_CHECK_SECONDS:-4}"
}

two_32() {	# TEST THOUSANDS
	program_32 two-32 check-ring-two.c
	./two-32 "$@"
}

ring_threads_32() {
	two_32 threads 300
}

ring_kill_producer_32() {
	two_32 kill-producer 500
}

ring_kill_consumer_32() {
	two_32 kill-consumer 500
}

ring_step_32() {
	program_32 step-32 check-ring-step.c
	./step-32 "${MBUF_CHECK_KILL_EVERY:-64}"
}

# A ring whose sides have pointers of different sizes, each way around.
ring_mixed() {
	program_32 two-32 check-ring-two.c
	two mixed 300 "$PWD/two-32"
}

# An unusual prefix, so that nothing is found by accident.
prefix=/opt/mbuf-check
install_vars=(O="$work/again" DESTDIR="$work/stage" prefix="$prefix"
	      libdir="$prefix/lib/any")

staged_install() {
	"$MAKE" -s -C "$here" install "${install_vars[@]}"
	(cd stage && find . ! -type d | LC_ALL=C sort) > installed.txt
	LC_ALL=C sort > wanted.txt <<-END
		.$prefix/include/linux/mbuf.h
		.$prefix/include/linux/mbuf_netlink.h
		.$prefix/include/mbuf.h
		.$prefix/include/mbuf_ring.h
		.$prefix/include/mbuf_ring_many.h
		.$prefix/include/mbuf_stack.h
		.$prefix/include/mbuf_stream.h
		.$prefix/lib/any/libmbuf.a
		.$prefix/lib/any/libmbuf.so
		.$prefix/lib/any/$soname
		.$prefix/lib/any/$soname.2.0
		.$prefix/lib/any/pkgconfig/libmbuf.pc
	END
	diff wanted.txt installed.txt
	# Symbolic links must not lead out of the folder they are in.
	[ -z "$(find stage -type l -lname '*/*')" ]
}

pc() {
	PKG_CONFIG_PATH="$work/stage$prefix/lib/any/pkgconfig" \
	PKG_CONFIG_SYSROOT_DIR="$work/stage" "$PKG_CONFIG" "$@" libmbuf
}

need_cxx() {
	"$CXX" --version > version.txt 2>&1 ||
		skip "$CXX does not run (Debian: apt install g++)"
}

need_pkg_config() {
	"$PKG_CONFIG" --version > version.txt 2>&1 ||
		skip "$PKG_CONFIG does not run (Debian: apt install pkgconf)"
}

# The program and its folder know nothing of this tree.
outside_program() {
	local outside flags
	outside=$(mktemp -d)
	# shellcheck disable=SC2064 # the folder of now is what is meant
	trap "rm -rf '$outside'" EXIT
	cp all.c "$outside/prog.c"
	cd "$outside"
	read -ra flags < <(pc --cflags --libs)
	"$CC" -Wall -Wextra -o prog prog.c "${flags[@]}" "$@"
}

pkg_config_program() {
	need_pkg_config
	pc --exists
	# Relocatable: what is below the prefix is given relative to it.
	# shellcheck disable=SC2016 # the dollar signs are those of the file
	printf 'prefix=%s\nlibdir=${prefix}/lib/any\n' "$prefix" |
		diff - <(grep -v '^#' "stage$prefix/lib/any/pkgconfig/libmbuf.pc" |
			 head -n 2)
	outside_program
	cp "$work/header.txt" .
	count_is env LD_LIBRARY_PATH="$work/stage$prefix/lib/any" ./prog
}

pkg_config_static() {
	need_pkg_config
	outside_program -static
	cp "$work/header.txt" .
	count_is ./prog
}

uninstall_leaves_nothing() {
	"$MAKE" -s -C "$here" uninstall "${install_vars[@]}"
	find stage ! -type d > left.txt
	diff /dev/null left.txt
}

# ---- run ---------------------------------------------------------------------

echo "TAP version 13"
echo "1..${#tests[@]}"
number=0
failures=0
for name in "${tests[@]}"; do
	number=$((number + 1))
	rm -f skipped
	# Not "if (...)": errexit does not work in a condition.
	set +e
	(set -e; "$name") > log.txt 2>&1
	ret=$?
	set -e
	if [ "$ret" -ne 0 ]; then
		echo "not ok $number - lib: $name"
		sed 's/^/# /' log.txt
		failures=$((failures + 1))
	elif [ -e skipped ]; then
		echo "ok $number - lib: $name # SKIP $(cat skipped)"
	else
		echo "ok $number - lib: $name"
	fi
done
[ "$failures" -eq 0 ]
