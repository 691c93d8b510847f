"""What counts as a picture: decided by the first bytes, never by the name or the type that the browser sent."""

MAX_SIZE = 5 * 1024 * 1024  # bytes

# Extension -> (content type, test of the first 16 bytes). SVG is left out: it can hold scripts.
KINDS = {
    "png": ("image/png", lambda head: head.startswith(b"\x89PNG\r\n\x1a\n")),
    "jpg": ("image/jpeg", lambda head: head.startswith(b"\xff\xd8\xff")),
    "gif": ("image/gif", lambda head: head[:6] in (b"GIF87a", b"GIF89a")),
    "webp": ("image/webp", lambda head: head[:4] == b"RIFF" and head[8:12] == b"WEBP"),
}


def kind_of(file):
    """The extension for an uploaded file, None where it is no picture. Leaves the file at its start."""
    file.seek(0)
    head = file.read(16)
    file.seek(0)
    return next((ext for ext, (_, test) in KINDS.items() if test(head)), None)


def content_type(name):
    """The content type for a stored name."""
    return KINDS[name.rpartition(".")[2]][0]
