# A .wsgi file as mod_wsgi has them: not importable by its name.
import os

from wsgi import reply

assert __file__ == os.path.abspath(__file__), __file__
application = reply(b"site.wsgi as " + __name__.encode())
