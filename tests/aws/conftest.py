"""What tests of settings and credentials share."""

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def write_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Return what fills the shared config file."""

    def write(text: str) -> None:
        (tmp_path / "config").write_text(text, errors="surrogateescape")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))

    return write
