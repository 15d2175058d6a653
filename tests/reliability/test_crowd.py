"""Two hundred of everything at once, from three connections, while calls go wrong at random: nothing is mixed up."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

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


@pytest.fixture
def backends(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, LicenseManagerBackend]]:
    """A License Manager with the same ids in three regions, whose tasks tell whose they are."""
    with serve() as emulator:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LICENSE_MANAGER", emulator.endpoint)
        found = {region: licensemanager_backends["123456789012"][region] for region in REGIONS}
        for region, backend in found.items():
            for n in range(COUNT):
                finished = n % 2 == 0
                backend.add_task(
                    task_id=f"lct-{n:04}",
                    resource_arn=f"arn:aws:ec2:{region}:123456789012:instance/i-{n}",
                    source="RunInstances:0800",
                    destination="RunInstances:0002",
                    message=f"task {n} in {region}",
                    status="SUCCEEDED" if finished else "IN_PROGRESS",
                    seconds=0 if finished else None,
                )
        yield found


def make_provider() -> LicenseConversionTaskProvider:
    provider = LicenseConversionTaskProvider()
    provider.session = Session({"aws:maxRetries": "12"}.get, policy=PollingPolicy(fastest_gap_seconds=0.001))
    return provider


def assert_own(outputs: Any, n: int, region: str) -> None:
    """Every output is of the task that was asked for, in its own region."""
    assert (outputs["license_conversion_task_id"], outputs["region"]) == (f"lct-{n:04}", region)
    assert outputs["resource_arn"] == f"arn:aws:ec2:{region}:123456789012:instance/i-{n}"
    assert outputs["status_message"] == f"task {n} in {region}"


@pytest.mark.proof
@pytest.mark.parametrize("seed", [1])
def test_each_result_belongs_to_its_own_task(seed: int, backends: dict[str, LicenseManagerBackend]) -> None:
    """200 creates (some of them wait), diffs and reads at once, in three regions: each gives its own task's values."""
    for region, backend in backends.items():
        for number, (effect, share) in enumerate(FAULTS):
            backend.faults.add(Fault(effect, share=share, seed=100 * seed + 10 * number + REGIONS.index(region)))
    provider = make_provider()

    def run(n: int) -> str:
        region, task_id = REGIONS[n % 3], f"lct-{n:04}"
        inputs = {"license_conversion_task_id": task_id, "region": region}
        waits = n % 6 == 0  # its task has ended
        kind = "wait" if waits else "create"
        created = provider.create({**inputs, "wait_for_completion": waits, "poll_interval_seconds": 1}).outs
        assert created is not None
        assert_own(created, n, region)
        diff = provider.diff(task_id, {**created, "status": "IN_PROGRESS", "status_message": "before"}, inputs)
        assert diff.changes is True
        assert provider.diff(task_id, created, inputs).changes is False
        read = provider.read(task_id, created).outs
        assert_own(read, n, region)
        assert read == created
        return kind

    with ThreadPoolExecutor(COUNT) as pool:
        done = Counter(pool.map(run, range(COUNT)))

    assert done.total() == COUNT
    assert all(backend.faults.injected.total() > 5 for backend in backends.values())


@pytest.mark.proof
def test_waits_by_list_are_not_mixed_up(backends: dict[str, LicenseManagerBackend]) -> None:
    """Waits that share a watcher, and regions that share their tasks' ids, end each with its own task."""
    provider = make_provider()
    for backend in backends.values():
        backend.faults.add(Fault(ErrorAnswer("ServerInternalException"), share=0.1))
        backend.page_size = 7
        for n in range(1, 40, 2):
            backend.tasks[f"lct-{n:04}"].finish("IN_PROGRESS", f"task {n} in {backend.region_name}")

    def run(place: tuple[int, str]) -> None:
        n, region = place
        inputs = {
            "license_conversion_task_id": f"lct-{n:04}",
            "region": region,
            "wait_for_completion": True,
            "ignore_failure": True,
            "poll_interval_seconds": 1,
        }
        outs = provider.create(inputs).outs
        assert outs is not None
        assert_own(outs, n, region)
        assert outs["status"] == ("FAILED" if region == "us-east-1" else "SUCCEEDED")

    places = [(n, region) for region in REGIONS for n in range(1, 40, 2)]
    with ThreadPoolExecutor(len(places)) as pool:
        running = [pool.submit(run, place) for place in places]
        while min(backend.calls["ListLicenseConversionTasks"] for backend in backends.values()) < 2:
            assert not any(each.done() and each.exception() for each in running)
            time.sleep(0.05)
        for region, backend in backends.items():
            for n in range(1, 40, 2):
                status = "FAILED" if region == "us-east-1" else "SUCCEEDED"
                backend.finish_task(f"lct-{n:04}", status, f"task {n} in {region}")
        for each in running:
            each.result()


@pytest.mark.proof
def test_a_limit_of_calls_slows_down_and_loses_nothing(backends: dict[str, LicenseManagerBackend]) -> None:
    """Under a real token bucket every create ends well, and each with its own task."""
    for backend in backends.values():
        backend.faults.limit_rate(RateLimit(rate_per_second=5, burst=3))
    provider = make_provider()

    def run(n: int) -> None:
        region = REGIONS[n % 3]
        outs = provider.create({"license_conversion_task_id": f"lct-{n:04}", "region": region}).outs
        assert_own(outs, n, region)

    with ThreadPoolExecutor(24) as pool:
        list(pool.map(run, range(24)))

    assert sum(backend.refused.total() for backend in backends.values()) > 0


def test_an_error_belongs_to_its_own_task(backends: dict[str, LicenseManagerBackend]) -> None:
    """While all calls of one region are refused, its errors name that region and task, and the others go on."""
    backends["us-east-1"].faults.add(Fault(ErrorAnswer("AccessDeniedException")))
    provider = make_provider()

    def run(n: int) -> tuple[str | None, str | None, bool]:
        region = REGIONS[n % 3]
        inputs = {"license_conversion_task_id": f"lct-{n:04}", "region": region}
        try:
            outs = provider.create(inputs).outs
        except LicenseConversionError as error:
            return (
                error.subject.task_id,
                error.subject.region,
                f"{inputs['license_conversion_task_id']} in {region}" in str(error),
            )
        assert_own(outs, n, region)
        return (None, region, False)

    with ThreadPoolExecutor(60) as pool:
        found = list(pool.map(run, range(60)))

    assert found == [
        (f"lct-{n:04}", "us-east-1", True) if n % 3 == 1 else (None, REGIONS[n % 3], False) for n in range(60)
    ]
