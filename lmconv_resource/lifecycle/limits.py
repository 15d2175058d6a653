"""The stack's limits on its many conversions: how many are under way at once, and when no more are begun.

The settings are `lmconv:maxConcurrentConversions` and `lmconv:stopAfterFailures`. A turn lasts from before an instance
is stopped until it is started again, and turns are taken in the order in which Pulumi's engine asks, which is the
program's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lmconv_resource.aws.settings_reader import SettingsReader
from lmconv_resource.errors import CREATE_ACTION, CancelledError, LicenseConversionError, Subject
from lmconv_resource.lifecycle.operation import Aws, Operation

_PREFIX = "lmconv:"
LIMITS = _MOST_AT_ONCE, _STOP_AFTER = "maxConcurrentConversions", "stopAfterFailures"
"""The settings' names."""


@contextmanager
def take_turn(op: Operation, aws: Aws, resource_arn: str) -> Iterator[None]:
    """Return a context in which no more conversions are under way than the stack's setting allows.

    Raises:
        SettingsError: the setting is not a whole number of at least 1.
        CancelledError: cancelled while it waited.
    """
    most = _read_count(op, _MOST_AT_ONCE)
    if most is None:
        yield
        return
    with op.host.fleet.turn(aws.connection, most, op.cancellation, op.log_status, op.arrival) as has_come:
        if not has_come:
            raise CancelledError(
                Subject(CREATE_ACTION, None, aws.region, resource_arn),
                f"{op.cancellation.reason or 'its time was over'} while it waited for its turn",
                "Nothing was begun. Run `pulumi up` again",
            )
        yield


def check_failures(op: Operation, aws: Aws, resource_arn: str) -> None:
    """Raise an error when so many conversions have FAILED in this process that no further one is to be begun."""
    limit, failures = _read_count(op, _STOP_AFTER), op.host.fleet.failures
    if limit is not None and failures >= limit:
        raise LicenseConversionError(
            Subject(CREATE_ACTION, None, aws.region, resource_arn),
            f"{failures} conversions have FAILED in this run, and {_PREFIX}{_STOP_AFTER} is {limit}: no further one is "
            "begun",
            "Fix what they FAILED of, then run `pulumi up` again",
        )


def _read_count(op: Operation, key: str) -> int | None:
    """Return a setting that is a whole number of at least 1, None where it is not set."""
    reader = SettingsReader(op.host.get_config, _PREFIX)
    if reader.value(key) is None:
        return None
    count = reader.count(key, 0)
    if count < 1:
        raise reader.wrong(key, "a whole number of at least 1")
    return count
