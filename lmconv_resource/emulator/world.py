"""A friendly world to begin with: some instances with licenses, of which a few can't be converted."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import boto3
from moto.moto_api._internal import mock_random

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .server import Emulator

_WINDOWS_IMAGE = "ami-12c6146b"
"""One of moto's own."""

_TYPE: Final = "m5.xlarge"
"""Without instance store volumes, and large enough for every license."""

_WINDOWS_BYOL = "RunInstances:0800"

_SEED = 2026
"""So that the same world has the same instance ids each time, and a program may name them."""


@dataclass(frozen=True)
class WorldInstance:
    """An instance of the world."""

    arn: str
    name: str
    state: str
    fails: bool
    """Whether its conversion ends FAILED."""


def make_world(
    emulator: Emulator, region: str, instances: int = 6, failing: int = 1, ids: Sequence[str] = ()
) -> list[WorldInstance]:
    """Make Windows BYOL instances `web-1` and so on, every third of them stopped; conversions of the last ones fail.

    Only these instances can be converted then, as in AWS.

    Args:
        emulator: Where.
        region: The region in which they are made.
        instances: How many.
        failing: Of how many of them a conversion ends FAILED.
        ids: The ids of the first ones; the others have the same ids each time.
    """
    backend = emulator.backend(region)
    backend.strict = True
    session = boto3.Session("emulator", "emulator", region_name=region)
    ec2 = session.client("ec2", endpoint_url=emulator.endpoint)
    # An image of the account's own, as a BYOL instance has.
    (first,) = ec2.run_instances(ImageId=_WINDOWS_IMAGE, MinCount=1, MaxCount=1)["Instances"]
    image = ec2.create_image(InstanceId=first["InstanceId"], Name="windows-byol")["ImageId"]
    ec2.terminate_instances(InstanceIds=[first["InstanceId"]])
    mock_random.seed(_SEED)
    world = []
    for number in range(1, instances + 1):
        name, is_stopped = f"web-{number}", number % 3 == 0
        with _next_id(ids[number - 1] if number <= len(ids) else None):
            (made,) = ec2.run_instances(ImageId=image, InstanceType=_TYPE, MinCount=1, MaxCount=1)["Instances"]
        instance_id = made["InstanceId"]
        ec2.create_tags(Resources=[instance_id], Tags=[{"Key": "Name", "Value": name}])
        backend.set_license(instance_id, _WINDOWS_BYOL)
        if is_stopped:
            ec2.stop_instances(InstanceIds=[instance_id])
        fails = number > instances - failing
        if fails:
            backend.failing[instance_id] = f"The emulator lets the conversion of {instance_id} fail."
        arn = backend.make_arn(instance_id)
        world.append(WorldInstance(arn, name, "stopped" if is_stopped else "running", fails))
    return world


@contextmanager
def _next_id(instance_id: str | None) -> Iterator[None]:
    """Give the next instance this id, which EC2's own call does not take."""
    from moto.ec2.models import instances as module

    names = vars(module)
    random_id = names["random_instance_id"]
    names["random_instance_id"] = (lambda: instance_id) if instance_id else random_id
    try:
        yield
    finally:
        names["random_instance_id"] = random_id
