#!/usr/bin/env bash
# run.sh PORT: serves the demo of testdata/demo with bin/gowsgi-bundled and the CPython in it. No Python is needed on the machine.
set -eu
cd "$(dirname "$0")/.."
port=$1

if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
  echo "run: port $port on 127.0.0.1 is taken: choose another one (make run PORT=8001)" >&2
  exit 1
fi
unset VIRTUAL_ENV CONDA_PREFIX PYTHONPATH PYTHONHOME
python=$(bin/gowsgi-bundled python -I -c 'import sys; print(sys.executable)')
scripts/venv.sh "$python" build/demo-venv testdata/demo/requirements.txt
build/demo-venv/bin/python testdata/demo/prepare.py
echo "demo: http://127.0.0.1:$port/ (end it with Ctrl-C)"
# --stream-input: the upload page shows how much the app has read while the rest is still on its way.
exec bin/gowsgi-bundled serve --python "$PWD/build/demo-venv/bin/python" --chdir testdata/demo --bind "127.0.0.1:$port" \
  --workers 1 --stream-input --mount /flask=flaskapp:app demo.wsgi:application
