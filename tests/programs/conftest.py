"""AWS for the tests of whole conversions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.job import Job, serve_job


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> Iterator[Job]:
    """AWS on loopback, and an environment that leads there."""
    with serve_job(monkeypatch) as served:
        yield served
