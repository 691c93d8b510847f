#!/usr/bin/env bash
# venv.sh PYTHON FOLDER REQUIREMENTS: makes the virtualenv FOLDER with PYTHON and installs REQUIREMENTS, unless it is there and made from both.
set -eu
python=$1 folder=$2 requirements=$3
want="$python $("$python" -I -V) $(cksum <"$requirements")"

if [ "$(cat "$folder/.made-from" 2>/dev/null)" = "$want" ] && "$folder/bin/python" -I -c '' 2>/dev/null; then
  exit 0
fi
echo "virtualenv: making $folder"
rm -rf "$folder"
"$python" -I -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --requirement "$requirements" || {
  echo "virtualenv: pip could not install $requirements: it needs the package index (https://pypi.org) the first time" >&2
  exit 1
}
printf '%s\n' "$want" >"$folder/.made-from"
