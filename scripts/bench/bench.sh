#!/usr/bin/env bash
# bench.sh [OPTION...]: measures bin/gowsgi (or GOWSGI) beside other servers with the newest CPython found (or CPYTHON: a path or a version such as
# 3.12); see bench.py --help for the options. Installs what it needs: wrk and headers by apt where it may, the servers into .cache/bench-venv.
set -eu
cd "$(dirname "$0")/../.."

# What apt has, by a file of it.
wanted=()
command -v wrk >/dev/null || wanted+=(wrk)
[ -e /usr/include/ev.h ] || wanted+=(libev-dev)
command -v apxs >/dev/null || wanted+=(apache2-bin apache2-dev)
if [ ${#wanted[@]} -gt 0 ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null ||
      echo "bench: apt-get could not install: ${wanted[*]} (apt-get update may help)" >&2
  else
    echo "bench: without ${wanted[*]} some servers will not build (Debian, Ubuntu: sudo apt-get install ${wanted[*]})" >&2
  fi
fi
scripts/need.sh wrk python go

python=${CPYTHON:-}
if [ ! -x "$python" ]; then
  python=$(scripts/pythons.sh | awk -v want="$python" 'want == "" || index($1 ".", want ".") == 1 { print $2; exit }')
  [ -n "$python" ] || {
    echo "bench: no CPython ${CPYTHON}; there are:" >&2
    scripts/pythons.sh >&2
    exit 1
  }
fi
"$python" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "bench: $python is older than 3.11, which the servers measured here need" >&2
  exit 1
}
scripts/venv.sh "$python" .cache/bench-venv scripts/bench/requirements.txt

tools=build/bench/tools
mkdir -p "$tools"
go build -o "$tools/" ./scripts/bench/load ./scripts/bench/floor
exec .cache/bench-venv/bin/python -B scripts/bench/bench.py --gowsgi "${GOWSGI:-bin/gowsgi}" --tools "$PWD/$tools" --output build/bench "$@"
