"""What would go wrong in production with the static files of a Django site."""

import filecmp
import os
import sys

from _gowsgi_deploy import reason

_COLLECT = "manage.py collectstatic"


def look(server, add):
    from django.apps import apps
    from django.conf import settings

    # Not settings.STATIC_URL: it would keep a prefix that it has here alone.
    url = getattr(settings._wrapped, "STATIC_URL", None)
    if not apps.is_installed("django.contrib.staticfiles") or not url or "://" in url or url.startswith("//"):
        return
    prefix = "/" + url.strip("/")
    whitenoise = any(name.startswith("whitenoise.") for name in settings.MIDDLEWARE)
    if not (server.StaticFromApp or prefix in server.Static or whitenoise):
        add(
            "note" if server.Trusted else "warning",  # a proxy may serve them
            "STATIC_URL",
            "nothing here serves the static files at %s/: with DEBUG off Django does not" % prefix,
            "--static-from-app, unless the proxy in front serves them",
        )
    if server.StaticFromApp or whitenoise or settings.STATIC_ROOT:
        _look_at_root(add, settings.STATIC_ROOT)


def _look_at_root(add, root):
    if not root:
        add(
            "error",
            "STATIC_ROOT",
            "it is not set, so there are no static files to serve",
            'STATIC_ROOT = BASE_DIR / "staticfiles", and ' + _COLLECT,
        )
        return
    root = os.path.abspath(root)
    if not os.path.isdir(root):
        add("error", "STATIC_ROOT", "the folder %s is not there: no static files are served" % root, _COLLECT)
        return
    project = os.path.realpath(sys.modules["_gowsgi_host"]._directory)
    if os.path.join(project, "").startswith(os.path.join(os.path.realpath(root), "")):
        add("error", "STATIC_ROOT", "the project itself is in %s, so it is not served" % root, "a folder of its own, and " + _COLLECT)
        return
    if not os.listdir(root):
        add("error", "STATIC_ROOT", "the folder %s is empty: no static files are served" % root, _COLLECT)
        return
    _compare(add, root)


def _compare(add, root):
    """Compares the sources with what was collected."""
    from django.apps import apps
    from django.contrib.staticfiles.finders import get_finders
    from django.contrib.staticfiles.storage import ManifestFilesMixin, StaticFilesStorage, staticfiles_storage

    try:
        staticfiles_storage.path("")  # it is made by that
    except Exception as e:
        add("error", "STATIC_ROOT", "the storage of static files can't be used: %s" % reason(e), _COLLECT + ", and see to STORAGES")
        return
    storage = staticfiles_storage._wrapped
    if not isinstance(storage, StaticFilesStorage):
        return  # it keeps them elsewhere
    hashed = isinstance(storage, ManifestFilesMixin)
    if hashed and storage.manifest_strict and not storage.hashed_files:
        add("error", "STATIC_ROOT", "%s is missing in %s: each page with {%% static %%} fails" % (storage.manifest_name, root), _COLLECT)
        return
    missing, old, seen = [], [], set()
    for finder in get_finders():
        for path, source in finder.list(apps.get_app_config("staticfiles").ignore_patterns):
            name = os.path.join(getattr(source, "prefix", None) or "", path)
            if name in seen:
                continue  # the first finder's counts
            seen.add(name)
            original, copy = source.path(path), os.path.join(root, name)
            if os.path.exists(copy):
                if os.path.getmtime(original) > os.path.getmtime(copy) and not filecmp.cmp(original, copy, shallow=False):
                    old.append(name)
            elif not (hashed and name in storage.hashed_files):
                missing.append(name)
    for paths, what in (missing, "not collected"), (old, "newer than what was collected"):
        if paths:
            names = ", ".join(sorted(paths)[:3])
            add("warning", "STATIC_ROOT", "%d of %d static files are %s: %s" % (len(paths), len(seen), what, names), _COLLECT)
