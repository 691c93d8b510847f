#!/usr/bin/env bash
# pythons.sh [--all]: prints the CPythons found on this machine that pyhost can load, newest first, one per line: VERSION PATH.
# With --all also what was found and cannot be used, as "# PATH: reason", on standard error.
# Looked for: python3 and python3.N on PATH, in /usr/bin and /usr/local/bin, pyenv's, uv's. One per version.
set -u
all=${1:-}
shopt -s nullglob

candidates() {
  local dir
  IFS=: read -ra dirs <<<"$PATH"
  for dir in "${dirs[@]}" /usr/local/bin /usr/bin; do
    case $dir in */shims) continue ;; esac # pyenv's shims answer for what they point to, below
    printf '%s\n' "$dir"/python3 "$dir"/python3.[0-9] "$dir"/python3.[0-9][0-9]
  done
  for dir in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.*/bin "$HOME"/.local/share/uv/python/cpython-3*/bin; do
    printf '%s\n' "$dir"/python3
  done
}

# What a Python says of itself: its version, its real path, and whether it has a shared library and venv.
ask='
import sys, sysconfig, os
def lacks():
    if sys.implementation.name != "cpython": return "not CPython"
    if sys.version_info < (3, 9): return "older than 3.9"
    name = sysconfig.get_config_var("INSTSONAME") or ""
    dirs = [sysconfig.get_config_var("LIBDIR") or "", os.path.join(sys.base_prefix, "lib")]
    if not (".so" in name and any(os.path.exists(os.path.join(d, name)) for d in dirs)):
        import glob
        if not (".so" in name and glob.glob("/usr/lib/*/" + name)): return "no shared libpython"
    try: import ensurepip, venv
    except ImportError: return "no venv module"
print("%d.%d.%d%s" % (*sys.version_info[:3], "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""),
      os.path.realpath(sys.executable), lacks() or "ok")
'

candidates | sort -u | while read -r python; do
  [ -x "$python" ] || continue
  "$python" -I -c "$ask" 2>/dev/null || echo "? $python it does not run"
done | sort -u -k2,2 | sort -t. -k1,1nr -k2,2nr -k3,3nr | while read -r version path verdict; do
  if [ "$verdict" != ok ]; then
    [ "$all" = --all ] && echo "# $path $version: $verdict" >&2
    continue
  fi
  case " ${seen:-} " in *" $version "*) continue ;; esac
  seen="${seen:-} $version"
  echo "$version $path"
done
