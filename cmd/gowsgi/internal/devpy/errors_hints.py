"""What may mend an exception, and where in a template it is, for gowsgi dev's error page.

It runs as the module _gowsgi_dev_errors_hints on CPython 3.9 and newer.
"""

import difflib
import os
import re
import shlex
import sys

# Modules that are installed under another name.
_DISTRIBUTIONS = {
    "allauth": "django-allauth",
    "bs4": "beautifulsoup4",
    "celery_beat": "django-celery-beat",
    "corsheaders": "django-cors-headers",
    "Crypto": "pycryptodome",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "debug_toolbar": "django-debug-toolbar",
    "decouple": "python-decouple",
    "django_filters": "django-filter",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "environ": "django-environ",
    "fitz": "PyMuPDF",
    "jose": "python-jose",
    "jwt": "PyJWT",
    "ldap": "python-ldap",
    "magic": "python-magic",
    "markdown": "Markdown",
    "MySQLdb": "mysqlclient",
    "PIL": "Pillow",
    "psycopg2": "psycopg2-binary",
    "rest_framework": "djangorestframework",
    "serial": "pyserial",
    "sklearn": "scikit-learn",
    "slugify": "python-slugify",
    "storages": "django-storages",
    "yaml": "PyYAML",
    "zmq": "pyzmq",
}


def hints(exc, stack, project):
    """Sentences that may help. stack: (frame, line, instruction) from the oldest to the newest."""
    found = []
    if isinstance(exc, ImportError):
        found += _circular(exc, stack) or _missing(exc, project)
    elif isinstance(exc, AttributeError) and "partially initialized module" in str(exc):
        found += _circular(exc, stack)
    elif type(exc).__name__ == "TemplateNotFound":
        found += _no_template(exc, stack)
    elif type(exc).__name__ == "TemplateDoesNotExist":
        found += _tried(exc)
    return found


def _circular(exc, stack):
    if "partially initialized module" not in str(exc):
        return []
    names = [frame.f_globals.get("__name__", "") for frame, *_ in stack if frame.f_code.co_name == "<module>"]
    match = re.search(r"partially initialized module '([^']+)'", str(exc))
    first = match.group(1) if match else ""
    if first in names:
        names = names[names.index(first) :] + [first]
        way = " imports ".join(names)
        return ["A circular import: %s. Move what both need into a third module, or import it where it is used." % way]
    return []


def _missing(exc, project):
    name = exc.name or ""
    if not isinstance(exc, ModuleNotFoundError):
        match = re.match(r"cannot import name '([^']+)'", str(exc))
        there = vars(sys.modules[name]) if match and name in sys.modules else ()
        return _did_you_mean(match.group(1), there) if there else []
    if not name:
        return []
    package, _, last = name.rpartition(".")
    if package:
        return _did_you_mean(last, _modules_in(getattr(sys.modules.get(package), "__path__", ())), package + ".")
    near = _did_you_mean(name, _modules_in([project, *sys.path]) | set(getattr(sys, "stdlib_module_names", ())))
    distribution = _DISTRIBUTIONS.get(name, name.replace("_", "-"))
    command = "%s -m pip install %s" % (shlex.quote(sys.executable or "python"), distribution)
    return near + [("If it is to be installed: " if near else "It is not installed for this Python: ") + command]


def _modules_in(folders):
    names = set()
    for folder in dict.fromkeys(folders):
        try:
            names.update(os.listdir(folder or "."))
        except OSError:
            pass  # a zip file, or a folder that is not there
    return {name[:-3] if name.endswith(".py") else name for name in names if name.endswith(".py") or name.isidentifier()}


def _did_you_mean(name, names, prefix=""):
    near = [n for n in difflib.get_close_matches(name, [n for n in names if isinstance(n, str)], n=3, cutoff=0.8) if n != name]
    return ["Did you mean %s?" % " or ".join(prefix + n for n in near)] if near else []


# ---- templates --------------------------------------------------------------------------------------------------------------------


def _no_template(exc, stack):
    """Of Jinja's TemplateNotFound: the folders of the loaders that were asked."""
    folders = []
    for frame, *_ in stack:
        asked = frame.f_locals.get("self")
        if not type(asked).__module__.startswith(("jinja2.", "flask.")):
            continue
        loaders = [asked]
        if hasattr(asked, "_iter_loaders"):  # Flask's: the app's, and those of its blueprints
            loaders = [loader for _, loader in asked._iter_loaders(exc.name)]
        for loader in loaders:
            folders += [os.path.abspath(folder) for folder in getattr(loader, "searchpath", ())]
    if not folders:
        return []
    folders = list(dict.fromkeys(folders))
    return _did_you_mean(exc.name or "", _files(folders)) + ["Looked in %s." % ", ".join(folders)]


def _tried(exc):
    """Of Django's TemplateDoesNotExist."""
    paths = [str(origin) for origin, _ in getattr(exc, "tried", ())]
    if not paths:
        return []
    ending = "/" + str(exc)
    folders = [path[: -len(ending)] for path in paths if path.endswith(ending)]
    return _did_you_mean(str(exc), _files(folders)) + ["Looked for %s." % ", ".join(paths)]


def _files(folders):
    """Up to 2,000 files in folders, relative to them."""
    found = []
    for folder in folders:
        for path, _, names in os.walk(folder):
            found += [os.path.relpath(os.path.join(path, name), folder) for name in names]
            if len(found) > 2000:
                return found
    return found


def template_place(exc, stack):
    """(file, line, source or None) of the place in a template, None where there is none."""
    kind = type(exc)
    if kind.__module__.startswith("jinja2.") and isinstance(getattr(exc, "lineno", None), int):
        return exc.filename or exc.name or "<template>", exc.lineno, exc.source
    # Django: what its parser or a node was at. It says so itself only with its debug option.
    for frame, *_ in reversed(stack):
        at = frame.f_locals.get("self")
        if type(at).__module__.startswith("django.template."):
            origin, token = getattr(at, "origin", None), getattr(exc, "token", None) or getattr(at, "token", None)
            if origin is not None and isinstance(getattr(token, "lineno", None), int):
                return origin.name, token.lineno, None
    return None
