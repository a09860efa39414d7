# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# Sourced by tools/demo and tests/run: installs what is missing where apt-get exists.

# What building takes: Debian's package, and a command, a pkg-config module (.pc) or a module of
# Debian's Python (.py) it brings.
# shellcheck disable=SC2034
build_packages='
build-essential:cc
meson:meson
ninja-build:ninja
pkg-config:pkg-config
libmnl-dev:libmnl.pc
'

have()
{
	case $1 in
	*.pc) pkg-config --exists "${1%.pc}" 2>/dev/null ;;
	*.py) /usr/bin/python3 -c "import ${1%.py}" 2>/dev/null ;;
	*) PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null ;;
	esac
}

# Runs a command as root.
as_root()
{
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		echo "cannot run '$*': run me as root, or install sudo" >&2
		return 1
	fi
}

# Makes sure of each PACKAGE:PROBE. Ends the script where that cannot be done. $apt_options is for
# the installation.
ensure_packages()
{
	missing=
	for need in "$@"; do
		have "${need#*:}" || missing="$missing ${need%:*}"
	done
	[ -n "$missing" ] || return 0

	if ! command -v apt-get >/dev/null; then
		echo "Please install what these Debian packages contain, then run me again:$missing" >&2
		exit 1
	fi
	echo "Installing:$missing"
	# shellcheck disable=SC2086
	if ! { as_root apt-get update -q &&
		as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy ${apt_options-} $missing; }; then
		echo "Could not install:$missing" >&2
		exit 1
	fi
	for need in "$@"; do
		if ! have "${need#*:}"; then
			echo "${need%:*} is installed, but there is no ${need#*:}" >&2
			exit 1
		fi
	done
}
