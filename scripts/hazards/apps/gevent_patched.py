"""gevent.monkey.patch_all() at import: served, or refused in a line that names gevent"""
from gevent import monkey

monkey.patch_all()

from _app import text  # noqa: E402


@text
def app(environ):
    return "ok"
