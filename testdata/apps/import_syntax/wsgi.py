"""Can't be imported: a module of the app does not parse."""
import broken


def application(environ, start_response):
    raise AssertionError
