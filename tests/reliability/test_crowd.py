"""Two hundred of everything at once, from three connections, while calls go wrong at random: nothing is mixed up."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from support.waiting import wait_until

from lmconv_resource.emulator import (
    ChangedAnswer,
    DroppedConnection,
    ErrorAnswer,
    Fault,
    LicenseManagerBackend,
    RateLimit,
    RawAnswer,
    SlowAnswer,
    licensemanager_backends,
    serve,
)
from lmconv_resource.errors import LicenseConversionError
from lmconv_resource.hosts.session import Session
from lmconv_resource.polling.policy import PollingPolicy
from lmconv_resource.provider import LicenseConversionTaskProvider

REGIONS = ("eu-west-1", "us-east-1", "ap-south-1")
COUNT = 200
FAULTS = (
    (ErrorAnswer("ServerInternalException"), 0.03),
    (DroppedConnection(), 0.025),
    (DroppedConnection(halfway=True), 0.025),
    (RawAnswer(502), 0.025),
    (RawAnswer(200, "<html>"), 0.025),
    (ChangedAnswer(members={"LicenseConversionTaskId": "lct-0001"}), 0.025),
    (SlowAnswer(0.05), 0.1),
)
Backends = dict[str, LicenseManagerBackend]


@pytest.fixture
def backends(monkeypatch: pytest.MonkeyPatch) -> Iterator[Backends]:
    """A License Manager with the same ids in three regions, whose tasks tell whose they are; every other one runs."""
    with serve() as emulator:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LICENSE_MANAGER", emulator.endpoint)
        found = {region: licensemanager_backends["123456789012"][region] for region in REGIONS}
        for region, backend in found.items():
            for n in range(COUNT):
                backend.add_task(
                    task_id=f"lct-{n:04}",
                    resource_arn=f"arn:aws:ec2:{region}:123456789012:instance/i-{n}",
                    source="RunInstances:0800",
                    destination="RunInstances:0002",
                    message=f"task {n} in {region}",
                    **({"status": "IN_PROGRESS"} if n % 2 else {"seconds": 0}),
                )
        yield found


@pytest.fixture
def create() -> Callable[..., Any]:
    """Creates a resource for a task in a region, and returns its outputs, all of them the task's own."""
    provider = LicenseConversionTaskProvider()
    provider.session = Session({"aws:maxRetries": "12"}.get, policy=PollingPolicy(fastest_gap_seconds=0.001))

    def create_own(n: int, region: str, **more: Any) -> Any:
        inputs = {"license_conversion_task_id": f"lct-{n:04}", "region": region, "poll_interval_seconds": 1, **more}
        outputs = provider.create(inputs).outs
        assert outputs is not None
        assert (outputs["license_conversion_task_id"], outputs["region"]) == (f"lct-{n:04}", region)
        assert outputs["resource_arn"] == f"arn:aws:ec2:{region}:123456789012:instance/i-{n}"
        assert outputs["status_message"] == f"task {n} in {region}"
        if not inputs.get("wait_for_completion"):
            old = {**outputs, "status": "IN_PROGRESS", "status_message": "before"}
            assert provider.diff(f"lct-{n:04}", old, inputs).changes
            assert not provider.diff(f"lct-{n:04}", outputs, inputs).changes
        assert provider.read(f"lct-{n:04}", outputs).outs == outputs
        return outputs

    return create_own


@pytest.mark.proof
@pytest.mark.parametrize("is_limited", [False, True])
def test_each_result_belongs_to_its_own_task(backends: Backends, create: Callable[..., Any], is_limited: bool) -> None:
    """Creates (some of them wait), diffs and reads at once, in three regions, each give their own task's values.

    200 under faults, and 24 under a real token bucket.
    """
    for region, backend in backends.items():
        if is_limited:
            backend.faults.limit_rate(RateLimit(rate_per_second=5, burst=3))
        else:
            for number, (effect, share) in enumerate(FAULTS):
                backend.faults.add(Fault(effect, share=share, seed=100 + 10 * number + REGIONS.index(region)))
    count = 24 if is_limited else COUNT
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(lambda n: create(n, REGIONS[n % 3], wait_for_completion=n % 6 == 0), range(count)))
    for backend in backends.values():
        assert backend.refused.total() > 0 if is_limited else backend.faults.injected.total() > 5


@pytest.mark.proof
def test_waits_by_list_are_not_mixed_up(backends: Backends, create: Callable[..., Any]) -> None:
    """Waits that share a poller, and regions that share their tasks' ids, end each with its own task."""
    places = [(n, region) for region in REGIONS for n in range(1, 40, 2)]
    ends = {"eu-west-1": "SUCCEEDED", "us-east-1": "FAILED", "ap-south-1": "SUCCEEDED"}
    for backend in backends.values():
        backend.faults.add(Fault(ErrorAnswer("ServerInternalException"), share=0.1))
        backend.page_size = 7
    with ThreadPoolExecutor(len(places)) as pool:
        running = [pool.submit(create, *place, wait_for_completion=True, ignore_failure=True) for place in places]
        wait_until(lambda: min(each.calls["ListLicenseConversionTasks"] for each in backends.values()) >= 2)
        for n, region in places:
            backends[region].finish_task(f"lct-{n:04}", ends[region], f"task {n} in {region}")
        assert [each.result()["status"] for each in running] == [ends[region] for _, region in places]


def test_an_error_belongs_to_its_own_task(backends: Backends, create: Callable[..., Any]) -> None:
    """While all calls of one region are refused, its errors name that region and task, and the others go on."""
    backends["us-east-1"].faults.add(Fault(ErrorAnswer("AccessDeniedException")))

    def run(n: int) -> str | None:
        try:
            create(n, REGIONS[n % 3])
        except LicenseConversionError as error:
            return str(error).partition(": ")[0]
        return None

    with ThreadPoolExecutor(60) as pool:
        found = list(pool.map(run, range(60)))
    assert found == [
        f"Looking up license conversion task lct-{n:04} in us-east-1" if n % 3 == 1 else None for n in range(60)
    ]
