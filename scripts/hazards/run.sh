#!/usr/bin/env bash
# run.sh [ROW...]: the hazards in a virtualenv of their own, made by the newest CPython found, with bin/gowsgi.
set -eu
cd "$(dirname "$0")/../.."
scripts/need.sh python
python=$(scripts/pythons.sh | head -n 1 | cut -d' ' -f2)
scripts/venv.sh "$python" build/hazards-venv scripts/hazards/requirements.txt
exec build/hazards-venv/bin/python -B scripts/hazards/run.py --gowsgi bin/gowsgi "$@"
