"""numpy imported first in a view"""
from _app import text


@text
def app(environ):
    import numpy

    return int(numpy.arange(10).sum())
