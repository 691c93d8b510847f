"""multiprocessing in a view, with the start method in the query string."""
import multiprocessing
import os
import time


def work(connection):
    connection.send(os.getpid())
    connection.close()


def sleep(connection):
    connection.send(os.getpid())
    time.sleep(60)


def double(n):
    return 2 * n


def run(context):
    ours, theirs = context.Pipe(False)
    process = context.Process(target=work, args=(theirs,))
    process.start()
    other = ours.recv() != os.getpid()
    process.join(30)
    return "%s %s" % (other, process.exitcode)


def terminate(context):
    ours, theirs = context.Pipe(False)
    process = context.Process(target=sleep, args=(theirs,))
    process.start()
    ours.recv()
    process.terminate()
    process.join(30)
    return str(process.exitcode)


def pool(context):
    with context.Pool(2) as p:
        return str(p.map(double, [1, 2, 3]))


def application(environ, start_response):
    result = globals()[environ["PATH_INFO"][1:]](multiprocessing.get_context(environ["QUERY_STRING"]))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [result.encode()]
