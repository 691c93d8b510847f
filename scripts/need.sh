#!/usr/bin/env bash
# need.sh THING...: checks that what a make target needs is on this machine. Says in one line what is missing and how to get it.
# THING: go, cc, python (one that pyhost can load), wrk.
set -u
cd "$(dirname "$0")/.." || exit 1

fail() {
  echo "need: $*" >&2
  exit 1
}

need_go() {
  local want have
  want=$(sed -n 's/^go //p' go.mod)
  command -v go >/dev/null ||
    fail "Go is not on PATH: install Go $want or newer from https://go.dev/dl and put its bin folder on PATH"
  # GOTOOLCHAIN=local: what is here counts, not what could be downloaded.
  have=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null | sed 's/^go//; s/[^0-9.].*//')
  [ -n "$have" ] || fail "$(command -v go) does not run: install Go $want or newer from https://go.dev/dl"
  [ "$(printf '%s\n%s\n' "$want" "$have" | sort -V | head -n 1)" = "$want" ] ||
    fail "Go $have is too old: install Go $want or newer from https://go.dev/dl"
}

need_cc() {
  local cc
  cc=$(go env CC 2>/dev/null)
  cc=${CC:-${cc:-gcc}}
  command -v "${cc%% *}" >/dev/null ||
    fail "no C compiler (${cc%% *}): install one (Debian, Ubuntu: apt-get install gcc libc6-dev; Fedora: dnf install gcc) or set CC"
  echo '#include <stdio.h>' | $cc -E -x c - >/dev/null 2>&1 ||
    fail "$cc finds no C library headers: install them (Debian, Ubuntu: apt-get install libc6-dev; Fedora: dnf install glibc-devel)"
}

need_python() {
  [ -n "$(scripts/pythons.sh)" ] ||
    fail "no CPython 3.9 or newer with a shared library and the venv module: install one (Debian, Ubuntu: apt-get install libpython3-dev python3-venv; or: uv python install 3.13)"
}

need_wrk() {
  command -v wrk >/dev/null || fail "wrk is not on PATH: install it (Debian, Ubuntu: apt-get install wrk)"
}

for thing in "$@"; do
  "need_$thing"
done
