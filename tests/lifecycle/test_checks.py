"""What stands in the way of a stop or of a conversion: each check, by what EC2 and Systems Manager show."""

from typing import Any, cast

import pytest
from support.aws import REGION
from support.job import BYOL, WEB, WINDOWS
from support.lifecycle import ARN, RecordingEngine, make_session

from lmconv_resource.aws.client import Connection
from lmconv_resource.aws.ec2 import START_ACTION, TAG_ACTION, Instance, InstanceType
from lmconv_resource.errors import AccessDeniedError, RequestRefusedError, Subject
from lmconv_resource.lifecycle.job.checks import CHECKS, Problem, Wish, run_checks
from lmconv_resource.models import LicenseContext

DENIED = AccessDeniedError(Subject("Asking EC2"), "AWS denies access", "Allow it")
REFUSED = RequestRefusedError(Subject("Asking EC2"), "there is no such type", "Correct it")


class World:
    """EC2 and Systems Manager in one, as far as the checks ask them; each answer is a value, or an error to raise."""

    region = REGION

    def __init__(self, **answers: Any) -> None:
        self.asked: list[str] = []
        self.warned: list[str] = []
        self.ec2 = self
        self._answers = {
            "get_type": InstanceType(8, False),
            "list_managed": {"i-1": True},
            "is_amazon_image": False,
            "has_stop_protection": False,
            "is_persistent_spot": True,
            "list_elastic": {},
            "check_may": None,
            **answers,
        }

    def __getattr__(self, name: str) -> Any:
        def answer(*about: Any) -> Any:
            self.asked.append(name)
            given = self._answers[name]
            given = given(*about) if callable(given) else given
            if isinstance(given, Exception):
                raise given
            return given

        return answer


def check(
    world: World, answer: dict[str, Any], *, to: str = WINDOWS, state: str = "running", **wish: Any
) -> tuple[Problem, ...]:
    contexts = {"source_license_context": LicenseContext(BYOL), "destination_license_context": LicenseContext(to)}
    instance = Instance("i-1", state, BYOL, {"InstanceType": "m5.large", "ImageId": "ami-1", **answer})
    asked = Wish(**{"resource_arn": ARN, "stop_and_restart": True, "preflight": True, **contexts, **wish})
    engine = RecordingEngine()
    with make_session(engine=engine).operation(None) as op:
        problems = run_checks(op, cast(Connection, world), asked, instance, ["i-1", "eni-1"])
    world.warned = [text for severity, text in engine.said if severity == "WARNING"]
    return problems


def deny(*actions: str, only_interface: bool = False) -> Any:
    def check_may(action: str, _: Any, __: Any, places: list[str]) -> Any:
        return DENIED if action in actions and (len(places) > 1 or not only_interface) else None

    return check_may


GROUP = {"Tags": [{"Key": "aws:autoscaling:groupName", "Value": "web"}]}
SPOT = {"InstanceLifecycle": "spot", "SpotInstanceRequestId": "sir-1"}
HOST = {"Placement": {"Tenancy": "host"}}
FOUND: dict[str, tuple[str, World, dict[str, Any], dict[str, Any]]] = {
    "group": ("group", World(), GROUP, {}),
    "store_root": ("store_root", World(), {"RootDeviceType": "instance-store"}, {}),
    "store_unknown": ("store_unknown", World(get_type=DENIED), {}, {}),
    "store": ("store", World(get_type=InstanceType(8, True)), {}, {}),
    "store, by its name": ("store", World(get_type=REFUSED), {"InstanceType": "m5d.large"}, {}),
    "store_optional": ("store_optional", World(get_type=InstanceType(8, True, True)), {}, {}),
    "spot": ("spot", World(is_persistent_spot=False), SPOT, {}),
    "spot without a request": ("spot", World(), {"InstanceLifecycle": "spot"}, {}),
    "address": ("address", World(), {"PublicIpAddress": "192.0.2.1"}, {}),
    "address, not known": ("address", World(list_elastic=DENIED), {"PublicIpAddress": "192.0.2.1"}, {}),
    "protected": ("protected", World(has_stop_protection=True), {}, {"stop_and_restart": False}),
    "included_on_host": ("included_on_host", World(), HOST, {"to": WEB}),
    "byol_off_host": ("byol_off_host", World(), {}, {"to": BYOL}),
    "few_vcpus": ("few_vcpus", World(), {"CpuOptions": {"CoreCount": 1, "ThreadsPerCore": 2}}, {"to": WEB}),
    "few_vcpus, by its type": ("few_vcpus", World(get_type=InstanceType(2, False)), {}, {"to": WEB}),
    "amazon_image": ("amazon_image", World(is_amazon_image=True), HOST, {"to": BYOL}),
    "unmanaged": ("unmanaged", World(list_managed={}), {}, {}),
}


@pytest.mark.parametrize("name", FOUND)
def test_what_stands_in_the_way(name: str) -> None:
    """Each row of the table is found by itself, and says what it is of this instance."""
    row, world, answer, wish = FOUND[name]
    (problem,) = check(world, answer, **wish)
    meant = CHECKS[row]
    assert (problem.action, problem.may_pass, problem.is_warning) == (meant.action, meant.may_pass, meant.is_warning)
    assert str(problem).startswith(str(meant).partition("{")[0])
    assert "{" not in str(problem)


def test_every_row_is_tried() -> None:
    """A row that nothing finds would block nothing."""
    assert {row for row, *_ in FOUND.values()} == set(CHECKS)


@pytest.mark.parametrize(
    ("world", "answer", "wish"),
    [
        (World(), {}, {}),
        (World(get_type=InstanceType(8, True)), {}, {"allow_instance_store_loss": True}),
        (World(get_type=REFUSED), {}, {}),
        (World(), SPOT, {}),
        (World(is_persistent_spot=DENIED), SPOT, {}),  # EC2 itself refuses the stop then
        (World(list_elastic={"192.0.2.1": True}), {"PublicIpAddress": "192.0.2.1"}, {}),
        (World(has_stop_protection=DENIED, list_managed=DENIED), {}, {}),
        (World(check_may=deny(TAG_ACTION, only_interface=True)), {}, {}),
        (World(has_stop_protection=True, list_managed={}), GROUP, {"stop_and_restart": False, "preflight": False}),
        (World(), {**GROUP, **SPOT}, {"state": "stopped"}),
    ],
)
def test_what_stands_in_nobodys_way(world: World, answer: dict[str, Any], wish: dict[str, Any]) -> None:
    """What is in order, is allowed by the program, may not be asked, or is not about to be done."""
    assert check(world, answer, **wish) == ()
    assert world.warned == []


def test_the_rights_around_a_conversion_are_checked_before_the_stop() -> None:
    """Each act that is denied is named by itself, by EC2's DryRun."""
    problems = check(World(check_may=deny(START_ACTION, TAG_ACTION)), {})
    assert [(each.action, each.reason, each.remedy) for each in problems] == [
        (START_ACTION, DENIED.reason, DENIED.remedy),
        (TAG_ACTION, DENIED.reason, DENIED.remedy),
    ]


def test_no_more_is_asked_than_a_wish_needs() -> None:
    """A conversion without a stop asks nothing about one, and nothing at all without `preflight`."""
    world = World()
    assert check(world, {"PublicIpAddress": "192.0.2.1", **SPOT}, stop_and_restart=False, preflight=False) == ()
    assert world.asked == []
    check(world, SPOT, stop_and_restart=False)
    assert world.asked == ["has_stop_protection", "list_managed"]
