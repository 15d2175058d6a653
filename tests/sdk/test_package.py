"""The package's door: every name is there, and what is imported is what is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import lmconv_resource


@pytest.mark.parametrize("name", lmconv_resource.__all__)
def test_every_name_is_there(name: str) -> None:
    """Each is what its module has by the same name, and an editor is told of it."""
    value = getattr(lmconv_resource, name)
    assert value is getattr(sys.modules[value.__module__], name)
    assert name in dir(lmconv_resource)


def test_a_name_that_is_not_there() -> None:
    """The error is Python's own."""
    with pytest.raises(AttributeError, match="module 'lmconv_resource' has no attribute 'LicenceConversion'"):
        lmconv_resource.LicenceConversion  # type: ignore[attr-defined]  # noqa: B018


def test_tracking_imports_nothing_of_starting() -> None:
    """An unchanged stack of tracked tasks costs no import of the look-ups and of all that a start takes."""
    code = (
        "import sys, lmconv_resource.provider\n"
        "from lmconv_resource import LicenseConversionTask\n"
        "print([name for name in sys.modules if name.startswith('lmconv_resource.') and name.rpartition('.')[2] in "
        "('convert', 'start', 'restart', 'preflight', 'functions')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"
