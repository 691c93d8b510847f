#!/usr/bin/env bash
# compare.sh [OPTION...]: measures bin/gowsgi beside granian, gunicorn (gthread) and bjoern; see compare.py for the options.
set -eu
cd "$(dirname "$0")/../.."
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  command -v wrk >/dev/null || apt-get install -y -qq --no-install-recommends wrk
  [ -e /usr/include/ev.h ] || apt-get install -y -qq --no-install-recommends libev-dev
fi
scripts/need.sh wrk python
[ -e /usr/include/ev.h ] || echo "compare: libev's headers are not in /usr/include; bjoern will not build without them (apt-get install libev-dev)" >&2
python=$(scripts/pythons.sh | head -n 1 | cut -d' ' -f2)
scripts/venv.sh "$python" .cache/bench-venv scripts/bench/requirements.txt
exec .cache/bench-venv/bin/python -B scripts/bench/compare.py --gowsgi bin/gowsgi "$@"
