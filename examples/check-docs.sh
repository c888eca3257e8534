#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What the documentation prints as code has to be code. Called by
# "make check-readme"; prints TAP.
#
# README.md: the first block of C is a program, and the first console block
# says how to compile it and what it prints. It is compiled by that very
# command, and is left as BUILDDIR/readme (static, for a guest), with what it
# should print in BUILDDIR/readme.expected.
#
# examples/server.c, examples/echo.c: as short as the documentation says.
#
# Documentation/overview.md: each block of C is the body of a function that
# gets what the text takes for granted (see fragment() below), and is compiled.
#
# Documentation/tutorial.md: the files of each step, with those of the steps before
# that it does not replace, are compiled by the commands that it prints. Left, with
# static programs, in BUILDDIR/tutorial: a folder for each step, with what else it
# has one type in "run", and what it says that is printed in "expected".
#
# Documentation/kernel-api.md: the block of C is a driver but for what comes
# before and after, and is compiled for a kernel.
#
# Usage: check-docs.sh BUILDDIR LIBMBUF-BUILDDIR
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$here/..
build=$1
libmbuf=$2
work=$build/docs
lines_max=20
server_lines_max=40
echo_lines_max=40

: "${CC:=cc}"

rm -rf "$work"
mkdir -p "$work"
cd "$work"

# As if libmbuf were installed where the compiler looks by itself.
export CPATH=$top/lib/include:$top/uapi
export LIBRARY_PATH=$libmbuf
export LD_LIBRARY_PATH=$libmbuf

# block FILE LANGUAGE NUMBER: what is in the NUMBERth block of that language.
block() {
	awk -v fence="\`\`\`$2" -v want="$3" '
		/^```/ { inside = !inside && $0 == fence && ++n == want; next }
		inside' "$1"
}

count_blocks() {
	grep -cxF "\`\`\`$2" "$1"
}

# ---- README.md ---------------------------------------------------------------

readme_is_short() {
	block "$top/README.md" c 1 > hello.c
	[ -s hello.c ] || {
		echo "README.md has no block of C"
		return 1
	}
	local lines
	lines=$(grep -c . hello.c)
	[ "$lines" -le "$lines_max" ] || {
		echo "the program has $lines lines that are not empty, not $lines_max"
		return 1
	}
}

readme_compiles_as_printed() {
	local -a command
	block "$top/README.md" console 1 > console.txt
	read -ra command < <(sed -n 's/^\$ //p' console.txt | head -n 1)
	[ "${command[0]}" = cc ] || {
		echo "the first command is not cc: ${command[*]}"
		return 1
	}
	"${command[@]}" -Werror
	[ -x hello ]
	# The same once more for a machine that has no libraries.
	"$CC" "${command[@]:1}" -Werror -static -o "$build/readme"
	cp hello.c "$build/readme.c"
	awk '/^\$ / { n++; next } n == 2' console.txt > "$build/readme.expected"
	[ -s "$build/readme.expected" ]
}

readme_runs() {
	local ret=0
	./hello > out.txt 2> err.txt || ret=$?
	if [ -e /dev/mbuf ]; then
		[ "$ret" -eq 0 ] && diff "$build/readme.expected" out.txt
		return
	fi
	# Without the module: one line, and an exit status of 1.
	[ "$ret" -eq 1 ] && [ ! -s out.txt ] && [ "$(wc -l < err.txt)" -eq 1 ] &&
		grep -F "modprobe mbuf" err.txt
}

# is_short FILE LINES: without comments and empty lines.
is_short() {
	local lines
	lines=$(grep -cvE '^[[:space:]]*(//.*|/?\*.*)?$' "$here/$1")
	[ "$lines" -le "$2" ] || {
		echo "$1 has $lines lines of code, not $2"
		return 1
	}
}

servers_are_short() {
	is_short server.c "$server_lines_max"
	is_short echo.c "$echo_lines_max"
}

readme_says_where_things_are() {
	# Every path in the picture of the tree exists.
	local path found=0 missing=0
	while read -r path _; do
		found=$((found + 1))
		[ -e "$top/$path" ] || {
			echo "README.md names $path, which is not there"
			missing=1
		}
	done < <(sed -n '/^## The tree/,/^[A-Z].*COPYING/s/^    \([a-zA-Z]\)/\1/p' \
			"$top/README.md")
	[ "$found" -ge 5 ] && [ "$missing" -eq 0 ]
}

# ---- Documentation/overview.md -----------------------------------------------

overview=$top/Documentation/overview.md

fragment() {	# a number
	cat <<-'END'
	#define _GNU_SOURCE
	#include <errno.h>
	#include <fcntl.h>
	#include <poll.h>
	#include <stdio.h>
	#include <stdlib.h>
	#include <string.h>
	#include <unistd.h>
	#include <sys/epoll.h>
	#include <sys/mman.h>
	#include <sys/socket.h>
	#include <sys/wait.h>
	#include <linux/io_uring.h>
	#include <mbuf.h>
	#include <pthread.h>
	#include <mbuf_ring_many.h>
	#include <mbuf_stack.h>
	#include <mbuf_stream.h>
	void *on_stack(void *stack);
	void work(const void *data, size_t len);
	void complain(const char *text);
	int fragment(int session, int in, int out, int end, int other,
		     int listener, struct mbuf_stream *stream,
		     const void *data, size_t len);
	int fragment(int session, int in, int out, int end, int other,
		     int listener, struct mbuf_stream *stream,
		     const void *data, size_t len)
	{
		char buf[4096];
		ssize_t got;
		int ret = 0;

		(void)session, (void)in, (void)out, (void)end, (void)other;
		(void)listener, (void)stream, (void)data, (void)len, (void)buf, (void)got;
	END
	echo '#line 1 "overview.md, block '"$1"'"'
	block "$overview" c "$1"
	printf '\treturn ret;\n}\n'
}

overview_compiles() {
	local i n bad=0
	n=$(count_blocks "$overview" c)
	for ((i = 1; i <= n; i++)); do
		fragment "$i" > "fragment$i.c"
		"$CC" -std=gnu11 -Wall -Wextra -Werror -fsyntax-only \
			"fragment$i.c" || bad=1
	done
	[ "$n" -gt 0 ] && [ "$bad" -eq 0 ]
}

# ---- Documentation/tutorial.md -----------------------------------------------

tutorial_compiles() {
	local steps=$build/tutorial step last="" line
	rm -rf "$steps"
	mkdir "$steps"
	# A file's name stands before it, in bold; other than C is a console.
	awk -v steps="$steps" '
		/^## / {
			step = /^## Step [0-9]+:/ ? steps "/" $3 + 0 : ""
			if (step)
				system("mkdir " step)
		}
		/^\*\*[a-z.]+\*\*:$/ && !inside { name = substr($0, 3, length($0) - 5) }
		/^```/ {
			inside = !inside
			out = ""
			if (inside && step && $0 == "```c")
				out = step "/" name
			if (inside && step && $0 == "```console")
				out = step "/console"
			next
		}
		inside && out { print > out }
	' "$top/Documentation/tutorial.md"
	for step in 1 2 3 4 5; do
		cd "$steps/$step"
		if [ -n "$last" ]; then
			cp -n "$steps/$last"/* .
		fi
		last=$step
		while read -r line; do
			local -a command
			read -ra command <<< "${line#\$ }"
			"${command[@]}" -Werror
			"$CC" "${command[@]:1}" -Werror -static
		done < <(grep '^\$ cc ' console)
		sed -n '/^\$ cc /d; s/^\$ //p' console > run
		grep -v '^\$ ' console > expected
		[ -s run ] && [ -s expected ] || return 1
	done
}

# ---- Documentation/pictures --------------------------------------------------

pictures_are_of_their_sources() {
	local dot bad=0
	cd "$top/Documentation/pictures"
	for dot in *.dot; do
		grep -qF -- "<!-- $(sha256sum "$dot") -->" "${dot%.dot}.svg" || {
			echo "${dot%.dot}.svg is not of $dot: make pictures"
			bad=1
		}
		grep -qF "(pictures/${dot%.dot}.svg)" ../*.md || {
			echo "${dot%.dot}.svg is shown nowhere"
			bad=1
		}
	done
	[ "$bad" -eq 0 ]
}

# ---- Documentation/kernel-api.md ---------------------------------------------

# With the mbuf.ko of a kernel in the cache, as make check has it.
kernel_api_compiles() {
	local dir=$work/kernel-api
	mkdir "$dir"
	cat > "$dir/Kbuild" <<-'END'
	obj-m := sensor.o
	ccflags-y += -I$(src)/../include -I$(src)/..
	END
	{
		cat <<-'END'
		#include <linux/interrupt.h>
		#include <linux/mbuf_kernel.h>
		#include <linux/module.h>
		#include <linux/rcupdate.h>
		#include <linux/uaccess.h>
		struct sensor;
		static void sensor_configure(struct sensor *s, const u8 *data)
		{
		}
		static u64 sensor_value(const struct sensor *s)
		{
			return 0;
		}
		END
		echo '#line 1 "kernel-api.md"'
		block "$top/Documentation/kernel-api.md" c 1
		cat <<-'END'
		/* So that all of it is used. */
		static struct sensor sensor;
		static int __init sensor_init(void)
		{
			if (request_irq(0, sensor_irq, 0, "sensor", &sensor))
				sensor_close(&sensor);
			return sensor_open(&sensor, NULL);
		}
		module_init(sensor_init);
		MODULE_DESCRIPTION("The example of kernel-api.md");
		MODULE_LICENSE("GPL");
		END
	} > "$dir/sensor.c"
	env -u CPATH -u LIBRARY_PATH -u LD_LIBRARY_PATH \
		"$top/vm/kbuild" --source "$dir"
}

# ---- run ---------------------------------------------------------------------

tests=(
	readme_is_short
	readme_compiles_as_printed
	readme_runs
	readme_says_where_things_are
	servers_are_short
	overview_compiles
	tutorial_compiles
	pictures_are_of_their_sources
	kernel_api_compiles
)

echo "TAP version 13"
echo "1..${#tests[@]}"
number=0
failures=0
for name in "${tests[@]}"; do
	number=$((number + 1))
	# Not "if (...)": errexit does not work in a condition.
	set +e
	(set -e; "$name") > log.txt 2>&1
	ret=$?
	set -e
	if [ "$ret" -ne 0 ]; then
		echo "not ok $number - docs: $name"
		sed 's/^/# /' log.txt
		failures=$((failures + 1))
	else
		echo "ok $number - docs: $name"
	fi
done
[ "$failures" -eq 0 ]
