"""psycopg: a refused connection is an OperationalError"""
import psycopg
from _app import text


@text
def app(environ):
    try:
        psycopg.connect("host=127.0.0.1 port=1 connect_timeout=3")
    except psycopg.OperationalError:
        return "ok"
    raise AssertionError("connected")
