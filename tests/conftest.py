"""Loads what every test begins with where tests run: who hands them to workers needs none of its imports."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput") or config.getoption("dist", "no") == "no":
        config.pluginmanager.import_plugin("support.fixtures")
