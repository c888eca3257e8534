#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# TAP: packages on a Debian that has systemd, and what is installed from source.
# The guest's half of vm/install, run as root in a guest that has no network.
#
# /pkg/new and /pkg/old have the packages, /pkg/source the tree, /pkg/staged.tar
# what `make install` has put into a folder, /pkg/ccache what has been compiled before.
#
# usage: install-guest.sh TESTS FAILURES, which there have been already

release=$(uname -r)
number=$1
failures=$2
log=/tmp/log
# What users are: no name, no rights.
user=(setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs)

# systemd sets it, and ccache takes notice.
unset LANG
# DKMS's compiler.
compiler=$PATH
if [[ -d /pkg/ccache ]]; then
	export CCACHE_DIR=/pkg/ccache CCACHE_COMPILERCHECK=content
	compiler=/usr/lib/ccache:$PATH
fi

# is NAME COMMAND...: a test that passes if COMMAND succeeds.
is()
{
	local name=$1 start=$SECONDS rc=0
	shift

	number=$((number + 1))
	# Not in a condition, where errexit does not work.
	set +e
	(set -ex; "$@") >$log 2>&1 </dev/null
	rc=$?
	set +e
	if ((rc == 0)); then
		echo "ok $number - $name ($((SECONDS - start)) s)"
		return
	fi
	failures=$((failures + 1))
	echo "not ok $number - $name"
	tail -n 40 $log | sed 's/^/# /'
}

# What the machine has of files; what comes and goes by itself is left out.
files()
{
	find / -xdev \( -path /pkg -o -path /proc -o -path /tmp -o -path /run \
		-o -path /var/log -o -path /var/cache -o -path /var/lib/apt \
		-o -path /var/lib/dpkg -o -path /root -o -path /home \
		-o -path /var/lib/systemd -o -path '/var/lib/dkms/mok.*' \) \
		-prune -o -print | LC_ALL=C sort
}

as_before()
{
	files >/tmp/files.now
	diff /tmp/files.before /tmp/files.now
}

# make uninstall leaves folders, as these may be others' as well.
files_as_before()
{
	local file

	files >/tmp/files.now
	LC_ALL=C comm -13 /tmp/files.before /tmp/files.now >/tmp/files.new
	while IFS= read -r file; do
		if [[ -L $file || ! -d $file ]]; then
			echo "$file"
		fi
	done </tmp/files.new >/tmp/files.left
	diff /dev/null /tmp/files.left
	[[ -z $(LC_ALL=C comm -23 /tmp/files.before /tmp/files.now) ]]
}

no_device()
{
	[[ ! -e /dev/mbuf && ! -e /sys/module/mbuf ]]
}

device()
{
	[[ -d /sys/module/mbuf ]]
	# The node is made by the kernel, and udev looks at it afterwards.
	udevadm settle
	[[ $(stat -c '%F %a %U %G' /dev/mbuf) == \
	   "character special file 666 root root" ]]
}

# install_debs FOLDER: its packages, as a user does who has downloaded them.
install_debs()
{
	DEBIAN_FRONTEND=noninteractive apt-get -y -o Dpkg::Use-Pty=0 \
		-o Dpkg::Path="$compiler" install "/pkg/$1"/*.deb
}

# made_by_dkms VERSION: that one and no other.
made_by_dkms()
{
	dkms status mbuf
	[[ $(dkms status mbuf | grep -c .) == 1 ]]
	dkms status mbuf | grep -q "^mbuf/$1, $release, x86_64: installed"
	[[ -e /usr/src/mbuf-$1/dkms.conf ]]
	[[ $(find /usr/src -maxdepth 1 -name 'mbuf*') == "/usr/src/mbuf-$1" ]]
	[[ $(modinfo -n mbuf) == */updates/dkms/mbuf.ko* ]]
}

# A unit that wants the device can wait for it.
device_unit()
{
	for _ in {1..100}; do
		! systemctl -q is-active dev-mbuf.device || return 0
		sleep 0.1
	done
	systemctl status dev-mbuf.device
}

loaded_at_boot()
{
	rmmod mbuf
	no_device
	systemctl restart systemd-modules-load.service
	device
}

# Who asks for the netlink family has the module loaded, whoever it is.
loaded_by_family()
{
	rmmod mbuf
	no_device
	"${user[@]}" mbufctl --json ls
	device
}

# hello [CFLAGS...]
hello()
{
	rm -rf /tmp/out
	mkdir -m 777 /tmp/out
	cd /tmp/out
	cp /pkg/hello.c .
	# shellcheck disable=SC2046 # these are words
	"${user[@]}" cc -Wall -Wextra -o hello hello.c "$@" \
		$(pkg-config --cflags --libs libmbuf)
	"${user[@]}" ./hello >hello.txt
	cat hello.txt
	[[ $(<hello.txt) == "received 5 bytes: hello" ]]
}

tool()
{
	"${user[@]}" mbufctl ls
	"${user[@]}" mbufctl doctor
	[[ -s /usr/share/bash-completion/completions/mbufctl ]]
	[[ -s /usr/share/man/man8/mbufctl.8.gz ]]
}

# With somebody who has the device open.
upgraded()
{
	local version

	exec 8</dev/mbuf
	install_debs new
	exec 8<&-
	grep -q "mbuf is in use" $log
	[[ ! -e /sys/module/mbuf/version ]]
	made_by_dkms "$(</pkg/version)"
	version=$(modinfo -F version mbuf)
	[[ $version == "$(</pkg/version)" ]]
	# As it says.
	rmmod mbuf
	modprobe mbuf
	[[ $(</sys/module/mbuf/version) == "$version" ]]
	device
	[[ $(cd /usr/lib/x86_64-linux-gnu && echo libmbuf.so.*) == \
	   "libmbuf.so.0 libmbuf.so.0.$(cut -d. -f 2- /pkg/version)" ]]
}

old_program()
{
	[[ $("${user[@]}" /tmp/out/hello) == "received 5 bytes: hello" ]]
}

removed()
{
	local all=(mbuf-dkms mbuf-tools libmbuf-dev libmbuf0)

	cp "$(modinfo -n mbuf)" /tmp/mbuf.ko
	# What has made it is removed; what is in use stays.
	exec 8</dev/mbuf
	apt-get -y -o Dpkg::Use-Pty=0 purge "${all[@]}"
	exec 8<&-
	grep -q "mbuf is in use" $log
	[[ -d /sys/module/mbuf ]]
	rmmod mbuf
	no_device
	if modinfo mbuf; then
		false
	fi
	[[ -z $(dpkg -l | grep mbuf || true) ]]
}

# Packages once more; DKMS does not compile, and nobody uses the module.
removed_idle()
{
	touch /etc/dkms/no-autoinstall
	install_debs old
	grep -q "mbuf is not loaded" $log
	no_device
	insmod /tmp/mbuf.ko
	device
	apt-get -y -o Dpkg::Use-Pty=0 purge mbuf-dkms mbuf-tools libmbuf-dev \
		libmbuf0
	no_device
	rm /etc/dkms/no-autoinstall
}

staged()
{
	tar -C / --keep-directory-symlink -xf /pkg/staged.tar
	depmod "$release"
	ldconfig
	modprobe mbuf
	device
	hello -O2
	"${user[@]}" mbufctl ls
}

source_install()
{
	PATH=$compiler make -C /pkg/source dkms-install
	ldconfig
	made_by_dkms "$(</pkg/old-version)"
	modprobe mbuf
	device
	hello -O2
	"${user[@]}" mbufctl ls
}

source_uninstall()
{
	rmmod mbuf
	no_device
	make -C /pkg/source uninstall
	ldconfig
	rm -rf /tmp/out
}

files >/tmp/files.before
is "there is nothing before" no_device
is "packages install, DKMS compiles" install_debs old
is "DKMS has made the module" made_by_dkms "$(</pkg/old-version)"
is "/dev/mbuf is there, and open to everybody" device
is "systemd has a unit for the device" device_unit
is "it is loaded at boot" loaded_at_boot
is "asking for the netlink family loads it" loaded_by_family
is "a user compiles and runs a program by pkg-config, static" hello -static
is "the same, shared" hello
is "a user runs mbufctl" tool
is "an upgrade while it is in use" upgraded
is "a program that was linked with the older library runs" old_program
is "removal while it is in use, and purge" removed
is "nothing is left of the packages" as_before
is "without a module they say so; removal while nobody uses it" removed_idle
is "nothing is left of them" as_before
is "what make install has staged works" staged
is "make uninstall" source_uninstall
is "no file is left of it" files_as_before
is "make dkms-install" source_install
is "make uninstall, of the same" source_uninstall
is "no file is left of that" files_as_before
[[ ! -d /pkg/ccache ]] || ccache -s | sed 's/^/# /'
echo "1..$number"
((failures == 0))
