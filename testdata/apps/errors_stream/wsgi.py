"""Writes to wsgi.errors, sys.stderr and sys.stdout in every way there is."""
import logging
import sys

logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(message)s")


def application(environ, start_response):
    token, errors = environ["QUERY_STRING"], environ["wsgi.errors"]
    errors.write("by-write %s\n" % token)
    errors.writelines(["by-writelines-1 %s\n" % token, "by-writelines-2 %s\n" % token])
    print("by-print %s" % token, file=errors)
    errors.write("by-")
    errors.write("halves %s\n" % token)
    errors.write("not latin-1: \u20ac %s\n" % token)
    errors.write("no newline %s" % token)
    errors.flush()
    print("to-stdout %s" % token)
    print("to-stderr %s" % token, file=sys.stderr)
    logging.getLogger("app").warning("by-logging %s", token)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]
