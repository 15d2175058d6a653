"""Pytest fixtures for programs that use `lmconv_resource`: `license_manager` and `pulumi_stack`.

pytest imports this module whenever it starts. It stands beside the package, because importing the package imports
Pulumi; what a fixture needs is imported when a test asks for the fixture.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pulumi import automation

    from lmconv_resource.emulator import LicenseManagerBackend

REGION = "us-east-1"
"""Where `license_manager` is."""


@pytest.fixture
def license_manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[LicenseManagerBackend]:
    """A License Manager on this machine, to which the environment leads: `license_manager.add_task(...)`.

    It is moto with `lmconv_resource.emulator`, which serves EC2, STS and SSM as well. In the environment are their
    endpoints, made-up credentials and the region us-east-1, in place of all AWS variables that were there.
    """
    try:
        from lmconv_resource.emulator import serve
    except ModuleNotFoundError as missing:
        pytest.fail(f"license_manager: {missing}", pytrace=False)
    for name in [name for name in os.environ if name.upper().startswith("AWS_")]:
        monkeypatch.delenv(name)
    with serve() as emulator:
        settings = {
            **emulator.environment,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            # Nor do the settings and profiles of whoever runs the tests play a part.
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, "127.0.0.1", prepend=",")
        yield emulator.backend(REGION)


@pytest.fixture
def pulumi_stack(tmp_path: Path) -> Iterator[Callable[..., automation.Stack]]:
    """Make stacks on Pulumi's engine: `pulumi_stack("path/to/program", config={...}, timeout=60).up()`.

    Each is a `pulumi.automation.Stack` with a state of its own, which is thrown away. A command that takes longer than
    `timeout` seconds is ended, and the error has the last lines that it wrote. Needs the `pulumi` command on PATH.
    """
    from lmconv_resource.testing import make_stack

    if shutil.which("pulumi") is None:
        pytest.fail("pulumi_stack needs the pulumi command on PATH.", pytrace=False)
    with ExitStack() as stacks:

        def make(program: str | os.PathLike[str], **settings: Any) -> automation.Stack:
            folder = Path(tempfile.mkdtemp(prefix="state-", dir=tmp_path))
            return stacks.enter_context(make_stack(program, folder, **settings))

        yield make
