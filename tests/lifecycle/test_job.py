"""What a job makes of marks: copied ones, and those that only the instance shows."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from support.job import TAG, URN, Job, deny

from lmconv_resource.aws.marks import Mark, make_value


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


def test_a_mark_of_several_instances_names_each_and_no_other() -> None:
    """The rows of a fleet that are marked together share a value that fits into a tag."""
    now, ids = datetime.now(timezone.utc), [f"i-{n:017x}" for n in range(33)]
    value = make_value("urn:" + "x" * 300, ids[:32], now, now + timedelta(hours=1))
    mark = Mark.parse(value, ("eni-1", *ids), None)
    assert len(value) == 256
    assert [instance_id for instance_id in ids if not mark.is_for(instance_id)] == ids[32:]
    assert (mark.is_owned_by("urn:" + "x" * 300), mark.is_owned_by(URN), mark.instance_ids) == (True, False, ids)
