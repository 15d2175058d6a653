"""What a job makes of marks: copied ones, and those that only the instance shows."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from support.job import TAG, URN, Job, deny

from lmconv_resource.aws.marks import make_value


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


@pytest.mark.parametrize("code", ["UnauthorizedOperation", "InvalidAction"])
def test_a_mark_is_found_where_tags_can_not_be_listed(job: Job, code: str) -> None:
    arn, now = job.launch(), datetime.now(timezone.utc)
    inputs = job.inputs(arn, stop_and_restart=True)
    created, instance_id = job.create(inputs), arn.rpartition("/")[2]
    value = make_value(URN, instance_id, now, now + timedelta(hours=1))
    job.ec2.create_tags(Resources=[instance_id], Tags=[{"Key": TAG, "Value": value}])
    job.make_client = deny("DescribeTags", code=code)
    job.restart_process()

    assert job.diff(created, inputs).changed == ("stop_and_restart",)
