"""wsgiref.validate.validator around the well-behaved apps: /hello/path runs ../hello/wsgi.py on /path."""
import importlib.util
import os
import warnings
from wsgiref.util import shift_path_info
from wsgiref.validate import validator

warnings.simplefilter("error")
apps = {}
for name in ("hello", "environ", "write_callable", "iterables", "lengths", "input_sized", "upload", "middleware", "exc_info", "respond"):
    spec = importlib.util.spec_from_file_location("validated_" + name, os.path.join(os.path.dirname(__file__), "..", name, "wsgi.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    apps[name] = validator(module.application)


def application(environ, start_response):
    return apps[shift_path_info(environ)](environ, start_response)
