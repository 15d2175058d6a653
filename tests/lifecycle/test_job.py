"""What a job makes of marks that were not written for its instance."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import pytest
from support.job import TAG, URN, Job, serve_job

from lmconv_resource.aws.marks import make_value


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> Iterator[Job]:
    with serve_job(monkeypatch) as served:
        yield served


def test_a_copy_of_the_own_mark_starts_nothing(job: Job) -> None:
    """A program that replaces an instance by a copy of it keeps the URN, and the copy has the tags of the first."""
    arn, now = job.launch(), datetime.now(timezone.utc)
    copied = make_value(URN, "i-0123456789abcdef0", now, now + timedelta(hours=1))
    job.ec2.create_tags(Resources=[arn.rpartition("/")[2]], Tags=[{"Key": TAG, "Value": copied}])

    created = job.create(job.inputs(arn, stop_and_restart=True))
    job.refresh(created, job.inputs(arn, stop_and_restart=True))

    assert job.state(arn) == "stopped"
    assert [line for line in job.lines("WARNING") if "copied" in line]
    assert not [line for line in job.lines("WARNING") if "still has to be started" in line]
