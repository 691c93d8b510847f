"""Installs the servers of peers.txt into the virtualenv this runs in, one by one."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

PEERS = Path(__file__).with_name("peers.txt")


def pinned():
    """The version of each peer by its lower-case name."""
    lines = (line.strip() for line in PEERS.read_text().splitlines())
    return dict(line.lower().split("==") for line in lines if line and not line.startswith("#"))


def installed(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def install(name):
    """None where the peer is there at its version, else why it is not. What it depends on is in requirements.txt."""
    version = pinned()[name]
    if installed(name) == version:
        return None
    print(f"bench: installing {name} {version}", file=sys.stderr, flush=True)
    pip = subprocess.run([sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-deps", f"{name}=={version}"],
                         capture_output=True, text=True)
    if pip.returncode == 0:
        return None
    lines = [line.strip() for line in (pip.stdout + pip.stderr).splitlines() if "error" in line.lower()]
    return f"{name} {version} was not installed: {lines[0][:200] if lines else f'pip ended with {pip.returncode}'}"
