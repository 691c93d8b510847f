"""Pillow: JPEG, PNG and WebP"""
import io

from _app import text
from PIL import Image


@text
def app(environ):
    for kind in ("JPEG", "PNG", "WEBP"):
        out = io.BytesIO()
        Image.new("RGB", (64, 64), "red").save(out, kind)
        assert Image.open(io.BytesIO(out.getvalue())).resize((8, 8)).size == (8, 8)
    return "ok"
