"""What can't be read as a task is one line for the person at the terminal, whole."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from support.clients import make_license_manager

from lmconv_resource.aws.access.settings import Settings
from lmconv_resource.errors import LicenseConversionError, TransientError

TASK_ID = "lct-0123456789abcdef0"
LOOKING_UP = f"Looking up license conversion task {TASK_ID} in eu-west-1: "
NO_AWS = "Check that the endpoint is AWS License Manager and no proxy answers for it, then run `pulumi up` again."


class Client:
    """Answers what it is told."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self._answer = answer

    def get_license_conversion_task(self, **_: Any) -> dict[str, Any]:
        return {"LicenseConversionTaskId": TASK_ID, "Status": "FAILED", "ResourceArn": "arn", **self._answer}


def get(answer: dict[str, Any]) -> LicenseConversionError:
    settings = Settings(region="eu-west-1", max_retries=0)
    service = make_license_manager(settings, make=lambda *_: Client(answer))
    with pytest.raises(LicenseConversionError) as caught:
        service.get_task(TASK_ID)
    return caught.value


@pytest.mark.parametrize(
    ("moment", "hours"), [(datetime.min, 14), (datetime.max, -12)], ids=["before year 1", "after year 9999"]
)
def test_a_time_beyond_the_calendar_is_one_line(moment: datetime, hours: int) -> None:
    """A time that has no year in UTC is an answer that can't be read, and worth another try."""
    error = get({"StartTime": moment.replace(tzinfo=timezone(timedelta(hours=hours)))})

    assert isinstance(error, TransientError)
    assert str(error) == f"{LOOKING_UP}a time in the answer is outside the years 1 to 9999. {NO_AWS}"


def test_an_answer_about_another_task_is_one_line() -> None:
    """An answer is not recorded under an id it is not about."""
    error = get({"LicenseConversionTaskId": "lct-other", "Status": "SUCCEEDED"})

    assert isinstance(error, TransientError)
    assert str(error) == f"{LOOKING_UP}the answer is about another task, lct-other. {NO_AWS}"


@pytest.mark.parametrize("answer", [{"SourceLicenseContext": "x"}, {"StartTime": "noon"}, {"StatusMessage": 5}])
def test_a_member_of_another_type_is_one_line(answer: dict[str, Any]) -> None:
    """An answer whose members have not the documented types is no crash."""
    error = get(answer)

    assert str(error) == f"{LOOKING_UP}a member of the answer does not have the type that AWS documents. {NO_AWS}"
