#!/usr/bin/env bash
# test.sh [lint|unit|race|e2e|asan|matrix|soak|fuzz|difffuzz ...]: the steps that are named, one after the other; where none is, those of make
# test, some at a time (all but matrix and soak, each as long as the rest together). No step begins after one that failed.
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
newest_python() { pythons | sed -n '1s/^[^ ]* //p'; } # sed reads on: head would not, and end pythons by SIGPIPE

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

# The tests of gateway that are there with cgo alone, those that run a CPython: as an expression for -run.
gateway_cgo_tests() {
  local files='{{range .TestGoFiles}}{{println .}}{{end}}'
  comm -23 <(go list -f "$files" ./gateway | sort) <(CGO_ENABLED=0 go list -f "$files" ./gateway | sort) |
    (cd gateway && xargs grep -ho '^func Test[A-Za-z0-9_]*') | sed 's/func \(.*\)/^\1$/' | paste -sd '|'
}

# What gateway is without cgo is tested without it here, and with it under the race detector.
unit() {
  local tests
  tests=$(gateway_cgo_tests)
  say "Go tests"
  units | grep -v '/gateway$' | xargs go test
  go test -run "$tests" ./gateway
  say "gateway without cgo"
  CGO_ENABLED=0 go test ./gateway/...
  say "the CPython in the binary"
  go test -tags bundled ./pyhost/bundled
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
  command -v chromium >/dev/null || command -v google-chrome >/dev/null ||
    echo "chromium is not installed: the tests of pages in a browser are skipped (in CI they fail)"
  GOWSGI_TEST_PYTHONS=$path go test -count=1 -timeout 25m ./cmd/gowsgi/e2e
  say "the demo site and the program of testdata/embed"
  GOWSGI_TEST_PYTHONS=$path go test -count=1 ./testdata/embed ./testdata/demo
}

# What the sanitized C has no part in: these files' tests are left to e2e.
without_c=(accesslog acme check_deploy deploy 'dev_*' flood import nginx project proxies service static systemd tls upgrade)

# libasan must not take the signals that the Go runtime and the crash log live by, and CPython frees nothing at its end. The program that is
# sanitized is started by the tests, which are not.
asan() {
  local path left_out
  path=$(newest_python)
  left_out=$(cd cmd/gowsgi/e2e && grep -ho '^func Test[A-Za-z0-9_]*' ${without_c[@]/%/_test.go} | sed 's/func \(.*\)/^\1$/' | paste -sd '|')
  say "end-to-end tests under AddressSanitizer and UBSan on $path, without those of: ${without_c[*]}"
  mkdir -p build
  CGO_CFLAGS="-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined" \
    CGO_LDFLAGS="-fsanitize=address,undefined" go build -asan -o build/gowsgi-asan ./cmd/gowsgi
  PYTHONMALLOC=malloc GOWSGI_TEST_PYTHONS=$path GOWSGI_TEST_BINARY=$root/build/gowsgi-asan \
    ASAN_OPTIONS=detect_leaks=0:handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_abort=0:use_sigaltstack=0:detect_stack_use_after_return=0:allocator_may_return_null=1 \
    UBSAN_OPTIONS=print_stacktrace=1 \
    go test -count=1 -timeout 25m -skip "$left_out" ./cmd/gowsgi/e2e
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

# A test program takes one target at a time, and passes where the name fits none: so the names are read out of the sources. What was found
# is kept where go test -fuzz keeps it.
fuzz() {
  local folder name built='' found program=$root/build/fuzz.test
  mkdir -p build
  while read -r folder name; do
    say "fuzz $name for ${FUZZTIME:-3s}"
    if [ "$built" != "$folder" ]; then
      CGO_ENABLED=0 go test -c -fuzz . -o "$program" "./$folder"
      found=$(go env GOCACHE)/fuzz/$(go list "./$folder")
      built=$folder
    fi
    (cd "$folder" && "$program" -test.run '^$' -test.fuzz "^$name\$" -test.fuzztime "${FUZZTIME:-3s}" -test.fuzzcachedir "$found" </dev/null)
  done < <(grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' cmd gateway pyhost | sed 's|/[^/]*:func | |' | sort)
  [ -n "$built" ] || die "there is no fuzz target"
}

difffuzz() {
  local path
  path=$(newest_python)
  say "a differential fuzz against waitress and gunicorn for ${FUZZTIME:-15s} on $path, SEED=${SEED:-1}"
  scripts/venv.sh "$path" build/difffuzz-venv scripts/difffuzz.txt
  GOWSGI_TEST_DIFFFUZZ=${FUZZTIME:-15s} GOWSGI_TEST_SEED=${SEED:-1} GOWSGI_TEST_PEERS=$root/build/difffuzz-venv/bin/python GOWSGI_TEST_PYTHONS=$path \
    go test -count=1 -v -timeout 90m -run ReadOtherwise ./cmd/gowsgi/e2e
}

# Steps wait about as long as they compute, so some are at work at a time. What one says is shown when it ends. By xargs, not by &: it begins
# no step after one that failed (255), and the servers that are tested get SIGINT as it is.
together() {
  newest_python >/dev/null # where it has to be built, once
  logs=$(mktemp -d)
  trap 'rm -rf "$logs"' EXIT
  printf '%s\n' "$@" | xargs -P "$((1 + $(nproc) / 2))" -I STEP bash -c '
    echo "== STEP begins"
    scripts/test.sh STEP >"$0/STEP" 2>&1 || echo STEP >>"$0/failed"
    flock "$0" cat "$0/STEP"
    [ ! -e "$0/failed" ] || exit 255' "$logs" || die "failed: $(paste -sd ' ' "$logs/failed")"
  say "passed in $SECONDS s"
  (cd "$logs" && tail -qn 1 "$@")
}

if [ $# = 0 ]; then
  together lint race unit e2e asan fuzz difffuzz
  exit
fi
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
