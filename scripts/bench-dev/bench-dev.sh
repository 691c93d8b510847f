#!/usr/bin/env bash
# bench-dev.sh [OPTION...]: measures bin/gowsgi (or GOWSGI) as a development server beside those of Flask and Django, with the newest CPython
# found (or CPYTHON: a path); see bench_dev.py --help for the options. Installs the frameworks into .cache/.
set -eu
cd "$(dirname "$0")/../.."
scripts/need.sh python

python=${CPYTHON:-$(scripts/pythons.sh | awk 'NR == 1 { print $2 }')}
"$python" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "bench-dev: $python is older than 3.11, which the packages pinned here need" >&2
  exit 1
}
output=build/bench-dev here=scripts/bench-dev
mkdir -p "$output"
cat "$here/requirements.txt" "$here/with-watchdog.txt" >"$output/with-watchdog.txt"
scripts/venv.sh "$python" .cache/bench-dev-venv "$here/requirements.txt"
scripts/venv.sh "$python" .cache/bench-dev-watchdog-venv "$output/with-watchdog.txt"
exec .cache/bench-dev-venv/bin/python -B "$here/bench_dev.py" --gowsgi "${GOWSGI:-bin/gowsgi}" \
  --with-watchdog "$PWD/.cache/bench-dev-watchdog-venv/bin/python" --output "$output" "$@"
