"""What the package logs goes to the engine, by the level that LMCONV_LOG names."""

import logging
from collections.abc import Iterator

import pytest
from support.lifecycle import RecordingEngine


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """The package's logger, which is afterwards as it was."""
    found = logging.getLogger("lmconv_resource")
    before = list(found.handlers), found.level, found.propagate
    yield found
    found.handlers, found.level, found.propagate = before


def test_an_unknown_log_level_is_said_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, logger: logging.Logger
) -> None:
    """A misspelt LMCONV_LOG is named with what may stand there."""
    monkeypatch.setenv("LMCONV_LOG", "loud")
    engine = RecordingEngine()
    engine.receive_log()
    logger.info("no warning")
    assert engine.said == [("WARNING", "LMCONV_LOG=LOUD is not a level: use DEBUG, INFO, WARNING or ERROR.")]


def test_the_level_says_what_reaches_the_engine(monkeypatch: pytest.MonkeyPatch, logger: logging.Logger) -> None:
    """Without LMCONV_LOG warnings and errors do; with it, all from that level on. Nothing goes to the root logger."""
    monkeypatch.setenv("LMCONV_LOG", "debug")
    engine = RecordingEngine()
    engine.receive_log()
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
        logging.getLogger("lmconv_resource.polling.poller").log(level, "a line of %s", level)
    assert [severity for severity, _ in engine.said] == ["DEBUG", "INFO", "WARNING", "ERROR", "ERROR"]
    assert engine.said[0][1] == "a line of 10"
    assert not logger.propagate
