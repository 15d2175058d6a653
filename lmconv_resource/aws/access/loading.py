"""Everything that calls AWS, imported by one thread for all, when AWS is first asked.

A stack whose tasks have all ended needs none of it. urllib3's modules import each other: of two threads that enter that
circle at different places, Python can end one with a `_DeadlockError`, which was seen once in a plugin's first calls.
"""

from __future__ import annotations

import importlib
import threading

_LOCK = threading.Lock()


def load() -> None:
    """Import the modules that import botocore. To be called before any of them is imported where threads run."""
    with _LOCK:
        for name in ("session", "shared_clients", "files"):
            importlib.import_module(f"{__package__}.{name}")
