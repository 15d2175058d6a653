"""Tests of what is known to be missing: they are skipped with their reason, and each is to leave this list.

By the end of a test's id, why. What a test begins with stands for all its cases.
"""

from __future__ import annotations

KNOWN_GAPS = {
    "tests/hosts/test_killed_engine.py::test_a_plugin_ends_within_5_s_of_its_engine[others]": (
        "the moment between two tries of a start is not reached by the job's loop as it was"
    ),
    "tests/reliability/test_matrix.py::test_every_operation_under_every_fault[wait]": (
        "the row says of an unknown id that AWS does not know it yet, which is no fault of the matrix"
    ),
    "tests/reliability/test_matrix.py::test_every_operation_under_every_fault[update]": (
        "the row says of an unknown id that AWS does not know it yet, which is no fault of the matrix"
    ),
    "tests/reliability/test_secrets.py::test_control_characters_reach_nobody": (
        "Pulumi shows the error of a recorded failure in two lines"
    ),
}
