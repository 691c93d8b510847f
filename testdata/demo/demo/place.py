"""Where the demo keeps what changes while it runs: build/demo at the top of the checkout, or $DEMO_DATA."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(os.environ.get("DEMO_DATA") or BASE_DIR.parent.parent / "build" / "demo")
