"""What would go wrong in production with a Flask app: https://flask.palletsprojects.com/en/stable/deploying/"""

import os

from _gowsgi_deploy import is_wal

_NEW_KEY = "take it from the environment or a file; python -c 'import secrets; print(secrets.token_hex())' makes one"

# Keys of tutorials and of Flask's own pages.
_KNOWN_KEYS = {
    b"192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf",
    b'_5#y2L"F4Q8z\n\xec]/',
    b"you-will-never-guess",
    b"your-secret-key-here",
    b"replace-me-with-a-real-secret",
}
_SHORTEST_KEY = 16  # bytes; what secrets.token_hex() makes has 64


def look(server, add, spec, prefix, app):
    if app.debug:
        where = "FLASK_DEBUG" if os.environ.get("FLASK_DEBUG") else spec
        add(
            "error",
            where,
            "the app is in debug mode: it is slower, and its error pages are passed over",
            "unset FLASK_DEBUG, and leave app.debug = True and DEBUG out of the configuration",
        )
    if app.testing:
        add("error", spec, "TESTING is on: the app's error handlers are passed over for what a view raises", "leave TESTING out of the configuration")
    _look_at_key(add, spec, app)
    _look_at_database(server, add, spec, app)
    folder, url = app.static_folder, app.static_url_path
    if folder and os.path.isdir(folder) and url is not None and not server.StaticFromApp and prefix + url.rstrip("/") not in server.Static:
        add("note", spec, "Python serves the static files of %s" % folder, "--static-from-app has Go serve them")


def _look_at_key(add, spec, app):
    key = app.secret_key
    if not key:
        add("note", spec, "SECRET_KEY is not set: a view that uses session or flash() fails", "set it if the app uses these; " + _NEW_KEY)
        return
    key = key.encode() if isinstance(key, str) else bytes(key)
    if len(key) < _SHORTEST_KEY or key in _KNOWN_KEYS:
        why = "has fewer than %d bytes" % _SHORTEST_KEY if len(key) < _SHORTEST_KEY else "is one of a tutorial"
        add("error", spec, "SECRET_KEY %s: whoever guesses it can write any session" % why, _NEW_KEY)
    if not app.config.get("SESSION_COOKIE_SECURE"):
        add("warning", spec, "the session's cookie is sent over plain HTTP too", 'app.config["SESSION_COOKIE_SECURE"] = True')


def _look_at_database(server, add, spec, app):
    uri = str(app.config.get("SQLALCHEMY_DATABASE_URI") or "")
    scheme, colon, path = uri.partition("://")
    if scheme.partition("+")[0] != "sqlite" or not colon:
        return
    path = path.partition("?")[0][1:]
    if path in ("", ":memory:"):
        add(
            "warning",
            spec,
            "SQLALCHEMY_DATABASE_URI is an SQLite database in memory: each worker has one of its own, which is gone when it ends",
            "name a file or a database server",
        )
    elif server.Workers * server.Threads > 1 and not is_wal(os.path.join(app.instance_path, path)):
        add(
            "note",
            spec,
            "SQLALCHEMY_DATABASE_URI is SQLite without a write-ahead log: while %d threads write and read, some get 'database is locked'"
            % (server.Workers * server.Threads),
            "sqlite3 %s 'PRAGMA journal_mode=WAL', or a database server" % path,
        )
