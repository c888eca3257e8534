#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# usage: vm/tests.sh SECONDS PROGRAM...
#
# In a guest where there is nothing but busybox: run test programs, each for
# SECONDS at most, and print what kselftest's runner would.

limit=$1
shift

number=0
echo "TAP version 13"
echo "1..$#"
for program; do
	number=$((number + 1))
	name="selftests: $(basename "$(dirname "$program")"): ${program##*/}"
	echo "# $name"
	{
		timeout -s KILL "$limit" "$program" 2>&1 </dev/null
		echo $? >/tmp/tests.rc
	} | while IFS= read -r line; do
		printf '# %s\n' "$line"
	done
	read -r rc </tmp/tests.rc
	case $rc in
	0) echo "ok $number $name" ;;
	4) echo "ok $number $name # SKIP" ;;
	137) echo "not ok $number $name # killed, after $limit seconds if it" \
		  "did not end before" ;;
	*) echo "not ok $number $name # exit=$rc" ;;
	esac
done
