"""Gives a virtualenv its pip: a copy of the one that is installed beside this interpreter.

The packed CPython has no wheels of its own, so this stands in for the standard ensurepip, with the same functions and command line.
"""

import csv
import io
import os
import subprocess
import sys
import sysconfig
import tempfile
import zipfile

__all__ = ["version", "bootstrap"]

# What an installation adds to a wheel.
_NOT_PACKED = {"INSTALLER", "REQUESTED", "RECORD", "direct_url.json"}


def _site():
    return sysconfig.get_path("purelib", vars={"base": sys.base_prefix})


def version():
    """The version of pip that bootstrap() installs."""
    for name in os.listdir(_site()):
        if name.startswith("pip-") and name.endswith(".dist-info"):
            return name[len("pip-"):-len(".dist-info")]
    raise RuntimeError(f"there is no pip in {_site()}")


def _write_wheel(folder):
    """Packs the installed pip as the wheel that it came from, and returns its path."""
    site, info = _site(), f"pip-{version()}.dist-info"
    path = os.path.join(folder, f"pip-{version()}-py3-none-any.whl")
    with open(os.path.join(site, info, "RECORD"), newline="", encoding="utf-8") as f:
        rows = list(csv.reader(f))
    record = io.StringIO()
    out = csv.writer(record, lineterminator="\n")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as wheel:
        for row in rows:
            name = row[0]
            own = name.startswith(("pip/", info + "/")) and not name.endswith(".pyc")
            if own and name not in {f"{info}/{n}" for n in _NOT_PACKED}:
                wheel.write(os.path.join(site, name), name)
                out.writerow(row)
        out.writerow([f"{info}/RECORD", "", ""])
        wheel.writestr(f"{info}/RECORD", record.getvalue())
    return path


def bootstrap(*, root=None, upgrade=False, user=False, altinstall=False, default_pip=False, verbosity=0):
    """Installs pip into the current environment."""
    if _bootstrap(root, upgrade, user, altinstall, default_pip, verbosity):
        raise RuntimeError("pip could not be installed")


def _bootstrap(root, upgrade, user, altinstall, default_pip, verbosity):
    if altinstall and default_pip:
        raise ValueError("Cannot use altinstall and default_pip together")
    env = {k: v for k, v in os.environ.items() if not k.startswith("PIP_")}
    env["PIP_CONFIG_FILE"] = os.devnull
    if not default_pip:
        # pip itself makes pip3 and pip3.x, or only the latter, by this variable.
        env["ENSUREPIP_OPTIONS"] = "altinstall" if altinstall else "install"
    with tempfile.TemporaryDirectory() as tmp:
        wheel = _write_wheel(tmp)
        args = ["install", "--no-cache-dir", "--no-index", "--find-links", tmp]
        args += ["--root", root] if root else []
        args += ["--upgrade"] if upgrade else []
        args += ["--user"] if user else []
        args += ["-" + "v" * verbosity] if verbosity else []
        code = "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); runpy.run_module('pip', run_name='__main__', alter_sys=True)"
        return subprocess.run([sys.executable, "-c", code, wheel, *args, "pip"], env=env, check=False).returncode


def _main(argv=None):
    import argparse

    parser = argparse.ArgumentParser(color=False)
    parser.add_argument("--version", action="version", version=f"pip {version()}")
    parser.add_argument("-v", "--verbose", action="count", default=0, dest="verbosity", help="more output, up to three times")
    parser.add_argument("-U", "--upgrade", action="store_true", help="upgrade pip where it is installed already")
    parser.add_argument("--user", action="store_true", help="install to the user's site-packages")
    parser.add_argument("--root", help="install relative to this folder")
    parser.add_argument("--altinstall", action="store_true", help="make only the pipX.Y script")
    parser.add_argument("--default-pip", action="store_true", help="make the pip script too")
    a = parser.parse_args(argv)
    return _bootstrap(a.root, a.upgrade, a.user, a.altinstall, a.default_pip, a.verbosity)
