"""Where an app has its templates, static files and translations.

It runs as the module _gowsgi_dev_pages_folders, on CPython 3.9 and newer, with the standard library alone.
"""

import os
import sys

import _gowsgi_host
from _gowsgi_dev_pages_django import is_set_up

_TEMPLATE_NAMES = (".html", ".htm", ".xhtml", ".jinja", ".jinja2", ".j2", ".txt", ".xml")
_INSTALLED = {"site-packages", "dist-packages", "node_modules"}
_known = {}  # (app, its folders) by the app's id: they are set when it is loaded


def watch_folders(app):
    """The folders of an app's templates, static files and translations that are there: absolute, without symbolic links, each once.

    Those of installed packages are left out. They may be inside the project's folder, and inside each other.
    """
    return [folder for folder in dict.fromkeys(folder for _, folder in _folders(app)) if os.path.isdir(folder)]


def kind_of(path, app):
    """What a file is to an app: "code", "template", "static", "locale", or "" where its folder does not tell. path: absolute.

    The file need not be there any more.
    """
    if path.endswith(".py"):
        return "code"
    path = os.path.realpath(path)
    above = [(len(folder), kind) for kind, folder in _folders(app) if path.startswith(os.path.join(folder, ""))]
    kinds = {kind for length, kind in above if length == max(above)[0]}  # of the innermost folder
    if len(kinds) > 1:  # one folder for several
        return "template" if path.endswith(_TEMPLATE_NAMES) else "static"
    return kinds.pop() if kinds else ""


def _folders(app):
    """(kind, folder) pairs."""
    if id(app) not in _known:
        found = []
        for ask in (_django, _flask, _jinja):
            try:
                found += ask(app)
            except Exception:
                pass  # wrong settings; the app says what is wrong with them when it needs them
        real = [(kind, os.path.realpath(folder)) for kind, folder in found]
        _known[id(app)] = app, [row for row in dict.fromkeys(real) if _INSTALLED.isdisjoint(row[1].split(os.sep))]
    return _known[id(app)][1]


def _django(app):
    if not is_set_up():
        return []
    from django.apps import apps
    from django.conf import settings
    from django.template import engines

    found = []
    for engine in engines.all():
        found += [("template", folder) for folder in getattr(engine, "template_dirs", ())]
        for loader in getattr(getattr(engine, "engine", None), "template_loaders", ()):
            if hasattr(loader, "get_dirs"):
                found += [("template", folder) for folder in loader.get_dirs()]
    found += [("locale", folder) for folder in settings.LOCALE_PATHS]
    found += [("locale", os.path.join(config.path, "locale")) for config in apps.get_app_configs()]
    if apps.is_installed("django.contrib.staticfiles"):
        from django.contrib.staticfiles.finders import get_finders

        for finder in get_finders():
            for storage in getattr(finder, "storages", {}).values():
                found.append(("static", storage.location))
    return found


def _flask(app):
    flask = sys.modules.get("flask")
    found = []
    for layer in _gowsgi_host.layers(app) if flask is not None else ():
        if isinstance(layer, flask.Flask):
            for owner in (layer, *layer.blueprints.values()):
                found += [("template", folder) for folder in _search_paths(owner.jinja_loader)]
                if owner.static_folder:
                    found.append(("static", owner.static_folder))
    return found


def _jinja(app):
    """Of environments that the app holds itself, or that stand beside it in its module."""
    jinja2 = sys.modules.get("jinja2")
    found = []
    for layer in _gowsgi_host.layers(app) if jinja2 is not None else ():
        held = [getattr(layer, "__dict__", None), getattr(layer, "__globals__", None), getattr(type(layer).__call__, "__globals__", None)]
        for names in held:
            for value in list(names.values()) if isinstance(names, dict) else ():
                if isinstance(value, jinja2.Environment):
                    found += [("template", folder) for folder in _search_paths(value.loader)]
    return found


def _search_paths(loader):
    """The folders of a Jinja loader: of FileSystemLoader and PackageLoader, and of loaders made of others."""
    found = list(getattr(loader, "searchpath", ()))
    if isinstance(getattr(loader, "_template_root", None), str):
        found.append(loader._template_root)
    mapping = getattr(loader, "mapping", None)
    inner = [*getattr(loader, "loaders", ()), *(mapping.values() if isinstance(mapping, dict) else ())]
    for one in inner:
        found += _search_paths(one)
    return found
