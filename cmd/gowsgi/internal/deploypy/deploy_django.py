"""What would go wrong in production with a Django site: what its own check --deploy finds, and what that leaves out."""

import logging

import _gowsgi_deploy_database
import _gowsgi_deploy_static

_SECRET = "take it from the environment or a file; python -c 'import secrets; print(secrets.token_urlsafe(50))' makes one"
_SESSION = "SESSION_COOKIE_SECURE = True"
_HTTP_ONLY = "SESSION_COOKIE_HTTPONLY = True"
_CSRF = "CSRF_COOKIE_SECURE = True"

# Django's findings have few hints.
_MENDS = {
    "security.W001": '"django.middleware.security.SecurityMiddleware" as the first of MIDDLEWARE',
    "security.W002": '"django.middleware.clickjacking.XFrameOptionsMiddleware" in MIDDLEWARE',
    "security.W003": '"django.middleware.csrf.CsrfViewMiddleware" in MIDDLEWARE',
    "security.W004": "SECURE_HSTS_SECONDS = 3600, and a year (31536000) once all works by https",
    "security.W005": 'SECURE_HSTS_INCLUDE_SUBDOMAINS = True, or "security.W005" in SILENCED_SYSTEM_CHECKS where a subdomain has no https',
    "security.W006": "SECURE_CONTENT_TYPE_NOSNIFF = True",
    "security.W008": "SECURE_SSL_REDIRECT = True, or a listener that redirects (--bind ':80 redirect') beside one with TLS",
    "security.W009": _SECRET,
    "security.W010": _SESSION,
    "security.W011": _SESSION,
    "security.W012": _SESSION,
    "security.W013": _HTTP_ONLY,
    "security.W014": _HTTP_ONLY,
    "security.W015": _HTTP_ONLY,
    "security.W016": _CSRF,
    "security.W018": "DEBUG = False",
    "security.W019": 'X_FRAME_OPTIONS = "DENY"',
    "security.W020": 'ALLOWED_HOSTS = ["www.example.com"], with the names of the site',
    "security.W021": 'SECURE_HSTS_PRELOAD = True, or "security.W021" in SILENCED_SYSTEM_CHECKS',
    "security.W022": 'SECURE_REFERRER_POLICY = "same-origin"',
    "security.W025": _SECRET,
}
_ERRORS = {"security.W009", "security.W018", "security.W020"}  # Django calls them warnings, as all of --deploy
_NO_MAIL = ("console", "locmem", "dummy", "filebased")


def _own_checks(server, add):
    from django.core.checks import ERROR, WARNING, run_checks

    for message in sorted(run_checks(include_deployment_checks=True), key=lambda m: (m.id or "", str(m.msg))):
        if message.is_silenced() or message.id == "security.W008" and server.OnlyHTTPS:
            continue
        level = "error" if message.level >= ERROR or message.id in _ERRORS else "warning" if message.level >= WARNING else "note"
        meta = getattr(message.obj, "_meta", None)
        where = _settings_name() if message.obj is None else getattr(meta, "label", None) or str(message.obj)
        mend = message.hint or _MENDS.get(message.id) or "see %s in https://docs.djangoproject.com/en/stable/ref/checks/" % (message.id or "it")
        add(level, where, "Django's %s: %s" % (message.id, message.msg) if message.id else str(message.msg), mend)


def _settings_name():
    from django.conf import settings

    return getattr(settings, "SETTINGS_MODULE", None) or "Django's settings"


def _look_at_settings(server, add):
    from django.conf import settings

    if "*" in settings.ALLOWED_HOSTS:
        add(
            "warning",
            "ALLOWED_HOSTS",
            "any Host is taken: links in mails, such as those that reset a password, can be made to lead elsewhere",
            _MENDS["security.W020"],
        )
    backend = settings.EMAIL_BACKEND.split(".")
    if backend[:3] == ["django", "core", "mail"] and backend[-2] in _NO_MAIL:
        add("warning", "EMAIL_BACKEND", "mail is not sent, but goes to the backend %s" % backend[-2], "leave EMAIL_BACKEND out, and set EMAIL_HOST")
    _look_at_proxy(server, add, settings)
    _look_at_sessions(server, add, settings)
    if not settings.DEBUG and not _logs_errors(settings):
        add(
            "note",
            "LOGGING",
            "what a view raises is logged nowhere: with DEBUG off Django's default handlers only mail it to ADMINS, who are not set",
            'LOGGING = {"version": 1, "disable_existing_loggers": False, "handlers": {"console": {"class": "logging.StreamHandler"}}, '
            '"root": {"handlers": ["console"]}}; gowsgi logs standard error',
        )


def _look_at_proxy(server, add, settings):
    keys = {}  # of the environ, by the settings that read them
    if settings.SECURE_PROXY_SSL_HEADER:
        keys["SECURE_PROXY_SSL_HEADER"] = settings.SECURE_PROXY_SSL_HEADER[0]
    if settings.USE_X_FORWARDED_HOST:
        keys["USE_X_FORWARDED_HOST"] = "HTTP_X_FORWARDED_HOST"
    if settings.USE_X_FORWARDED_PORT:
        keys["USE_X_FORWARDED_PORT"] = "HTTP_X_FORWARDED_PORT"
    scheme = keys.get("SECURE_PROXY_SSL_HEADER")
    secure = server.HTTPS or server.Scheme or scheme and not server.hides(scheme)
    if settings.SECURE_SSL_REDIRECT and "django.middleware.security.SecurityMiddleware" in settings.MIDDLEWARE and not secure:
        add(
            "error",
            "SECURE_SSL_REDIRECT",
            "each request is redirected, and that one again: gowsgi speaks no TLS here and takes no proxy's word, so none is https for Django",
            "--trusted-proxy ADDRESS of the proxy that speaks TLS, or --certfile or --acme",
        )
    for name, key in keys.items():
        if server.hides(key) and not (key == scheme and server.HTTPS):
            add(
                "warning",
                name,
                "%s never arrives: gowsgi takes it from proxies of --trusted-proxy alone, where --forwarded-header names it" % key,
                "--trusted-proxy ADDRESS of the proxy; the setting can be left out then",
            )
        elif server.Trusted and key.startswith("HTTP_X_FORWARDED_"):
            add("note", name, "gowsgi has applied %s already, for --trusted-proxy" % key, "leave the setting out")


def _look_at_sessions(server, add, settings):
    local = [alias for alias, cache in settings.CACHES.items() if cache.get("BACKEND", "").endswith(".LocMemCache")]
    engine = settings.SESSION_ENGINE.rpartition(".")[2]
    if server.Workers == 1 or "django.contrib.sessions.middleware.SessionMiddleware" not in settings.MIDDLEWARE:
        engine = ""
    if settings.SESSION_CACHE_ALIAS in local and engine in ("cache", "cached_db"):
        add(
            "error" if engine == "cache" else "warning",
            "SESSION_ENGINE",
            "sessions are cached in a worker's own memory (LocMemCache): each of the %d workers has others, so that logins come and go" % server.Workers,
            "a cache that all share, such as django.core.cache.backends.redis.RedisCache; or sessions in the database",
        )
    elif local and server.Workers > 1 and settings.is_overridden("CACHES"):
        add(
            "note",
            "CACHES[%r]" % local[0],
            "each of the %d workers has a cache of its own (LocMemCache): what one deletes or counts the others don't see" % server.Workers,
            "a cache that all share, such as django.core.cache.backends.redis.RedisCache",
        )
    if engine == "file" and not settings.SESSION_FILE_PATH:
        add(
            "note",
            "SESSION_FILE_PATH",
            "sessions are files in the folder for temporary ones, which systemd's PrivateTmp and containers empty at each start",
            "SESSION_FILE_PATH, a folder that stays and only the server's user can read",
        )


def _logs_errors(settings):
    """Whether a record of django.request reaches a handler while DEBUG is off."""
    from django.utils.log import AdminEmailHandler, RequireDebugTrue

    logger = logging.getLogger("django.request")
    while logger:
        for handler in logger.handlers:
            if isinstance(handler, logging.NullHandler) or isinstance(handler, AdminEmailHandler) and not settings.ADMINS:
                continue
            if not any(isinstance(f, RequireDebugTrue) for f in handler.filters):
                return True
        logger = logger.parent if logger.propagate else None
    return False


PARTS = [
    ("what Django's own checks say", _own_checks),
    ("Django's settings", _look_at_settings),
    ("Django's static files", _gowsgi_deploy_static.look),
    ("Django's databases", _gowsgi_deploy_database.look),
]
