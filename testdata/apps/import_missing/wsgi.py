"""Can't be imported: a module that it needs is not there."""
import a_module_that_is_not_there


def application(environ, start_response):
    raise AssertionError
