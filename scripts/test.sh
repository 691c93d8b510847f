#!/usr/bin/env bash
# test.sh [lint|unit|race|e2e|asan|matrix|soak|fuzz ...]: the steps of make test, all of them where none is named (without matrix and soak,
# each as long as the rest together). The first step that fails ends it.
set -eu -o pipefail
cd "$(dirname "$0")/.."
root=$PWD
packages=(./cmd/... ./gateway/... ./pyhost/... ./testdata/embed ./testdata/demo ./testdata/requests)
# The end-to-end tests have steps of their own.
units() { go list "${packages[@]}" | grep -v -e /cmd/gowsgi/e2e -e /testdata/; }

say() { printf '\n== %s\n' "$*"; }
die() {
  echo "test: $*" >&2
  exit 1
}

# The CPythons to test with, newest first: "VERSION PATH". Where the machine has none that can be loaded, the bundled one.
pythons() {
  local found
  found=$(scripts/pythons.sh)
  if [ -z "$found" ]; then
    make bundled >&2
    found="bundled $(bin/gowsgi-bundled python -I -c 'import sys; print(sys.executable)')"
  fi
  printf '%s\n' "$found"
}
newest_python() { pythons | head -n 1 | cut -d' ' -f2; }

lint() {
  local cc out
  say "gofmt"
  out=$(gofmt -l cmd gateway pyhost testdata)
  [ -z "$out" ] || die "not formatted, run gofmt -w on: $out"

  say "go.mod and go.sum are tidy"
  go mod tidy -diff

  say "go vet, with and without cgo and the bundled Python"
  go vet "${packages[@]}"
  go vet -tags bundled "${packages[@]}"
  CGO_ENABLED=0 go vet "${packages[@]}"

  say "staticcheck"
  "$STATICCHECK" -tags bundled "${packages[@]}"

  say "C without warnings"
  cc=$(go env CC)
  for file in $(find pyhost -name '*.c'); do
    $cc -std=gnu11 -O2 -Wall -Wextra -Werror -I pyhost -I "$(dirname "$file")" -c -o /dev/null "$file"
  done
}

unit() {
  say "Go tests"
  units | xargs go test
  say "the CPython in the binary"
  go test -tags bundled ./pyhost/bundled
  say "gateway without cgo"
  CGO_ENABLED=0 go test ./gateway/...
}

# -short: what differs from CPython to CPython is C and Python, where the race detector sees nothing.
race() {
  say "Go tests under the race detector"
  units | xargs go test -short -race
}

e2e() {
  local path tool
  path=$(newest_python)
  say "end-to-end tests on $path"
  for tool in nginx logrotate systemd-analyze; do
    PATH=$PATH:/usr/sbin command -v "$tool" >/dev/null || echo "$tool is not installed: its test of scripts/deploy is skipped (in CI it fails)"
  done
  GOWSGI_TEST_PYTHONS=$path go test -count=1 -timeout 25m ./cmd/gowsgi/e2e
  say "the demo site and the program of testdata/embed"
  GOWSGI_TEST_PYTHONS=$path go test -count=1 ./testdata/embed ./testdata/demo
}

# libasan must not take the signals that the Go runtime and the crash log live by, and CPython frees nothing at its end. The program that is
# sanitized is started by the tests, which are not.
asan() {
  local path
  path=$(newest_python)
  say "end-to-end tests under AddressSanitizer and UBSan on $path"
  mkdir -p build
  CGO_CFLAGS="-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined" \
    CGO_LDFLAGS="-fsanitize=address,undefined" go build -asan -o build/gowsgi-asan ./cmd/gowsgi
  PYTHONMALLOC=malloc GOWSGI_TEST_PYTHONS=$path GOWSGI_TEST_BINARY=$root/build/gowsgi-asan \
    ASAN_OPTIONS=detect_leaks=0:handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_abort=0:use_sigaltstack=0:detect_stack_use_after_return=0:allocator_may_return_null=1 \
    UBSAN_OPTIONS=print_stacktrace=1 \
    go test -count=1 -timeout 25m ./cmd/gowsgi/e2e
}

matrix() {
  say "end-to-end tests on every CPython found"
  # In the package's folder, since go test hides what a passing test of another one prints: here, which Pythons were skipped.
  (cd cmd/gowsgi/e2e && GOWSGI_TEST_BUNDLED=$root/bin/gowsgi-bundled go test -count=1 -timeout 90m -matrix)
}

soak() {
  local path
  path=$(newest_python)
  say "a soak of $SOAK on $path"
  GOWSGI_TEST_SOAK=$SOAK GOWSGI_TEST_PYTHONS=$path go test -count=1 -v -timeout 90m -run AtRandom ./cmd/gowsgi/e2e
}

# go test -fuzz takes one target at a time, and passes where the name fits none: so the names are read out of the sources.
fuzz() {
  local file name count=0
  while IFS=: read -r file name; do
    say "fuzz $name for ${FUZZTIME:-5s}"
    CGO_ENABLED=0 go test -run '^$' -fuzz "^$name\$" -fuzztime "${FUZZTIME:-5s}" "./$(dirname "$file")"
    count=$((count + 1))
  done < <(grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' cmd gateway pyhost | sed 's/func //')
  [ "$count" -gt 0 ] || die "there is no fuzz target"
}

difffuzz() {
  local path
  path=$(newest_python)
  say "a differential fuzz against waitress and gunicorn for ${FUZZTIME:-15s} on $path, SEED=${SEED:-1}"
  scripts/venv.sh "$path" build/difffuzz-venv scripts/difffuzz.txt
  GOWSGI_TEST_DIFFFUZZ=${FUZZTIME:-15s} GOWSGI_TEST_SEED=${SEED:-1} GOWSGI_TEST_PEERS=$root/build/difffuzz-venv/bin/python GOWSGI_TEST_PYTHONS=$path \
    go test -count=1 -v -timeout 90m -run ReadOtherwise ./cmd/gowsgi/e2e
}

[ $# -gt 0 ] || set -- lint unit race e2e asan fuzz difffuzz
for step in "$@"; do
  declare -F "$step" >/dev/null || die "no such step: $step"
done
began=$SECONDS
for step in "$@"; do
  at=$SECONDS
  "$step"
  times+="  $step $((SECONDS - at)) s"$'\n'
done
say "passed in $((SECONDS - began)) s"
printf '%s' "$times"
