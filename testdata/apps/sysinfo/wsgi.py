"""What a program would find in sys, locale and os: the server's Python must be the virtualenv's own."""
import json


def facts():
    import locale
    import os
    import site
    import sys
    import sysconfig

    return {
        "version": sys.version,
        "prefix": sys.prefix,
        "base_prefix": sys.base_prefix,
        "exec_prefix": sys.exec_prefix,
        "executable": sys.executable,
        "base_executable": getattr(sys, "_base_executable", None),
        "flags": {n: getattr(sys.flags, n) for n in dir(sys.flags) if not n.startswith(("_", "n_")) and n not in ("count", "index")},
        "filesystem_encoding": [sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()],
        "stdio": [(f.encoding, f.errors) for f in (sys.stdin, sys.stdout, sys.stderr)],
        "preferred_encoding": locale.getpreferredencoding(False),
        "lc_ctype": locale.setlocale(locale.LC_CTYPE),
        "xoptions": getattr(sys, "_xoptions", {}),
        "warnoptions": sys.warnoptions,
        "site_packages": site.getsitepackages(),
        "user_site": site.ENABLE_USER_SITE,
        "purelib": sysconfig.get_path("purelib"),
        "hash_of_a": hash("a") if os.environ.get("PYTHONHASHSEED", "random") != "random" else None,
        "dont_write_bytecode": sys.dont_write_bytecode,
        "recursion_limit": sys.getrecursionlimit(),
        "switch_interval": sys.getswitchinterval(),
        "env": {k: os.environ.get(k) for k in ("LC_ALL", "LC_CTYPE", "LANG", "PYTHONPATH", "VIRTUAL_ENV")},
        "path": [p for p in sys.path[1:]],
    }


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(facts()).encode()]


if __name__ == "__main__":
    print(json.dumps(facts()))
