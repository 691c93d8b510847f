"""What would go wrong in production with the databases of a Django site. They are only read."""

import os
import pathlib
import sqlite3

from _gowsgi_deploy import is_wal, reason

_MAX_CONNECTIONS = 100 - 3  # of PostgreSQL by default: max_connections without superuser_reserved_connections


def look(server, add):
    from django.db import connections

    try:
        for alias in connections:
            connection = connections[alias]
            where = "DATABASES[%r]" % alias
            if connection.vendor == "sqlite":
                _look_at_sqlite(server, add, where, connection)
            elif connection.vendor != "unknown":  # of the dummy backend, where there is no database
                _look_at_server(server, add, where, connection)
            if alias == "default" and connection.vendor != "unknown":
                _look_at_migrations(add, where, connection)
    finally:
        connections.close_all()


def _file(connection):
    """The path of an SQLite database, "" where it is in memory."""
    name = str(connection.settings_dict["NAME"])
    if name.startswith("file:"):
        if "mode=memory" in name:
            return ""
        name = name[5:].partition("?")[0]
    return "" if ":memory:" in name else os.path.abspath(name)


def _look_at_sqlite(server, add, where, connection):
    import django

    path = _file(connection)
    if not path:
        add(
            "warning",
            where,
            "the database is in memory: each worker has one of its own, which is gone when it ends",
            "name a file, or a database server",
        )
        return
    if server.Workers * server.Threads == 1 or not os.path.exists(path):
        return
    mends = []
    if not is_wal(path):
        mends.append("sqlite3 %s 'PRAGMA journal_mode=WAL'" % path)
    options = connection.settings_dict["OPTIONS"]
    if django.VERSION >= (5, 1) and str(options.get("transaction_mode")).upper() not in ("IMMEDIATE", "EXCLUSIVE"):
        mends.append('"OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20}')
    if mends:
        add(
            "note",
            where,
            "SQLite has one writer at a time: with %d threads that write, some requests get 'database is locked'" % (server.Workers * server.Threads),
            " and ".join(mends) + "; or a database server",
        )


def _look_at_server(server, add, where, connection):
    settings = connection.settings_dict
    most = server.Workers * server.Threads
    if connection.vendor == "postgresql" and most > _MAX_CONNECTIONS and not settings["OPTIONS"].get("pool"):
        add(
            "note",
            where,
            "%d workers of %d threads open up to %d connections; PostgreSQL allows %d unless its max_connections was raised"
            % (server.Workers, server.Threads, most, _MAX_CONNECTIONS),
            "fewer --threads or --workers, a higher max_connections, or PgBouncer",
        )
    if settings.get("CONN_MAX_AGE") != 0 and not settings.get("CONN_HEALTH_CHECKS", True):
        add(
            "note",
            where,
            "connections are kept (CONN_MAX_AGE) without a look at whether they live: each fails one request when the database was restarted",
            '"CONN_HEALTH_CHECKS": True',
        )


def _look_at_migrations(add, where, connection):
    from django.db.migrations.loader import MigrationLoader
    from django.db.migrations.recorder import MigrationRecorder
    from django.db.utils import Error

    try:
        if connection.vendor == "sqlite":
            path = _file(connection)
            if not path:
                return
            if not os.path.exists(path):
                add("error", where, "the database %s is not there" % path, "make it with manage.py migrate, or see to NAME")
                return
            applied = _applied_in_sqlite(path)
        else:
            applied = set(MigrationRecorder(connection).applied_migrations())
    except (Error, sqlite3.Error, OSError) as e:
        add(
            "warning",
            where,
            "the database can't be read, so neither can be told whether migrations wait: %s" % reason(e),
            "see to the database's address, name and password; and check where it can be reached",
        )
        return
    loader = MigrationLoader(None)  # the files alone
    missing = []
    for leaf in loader.graph.leaf_nodes():
        for key in loader.graph.forwards_plan(leaf):
            replaces = loader.graph.nodes[key].replaces
            done = key in applied or replaces and all(r in applied for r in replaces)
            if not done and key not in missing:
                missing.append(key)
    if missing:
        names = ", ".join("%s.%s" % key for key in missing[:3])
        add(
            "error",
            where,
            "%d migration%s not applied: %s%s" % (len(missing), " is" if len(missing) == 1 else "s are", names, ", ..." if missing[3:] else ""),
            "manage.py migrate",
        )


def _applied_in_sqlite(path):
    """What django_migrations has. Read-only: a connection of Django's may make files, and run what the settings say."""
    uri = pathlib.Path(path).as_uri() + "?mode=ro"
    if is_wal(path) and not os.path.exists(path + "-wal"):
        uri += "&immutable=1"  # else SQLite makes the log's files
    connection = sqlite3.connect(uri, uri=True)
    try:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'django_migrations'").fetchone():
            return set()
        return set(connection.execute("SELECT app, name FROM django_migrations"))
    finally:
        connection.close()
