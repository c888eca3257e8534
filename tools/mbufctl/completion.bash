# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Completion for mbufctl. It goes to /usr/share/bash-completion/completions/mbufctl.

_mbufctl()
{
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
	local commands="ls show stat watch top graph quota flush measure send recv bench doctor"
	local options="--json --count --timeout --type --id --holder --uid --pid --all --latency --svg --color --help"
	local types="session queue endpoint listener accept-queue region table message key consent paged"
	local ids=""

	case $before in
	-t | --type)
		mapfile -t COMPREPLY < <(compgen -W "$types" -- "$word")
		return
		;;
	--color)
		mapfile -t COMPREPLY < <(compgen -W "auto always never" -- "$word")
		return
		;;
	-i | --id | show)
		ids=$(mbufctl ls 2>/dev/null | awk 'NR > 1 { print $2 }')
		;;
	--holder)
		ids=$(mbufctl ls 2>/dev/null |
			awk '$1 == "session" || $1 == "table" { print $2 }')
		;;
	ls)
		mapfile -t COMPREPLY < <(compgen -W "handles" -- "$word")
		return
		;;
	flush | measure | send | recv)
		ids=$(mbufctl -t queue ls 2>/dev/null |
			awk 'NR > 1 { print $2 }')
		;;
	quota)
		mapfile -t COMPREPLY < <(compgen -W "set" -- "$word")
		return
		;;
	esac
	if [[ $word == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
	elif [[ -n $ids ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$ids" -- "$word")
	else
		mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$word")
	fi
}

complete -F _mbufctl mbufctl
