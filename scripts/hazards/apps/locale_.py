"""encodings, UTF-8 mode, flags and locale are those of python itself"""
import json
import locale
import os
import subprocess
import sys

from _app import text

PROBE = """import json, locale, sys; print(json.dumps([sys.flags.utf8_mode, sys.getfilesystemencoding(), sys.stdout.encoding,
sys.stderr.errors, locale.setlocale(locale.LC_CTYPE), sys.flags.dev_mode, sys.flags.optimize]))"""
EARLY = os.environ.copy()


@text
def app(environ):
    ours = [sys.flags.utf8_mode, sys.getfilesystemencoding(), sys.stdout.encoding, sys.stderr.errors,
            locale.setlocale(locale.LC_CTYPE), sys.flags.dev_mode, sys.flags.optimize]
    # LC_CTYPE is what python itself puts there when it coerces the C locale.
    env = {k: v for k, v in EARLY.items() if k != "LC_CTYPE" or "HAZARD_LC_CTYPE" in EARLY}
    theirs = json.loads(subprocess.run([sys.executable, "-c", PROBE], env=env, capture_output=True, check=True).stdout)
    assert ours == theirs, f"{ours} here, {theirs} in python"
    return "ok"
