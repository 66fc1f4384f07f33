#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
#
# README's two commands, `make demo` and `make test`, in a bare Debian: what a stranger's machine would say.
#
#   tests/install/in_chroot.sh SUITE          bookworm, trixie, testing, ...; as root, with debootstrap
#
# A clean clone of the checkout's last commit, so what is not committed is not tried. No part of `make test`: it
# downloads 2 to 4 GB, takes 10 GB of disk while it runs, and half an hour or more. Mounts live in a namespace of
# their own and end with it, however it ends; the folder is removed then.
#
# From the environment, for hosts that reach their mirrors in ways of their own:
#
#   MIRROR=URL     Debian's packages (default: debootstrap's)
#   BIND="PATHS"   folders and files of this host that are there too, at the same place, read-only: apt's or pip's
#                  configuration, a folder of wheels, a certificate
#   PIP_*, *_proxy taken along as they are
#   PASS="NAMES"   other variables to take along
#   TEST_SECONDS   as for `make test`
#   AFTER=COMMAND  run in the clone after both; its output goes to the log, its exit code counts
#   WORK=FOLDER    where the Debian is made (default: $TMPDIR or /tmp)
#   KEEP=1         leave it there
#
# Ends with a table: versions, what passed, seconds. Exit code 0 if all passed.
set -euo pipefail

usage() {
  sed -n 's/^# \{0,1\}//; 3,/^Ends with/p' "$0"
  exit 2
}

# Stage 2, in namespaces of its own, as their process 1: $1 is the suite, $2 the folder.
inside() {
  local suite=$1 root=$2 path name
  debootstrap --variant=minbase --include=make "$suite" "$root" ${MIRROR:+"$MIRROR"}
  mount -t proc proc "$root/proc"
  mount --rbind /sys "$root/sys"
  mount --rbind /dev "$root/dev"
  cp --dereference /etc/resolv.conf /etc/hosts "$root/etc/"
  for path in ${BIND:-}; do
    mkdir -p "$root$(dirname "$path")"
    if [ -d "$path" ]; then mkdir -p "$root$path"; else touch "$root$path"; fi
    mount --bind "$path" "$root$path"
    mount -o remount,bind,ro "$root$path"
  done
  mkdir -p "$root/root/clone"
  mount --bind "$root.clone" "$root/root/clone"

  local environment=(HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8)
  for name in ${!PIP_@} $(compgen -e | grep -iE '^(https?|ftp|no)_proxy$' || true) ${PASS:-}; do
    [ -z "${!name+set}" ] || environment+=("$name=${!name}")
  done
  in_clone() { chroot "$root" env -i "${environment[@]}" bash -o pipefail -c "cd /root/clone && $1" </dev/null; }

  # Runs one command and sets, under its name, whether it passed and how long it took.
  local -A passed=() seconds=()
  timed() {
    local began=$SECONDS
    echo "== $1: $2"
    if in_clone "$2"; then passed[$1]=passed; else passed[$1]="FAILED ($?)"; fi
    seconds[$1]=$((SECONDS - began))
  }

  timed demo "make demo"
  timed test "make test ${TEST_SECONDS:+TEST_SECONDS=$TEST_SECONDS} 2>&1 | tee /tmp/test.log"
  [ -z "${AFTER:-}" ] || timed after "$AFTER"

  local version='import sys; from importlib.metadata import version as v; from gnuradio import gr
print(f"GNU Radio {gr.version()}, Python {sys.version.split()[0]}, numpy {v(\"numpy\")}, torch {v(\"torch\")}")'
  echo
  echo "Debian $(cat "$root/etc/debian_version") ($suite), commit $(cat "$root.commit")"
  in_clone ".venv/bin/python -c '$version'" || echo "GNU Radio does not import in .venv"
  for name in demo test after; do
    [ -z "${passed[$name]+set}" ] || printf '%-5s %s, %d s\n' "$name" "${passed[$name]}" "${seconds[$name]}"
  done
  grep -E ' (passed|failed|error).* in [0-9.]+s' "$root/tmp/test.log" | tail -1 || true
  in_clone "du -sh .venv" || true
  [[ ! "${passed[*]}" =~ FAILED ]]
}

if [ "${1:-}" = --inside ]; then
  inside "$2" "$3"
  exit
fi

# Stage 1.
[ $# = 1 ] && [ "${1#-}" = "$1" ] || usage
[ "$(id -u)" = 0 ] || { echo "$0: has to be root, for chroot and mounts" >&2; exit 1; }
for tool in debootstrap unshare git; do
  command -v $tool >/dev/null || { echo "$0: needs $tool: apt-get install debootstrap util-linux git" >&2; exit 1; }
done
script=$(realpath "$0")
checkout=$(realpath "$(dirname "$script")/../..")
folder=$(mktemp -d "${WORK:-${TMPDIR:-/tmp}}/debian-$1.XXXXXX")
root=$folder/root
child=

finish() {
  local code=$?
  trap - EXIT INT TERM HUP
  # Process 1 of the namespace goes, and with it every process and every mount in there.
  if [ -n "$child" ]; then kill -KILL "$child" 2>/dev/null && wait "$child" 2>/dev/null || true; fi
  if [ -n "${KEEP:-}" ]; then
    echo "$0: left in $folder"
  else
    for _ in 1 2 3 4 5; do rm -rf --one-file-system "$folder" 2>/dev/null && break || sleep 1; done
    [ ! -e "$folder" ] || echo "$0: could not remove $folder" >&2
  fi
  exit $code
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

git clone --quiet --no-hardlinks "$checkout" "$root.clone"
git -C "$root.clone" rev-parse --short HEAD >"$root.commit"
mkdir "$root"
unshare --mount --pid --fork --kill-child "$script" --inside "$1" "$root" </dev/null &
child=$!
code=0
wait "$child" || code=$?
child=
exit $code
