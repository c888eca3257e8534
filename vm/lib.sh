# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# What the scripts in this folder share: where things are, how to say so, and
# how to fetch Debian packages into the cache without installing them.
# Sourced, not run.

set -euo pipefail

MBUF_VM=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck disable=SC2034 # for those who source this
MBUF_TOP=$(dirname "$MBUF_VM")
MBUF_CACHE=${MBUF_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mbuf}
case $MBUF_CACHE in
/*) ;;
*) MBUF_CACHE=$PWD/$MBUF_CACHE ;;
esac
export MBUF_CACHE

# The kernel that everything runs on unless told otherwise.
# shellcheck disable=SC2034 # for those who source this
MBUF_KERNEL_DEFAULT=6.1
MBUF_ARCH=amd64

say()
{
	printf '%s\n' "$*" >&2
}

die()
{
	say "${0##*/}: $*"
	exit 1
}

# quietly LABEL LOG COMMAND...: run COMMAND with its output in LOG; while it
# works say so every 10 s, and if it fails show what it said.
quietly()
{
	local label=$1 log=$2 start=$SECONDS pid next=10 rc=0
	shift 2

	"$@" </dev/null >"$log" 2>&1 &
	pid=$!
	while kill -0 "$pid" 2>/dev/null; do
		sleep 0.1
		if ((SECONDS - start >= next)); then
			say "  $label: still at it after $((SECONDS - start)) s"
			next=$((next + 10))
		fi
	done
	wait "$pid" || rc=$?
	if ((rc)); then
		tail -n 20 "$log" >&2
		say "  $label: failed with status $rc, all output is in $log"
	fi
	return "$rc"
}

# A hash of files and strings: what a component in the cache was made from.
key_of()
{
	local f

	{
		for f; do
			if [[ -f $f ]]; then
				cat "$f"
			else
				printf '%s\n' "$f"
			fi
		done
	} | sha256sum | cut -c1-16
}

# Debian suites ------------------------------------------------------------
#
# Each suite that something is fetched from has an apt configuration of its
# own in the cache, so that neither root nor a change to the machine's own apt
# is needed, and the suite need not be the machine's. Where the archive is, is
# taken from the machine's apt configuration.

# Prints "URI SUITE" for each suite this machine's apt knows. apt itself is
# asked, as its configuration has several formats.
apt_suites()
{
	local empty=$MBUF_CACHE/apt/none

	mkdir -p "$empty/lists/partial"
	apt-get -o Dir::State="$empty" -o Dir::Cache="$empty" \
		update --print-uris 2>/dev/null |
		sed -n "s#^'\\(.*/\\)dists/\\(.*\\)/InRelease'.*#\\1 \\2#p"
}

# The archive's URI for a suite, and with it that of its security updates.
archive_uri()
{
	local suite=$1 uri

	if [[ -n ${MBUF_DEBIAN_MIRROR:-} ]]; then
		printf '%s\n' "$MBUF_DEBIAN_MIRROR"
		return
	fi
	# Prefer the entry of that very suite; then any that is a Debian
	# release and has no pocket in its name.
	uri=$(apt_suites | awk -v s="$suite" '
		$2 == s { print $1; exit }
		$2 !~ /[-\/]/ && $1 ~ /debian/ && !any { any = $1 }
		END { if (any) print any }' | head -n 1)
	[[ -n $uri ]] ||
		die "cannot tell where the Debian archive is from apt's" \
		    "configuration: set MBUF_DEBIAN_MIRROR to its URI"
	printf '%s\n' "$uri"
}

# A guess if the machine's apt does not say: beside the archive.
security_uri()
{
	local suite=$1 uri

	uri=$(apt_suites | awk '$2 ~ /-security$/ { print $1; exit }')
	if [[ -z $uri || -n ${MBUF_DEBIAN_MIRROR:-} ]]; then
		uri=$(archive_uri "$suite")
		uri=${uri%/}-security
	fi
	printf '%s\n' "$uri"
}

suite_update()
{
	local dir=$MBUF_CACHE/apt/$1

	# A list that is missing is a mere warning by default.
	quietly "package lists of $1" "$dir/update.log" \
		env APT_CONFIG="$dir/apt.conf" apt-get -q update \
		-o APT::Update::Error-Mode=any
}

suite_dead()
{
	die "cannot fetch the package lists of $1: is the network up, and does" \
	    "the mirror have that suite?"
}

# suite_open SUITE: from here on apt-get and apt-cache, called through
# in_suite, mean SUITE. Lists are fetched once in the life of the script.
suite_open()
{
	local suite=$1 dir=$MBUF_CACHE/apt/$1 keyring signed=''

	[[ ! -e $dir/fresh.$$ ]] || return 0
	command -v apt-get >/dev/null ||
		die "kernels and tools are fetched as Debian packages, and" \
		    "this machine has no apt-get"
	keyring=/usr/share/keyrings/debian-archive-keyring.gpg
	[[ ! -e $keyring ]] || signed="Signed-By: $keyring"
	rm -f "$dir"/fresh.*
	mkdir -p "$dir"/{state/lists/partial,cache/archives/partial,etc}
	{
		printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\n' \
			"$(archive_uri "$suite")" "$suite"
		printf '%s\n' "$signed"
	} >"$dir/etc/main.sources"
	rm -f "$dir/etc/security.sources"
	# sid and backports have no security suite.
	case $suite in
	sid | unstable | experimental | *-*) ;;
	*)
		{
			printf 'Types: deb\nURIs: %s\nSuites: %s\n' \
				"$(security_uri "$suite")" "$suite-security"
			printf 'Components: main\n%s\n' "$signed"
		} >"$dir/etc/security.sources"
		;;
	esac
	cat >"$dir/apt.conf" <<-END
	Dir::Etc::sourcelist "/dev/null";
	Dir::Etc::sourceparts "$dir/etc";
	Dir::Etc::preferences "/dev/null";
	Dir::Etc::preferencesparts "/dev/null";
	Dir::State "$dir/state";
	Dir::State::status "/dev/null";
	Dir::Cache "$dir/cache";
	APT::Architecture "$MBUF_ARCH";
	APT::Sandbox::User "";
	APT::Get::List-Cleanup "true";
	Acquire::Languages "none";
	Acquire::Retries "3";
	END
	say "  package lists of $suite"
	if ! suite_update "$suite"; then
		# Not every mirror has the security updates.
		[[ -e $dir/etc/security.sources ]] || suite_dead "$suite"
		rm "$dir/etc/security.sources"
		say "  once more, without security updates"
		suite_update "$suite" || suite_dead "$suite"
	fi
	: >"$dir/fresh.$$"
}

suite_close()
{
	rm -f "$MBUF_CACHE"/apt/*/fresh.$$
}

in_suite()
{
	local suite=$1
	shift

	APT_CONFIG=$MBUF_CACHE/apt/$suite/apt.conf "$@"
}

# pkg_version SUITE PACKAGE: the version that apt would install, or nothing.
pkg_version()
{
	in_suite "$1" apt-cache policy "$2" |
		awk '$1 == "Candidate:" && $2 != "(none)" { print $2; exit }'
}

# pkg_depends SUITE PACKAGE REGEX: the packages matching REGEX that the
# candidate of PACKAGE depends on.
pkg_depends()
{
	local ver

	ver=$(pkg_version "$1" "$2")
	[[ -n $ver ]] || return 0
	in_suite "$1" apt-cache show "$2=$ver" |
		sed -n 's/^\(Pre-\)\{0,1\}Depends: //p' | tr ',|' '\n' |
		sed 's/^ *//; s/[ (:].*//' | grep -E "^($3)\$" | sort -u || true
}

# pkg_fetch SUITE DIR PACKAGE[=VERSION]...: fetch .debs into DIR, unless they
# are there from an interrupted run.
pkg_fetch()
{
	local suite=$1 dir=$2 p name version size file tmp pid last=$SECONDS
	shift 2

	tmp=$dir/partial
	for p; do
		# What apt knows of it: of the first one, if there are several.
		read -r name version size < <(in_suite "$suite" \
			apt-cache show "$p" | awk '
			$1 == "Package:" && !n { n = $2 }
			$1 == "Version:" && !v { v = $2 }
			$1 == "Size:" && !s { s = $2 }
			END { print n, v, s }') || true
		[[ $size ]] || die "$suite has no package $p"
		for file in "$dir/${name}_${version//:/%3a}"_*.deb; do
			[[ -f $file && $(stat -c %s "$file") == "$size" ]] &&
				continue 2
		done
		size=$((size / 1048576 + 1))
		say "  fetching $name $version ($size MiB)"
		rm -rf "$tmp"
		mkdir -p "$tmp"
		(
			cd "$tmp"
			in_suite "$suite" apt-get -q download "$name=$version"
		) </dev/null >"$dir/fetch.log" 2>&1 &
		pid=$!
		while kill -0 "$pid" 2>/dev/null; do
			sleep 0.1
			if ((SECONDS - last >= 5)); then
				last=$SECONDS
				say "    $(du -sm "$tmp" | cut -f1) of $size MiB"
			fi
		done
		if ! wait "$pid"; then
			tail -n 5 "$dir/fetch.log" >&2
			die "cannot fetch $name from $suite; run it again to" \
			    "continue"
		fi
		mv "$tmp"/*.deb "$dir/"
	done
	rm -rf "$tmp" "$dir/fetch.log"
}

# pkg_fetch_all SUITE DIR PACKAGE...: fetch packages and all that they depend on,
# down to the C library.
pkg_fetch_all()
{
	local suite=$1 dir=$2
	shift 2

	mkdir -p "$dir/partial"
	# The locks are those of the machine's own dpkg.
	quietly "fetching ${1} and what it needs" "$dir/fetch.log" \
		env APT_CONFIG="$MBUF_CACHE/apt/$suite/apt.conf" \
		apt-get -q -y install --download-only --no-install-recommends \
		-o Debug::NoLocking=1 -o Dir::Cache::archives="$dir" "$@" ||
		die "cannot fetch $* from $suite"
	rm -rf "$dir/partial" "$dir/fetch.log"
}

# deb_of DIR PACKAGE: the file of a fetched package; the newest, should an
# interrupted run have left another version.
deb_of()
{
	local f newest=

	for f in "$1/$2"_*.deb; do
		if [[ -e $f && ( -z $newest || $f -nt $newest ) ]]; then
			newest=$f
		fi
	done
	[[ $newest ]] || die "$2 was not fetched into $1"
	printf '%s\n' "$newest"
}

# Kernels ------------------------------------------------------------------

# kernel_load ID: read vm/kernels/ID, which sets the variables and may replace
# the functions below that say how a kernel is had.
kernel_load()
{
	[[ $1 =~ ^[A-Za-z0-9][A-Za-z0-9._+-]*$ && -f $MBUF_VM/kernels/$1 ]] ||
		die "no kernel is called '$1'; there are:" \
		    "$(cd "$MBUF_VM/kernels" && echo *)"
	KERNEL_ID=$1
	KERNEL_DIR=$MBUF_CACHE/kernels/$1
	KERNEL_CONFIGS=()
	KERNEL_PATCHES=()
	# shellcheck disable=SC2034 # for setup
	KERNEL_TOOLCHAIN=()
	# shellcheck source=/dev/null
	. "$MBUF_VM/kernels/$1"
}

# The kernel's directory in the cache is whole if it says what it was made of.
kernel_key()
{
	local parts=("$MBUF_VM/kernels/$KERNEL_ID" "format 2") name

	if ((${#KERNEL_CONFIGS[@]})); then
		for name in "${KERNEL_CONFIGS[@]}"; do
			parts+=("$MBUF_VM/configs/$name.config")
		done
		for name in "${KERNEL_PATCHES[@]}"; do
			parts+=("$MBUF_VM/patches/$name.patch")
		done
		parts+=("$MBUF_CACHE/source/source.env" "$(gcc --version)")
	fi
	key_of "${parts[@]}"
}

kernel_ready()
{
	[[ -f $KERNEL_DIR/stamp && $(<"$KERNEL_DIR/stamp") == "$(kernel_key)" ]]
}
