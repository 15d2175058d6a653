"""Which of a resource's tasks is the newest, and what makes two contexts or two requests the same."""

from datetime import datetime, timedelta, timezone

import pytest

from lmconv_resource.models import (
    ConversionRequest,
    ConversionTask,
    LicenseContext,
    ProductCode,
    TaskStatus,
    select_newest,
)

REGION = "eu-west-1"
ARN = f"arn:aws:ec2:{REGION}:123456789012:instance/i-0123456789abcdef0"
BYOL, WINDOWS = "RunInstances:0800", "RunInstances:0002"
REQUEST = ConversionRequest(ARN, LicenseContext(BYOL), LicenseContext(WINDOWS))
NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


def task(task_id: str, status: str, start: datetime | None = NOON, end: datetime | None = None) -> ConversionTask:
    return ConversionTask(task_id, REGION, ARN, status=TaskStatus(status), start_time=start, end_time=end)


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        (task("lct-b", "SUCCEEDED"), task("lct-a", "SUCCEEDED", NOON + timedelta(seconds=1))),
        (task("lct-b", "FAILED"), task("lct-a", "IN_PROGRESS")),
        (task("lct-b", "FAILED", end=NOON), task("lct-a", "SUCCEEDED", end=NOON + timedelta(seconds=1))),
        (task("lct-b", "SUCCEEDED"), task("lct-a", "IN_PROGRESS", None)),
        (task("lct-b", "SUCCEEDED", None), task("lct-a", "SUCCEEDED")),
    ],
)
def test_the_newest_started_last(older: ConversionTask, newer: ConversionTask) -> None:
    """Of tasks that began in the same second the running one is the newest; one without a start has just begun."""
    assert select_newest([older, newer]) == select_newest([newer, older]) == newer
    assert select_newest([]) is None


def test_the_order_of_product_codes_says_nothing() -> None:
    """Product codes are a set, whose type is `marketplace` where nobody says it; another code is another context."""
    one, two = ProductCode("one", "marketplace"), ProductCode("two", "marketplace")
    assert LicenseContext(None, (one, two)).is_same(LicenseContext(None, (two, one)))
    assert LicenseContext(None, (one,)).is_same(LicenseContext(None, (ProductCode("one", None),)))
    assert not LicenseContext(None, (one,)).is_same(LicenseContext(None, (one, two)))
    assert not LicenseContext(BYOL).is_same(LicenseContext(BYOL, (one,)))
    assert not LicenseContext(BYOL).is_same(LicenseContext())


def test_requests_are_values() -> None:
    """A request that exchanges the contexts of another reverts it, for the same resource only."""
    back = ConversionRequest(ARN, REQUEST.destination, REQUEST.source)
    assert back.reverts(REQUEST)
    assert not REQUEST.reverts(REQUEST)
    assert not back._replace(resource_arn=f"{ARN}1").reverts(REQUEST)
    assert ConversionRequest(ARN, REQUEST.source, REQUEST.source).is_noop
    assert not REQUEST.is_noop
