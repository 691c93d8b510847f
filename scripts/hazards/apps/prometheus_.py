"""prometheus_client counts over the threads"""
import prometheus_client
from _app import text

requests = prometheus_client.Counter("hazard_requests", "Requests.")


@text
def app(environ):
    requests.inc()
    return prometheus_client.generate_latest().decode()
