#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What happens inside every guest, whichever lane: load the modules, run the
# command, look for leaks, unload, say so. usage: guest.sh FOLDER, where vm/run
# left the settings, the command and the modules. Runs in busybox's or any
# other POSIX shell.
#
# /dev/ttyS1 is the kernel's console, /dev/ttyS2 the control line: vm/run reads
# "vm:WORD ..." lines from it, and may send "dump" or "bye".

dir=$1
# shellcheck source=/dev/null
. "$dir/config"
export TERM
# The machine whose files the vng lane shows may lack any of these.
bb=$VM_BUSYBOX
kver=$($bb uname -r)
$bb hostname mbuf
$bb ip link set lo up
export HOME="${HOME:-/root}"
ctl=/dev/ttyS2

ctl()
{
	echo "vm:$*" >"$ctl"
}

note()
{
	echo "mbuf-vm: $*" >/dev/kmsg
}

# mounted TYPE PATH: mount TYPE there, unless it is so already.
mounted()
{
	$bb grep -q "^[^ ]* $2 $1 " /proc/mounts && return
	mkdir -p "$2" 2>/dev/null
	$bb mount -t "$1" "$1" "$2" 2>/dev/null
}

# The last words: all output is drained, vm/run has heard the end.
finish()
{
	if [ "$VM_LANE" = initramfs ]; then
		# Changing the line's settings waits until it is empty.
		$bb stty -F /dev/ttyS0 sane 2>/dev/null
	fi
	ctl end
	wait "$listener"
	# Not left to virtme-init, which may find no poweroff.
	$bb poweroff -f
}

fail()
{
	note "$*"
	ctl "$@"
	ctl exit 1
	finish
}

for m in mqueue:/dev/mqueue debugfs:/sys/kernel/debug \
	 tracefs:/sys/kernel/tracing cgroup2:/sys/fs/cgroup; do
	mounted "${m%%:*}" "${m#*:}"
done
# A guest under emulation is slow; but who sleeps this long sleeps for good.
echo 60 >/proc/sys/kernel/hung_task_timeout_secs 2>/dev/null

$bb stty -F "$ctl" raw -echo
(
	while read -r word; do
		case $word in
		dump)
			# Who is blocked, who is running: into the log.
			echo 8 >/proc/sys/kernel/printk
			echo w >/proc/sysrq-trigger
			echo l >/proc/sysrq-trigger
			;;
		bye)
			exit 0
			;;
		esac
	done
) <"$ctl" &
listener=$!

ctl start "$kver"
note "start, $VM_LANE lane"

while read -r m params; do
	# shellcheck disable=SC2086 # several arguments
	$bb insmod "$dir/$m" $params || fail load "$m"
done <"$dir/modules"
if [ -n "$VM_MBUF" ]; then
	# shellcheck disable=SC2086 # several arguments
	$bb insmod "$dir/$VM_MBUF" $VM_MBUF_ARGS || fail load mbuf.ko
fi

while read -r m params; do
	# shellcheck disable=SC2086 # several arguments
	$bb insmod "$dir/$m.ko" $params || fail load "$m"
done <"$dir/later"

leaks=/sys/kernel/debug/kmemleak
[ ! -w "$leaks" ] || echo clear >"$leaks"

if [ -n "$VM_OUT" ]; then
	# The root may be read-only: /out is a link or a folder in memory.
	mkdir -p /out 2>/dev/null || mkdir -p /tmp/out
	[ -d /out ] || out=/tmp/out
fi
: "${out:=/out}"
export MBUF_OUT="$out"

cd "$VM_CWD" || cd /
if [ -n "$VM_INTERACTIVE" ]; then
	# A terminal of its own, apart from everything else.
	shell=$dir/command
	if ! $bb grep -q "^exec " "$shell"; then
		for sh in /bin/bash /bin/sh; do
			[ ! -x "$sh" ] || break
		done
		echo "exec $sh -i" >>"$shell"
	fi
	{
		# shellcheck disable=SC2086 # several words
		$bb stty sane $VM_SIZE
		echo "Kernel $kver, $VM_LANE lane${VM_MBUF:+, mbuf is loaded}."
		echo "exit or ^D leaves; ^] ends the guest at once."
		$bb setsid -c sh "$shell"
	} <>/dev/ttyS3 >&0 2>&1
	rc=$?
	$bb stty -F /dev/ttyS3 sane
elif [ "$VM_LANE" = vng ]; then
	# A virtio serial port can be opened only once, so /dev/stdout would be
	# another one, out of step with this. A pipe can be opened at will.
	ln -sf /proc/self/fd/1 /dev/stdout
	ln -sf /proc/self/fd/2 /dev/stderr
	{
		sh "$dir/command" 2>&1 </dev/null
		echo $? >/run/mbuf-vm.rc
	} | cat
	read -r rc </run/mbuf-vm.rc
else
	sh "$dir/command"
	rc=$?
fi
cd /
note "command ended with $rc"

if [ -w "$leaks" ]; then
	# Young objects are not reported, and the first scan only takes note.
	sleep 6
	echo scan >"$leaks"
	echo scan >"$leaks"
	# Such a file has no size, and a line of the log has a limit.
	$bb cat "$leaks" >/tmp/leaks
	if [ -s /tmp/leaks ]; then
		while IFS= read -r line; do
			echo "$line" >/dev/kmsg
		done </tmp/leaks
		ctl leak "$($bb grep -c '^unreferenced' /tmp/leaks) objects leaked"
	fi
fi

# unload NAME
unload()
{
	# The last close of a killed process may still be under way.
	tries=0
	until $bb rmmod "$1" 2>/tmp/rmmod.err; do
		tries=$((tries + 1))
		if [ "$tries" -ge 50 ]; then
			ctl unload "$1: $(head -n 1 /tmp/rmmod.err)"
			return 1
		fi
		sleep 0.1
	done
}

if [ -z "$VM_KEEP" ]; then
	unloaded=1
	for m in $($bb tac "$dir/later" | $bb cut -d ' ' -f 1); do
		[ -z "$unloaded" ] || unload "$m" || unloaded=
	done
	if [ -n "$VM_MBUF" ] && [ -n "$unloaded" ]; then
		unload "$VM_MBUF_NAME"
	fi
fi

if [ -n "$VM_OUT" ]; then
	(cd "$out" && $bb tar czf /tmp/out.tar .)
	ctl files "$($bb wc -c </tmp/out.tar)"
	cat /tmp/out.tar >"$ctl"
fi
ctl exit "$rc"
finish
