# Run by discover.go in the interpreter that was found: prints what it takes to load that interpreter's library. Works on every
# Python 3, so that a version that is too old can say so. Paths go out as latin-1, one character per byte: they need not be text.
import json
import os
import sys
import sysconfig


def path(value):
    return os.fsencode(value).decode("latin-1") if isinstance(value, str) else ""


def var(name):
    try:
        return sysconfig.get_config_var(name)
    except Exception:
        return None


def mapped():
    try:
        with open("/proc/self/maps", "rb") as f:
            names = {line.split(None, 5)[5].rstrip(b"\n") for line in f if b"/libpython" in line}
    except (OSError, IndexError):
        return []
    return [name.decode("latin-1") for name in sorted(names)]


answer = {
    "executable": path(sys.executable),
    "version": ".".join(str(n) for n in sys.version_info[:3]),
    "implementation": sys.implementation.name,
    "prefix": path(sys.prefix),
    "base_prefix": path(sys.base_prefix),
    "abiflags": getattr(sys, "abiflags", ""),
    "free_threaded": bool(var("Py_GIL_DISABLED")),
    "libdir": path(var("LIBDIR")),
    "multiarch": path(var("MULTIARCH")),
    "libraries": [path(name) for name in (var("INSTSONAME"), var("LDLIBRARY")) if name and ".so" in name],
    "mapped": mapped(),
}
# Past sys.stdout, which a .pth file may have replaced; the newline ends what one may have printed.
os.write(1, ("\npyhost-answer:" + json.dumps(answer) + "\n").encode("ascii"))
