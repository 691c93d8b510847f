"""numpy at import and SVD in a view, eight at once"""
import numpy
from _app import text


@text
def app(environ):
    m = numpy.random.default_rng(1).random((120, 120))
    u, s, v = numpy.linalg.svd(m)
    assert numpy.allclose(u @ numpy.diag(s) @ v, m)
    return "ok"
