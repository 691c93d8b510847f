"""Answers with its request's id, as the environ and gowsgi have it, and logs with it."""

import logging
import logging.config
import threading

import gowsgi

logging.config.dictConfig(
    {
        "version": 1,
        "filters": {"request_id": {"()": "gowsgi.RequestIDFilter"}},
        "formatters": {"line": {"format": "id=%(request_id)s %(message)s"}},
        "handlers": {"console": {"class": "logging.StreamHandler", "filters": ["request_id"], "formatter": "line"}},
        "root": {"handlers": ["console"], "level": "INFO"},
    }
)
logging.info("imported")


def application(environ, start_response):
    logging.info("in %s", environ["PATH_INFO"])
    if environ["PATH_INFO"] == "/raise":
        raise ValueError("raised")
    elsewhere = []
    t = threading.Thread(target=lambda: elsewhere.append(gowsgi.request_id()))
    t.start()
    t.join()
    body = "%s %s %s" % (environ.get("HTTP_X_REQUEST_ID"), gowsgi.request_id(), elsewhere[0])
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body.encode()]
