"""Which cases of a long table every run tries."""

from collections.abc import Iterable
from typing import Any

import pytest


def keep(kept: Iterable[Any], cases: Iterable[Any]) -> list[Any]:
    """Return all the cases for `parametrize`, of which `make test` tries only those that are named.

    Args:
        kept: the cases that are tried by every run.
        cases: all of them; a tuple is the values of several parameters.
    """
    names = list(kept)
    rest = (case if isinstance(case, tuple) else (case,) for case in cases if case not in names)
    return [*names, *(pytest.param(*values, marks=pytest.mark.proof) for values in rest)]
