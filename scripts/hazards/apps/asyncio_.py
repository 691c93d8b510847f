"""asyncio.run and uvloop.run in a view, with a subprocess and to_thread; asyncio.run at import"""
import asyncio

import uvloop
from _app import text


async def work():
    child = await asyncio.create_subprocess_exec("echo", "x", stdout=asyncio.subprocess.PIPE)
    out, _ = await child.communicate()
    return out.strip() + await asyncio.to_thread(bytes, b"y")


asyncio.run(asyncio.sleep(0))


@text
def app(environ):
    assert asyncio.run(work()) == b"xy"
    assert uvloop.run(work()) == b"xy"
    return "ok"
