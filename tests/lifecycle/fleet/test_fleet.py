"""A whole fleet on moto's EC2 and the emulated License Manager: plan, order, outcomes, again, and what stays."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from support.aws import CREATE
from support.fleet import URN, Fleet
from support.job import BYOL, TAG, WINDOWS, Job, deny
from support.waiting import wait_until

from lmconv_resource.aws.access.settings import Settings
from lmconv_resource.emulator import ErrorAnswer, Fault
from lmconv_resource.errors import LicenseConversionError, SettingsError, Subject
from lmconv_resource.lifecycle.fleet.report import Outcome
from lmconv_resource.lifecycle.fleet.row import NotBegunError, Planned, run_row
from lmconv_resource.lifecycle.fleet.survey import survey
from lmconv_resource.lifecycle.job.marks import make_value
from lmconv_resource.lifecycle.operation import UNKNOWN, Operation


def launch(job: Job, billed: str = BYOL, *, running: bool = True, type: str = "m5.large") -> str:
    return job.launch(billed, running=running, InstanceType=type)


def mark(job: Job, arn: str, about: str = "") -> str:
    """Leave the fleet's mark on an instance, as if about another one or itself, and return its id."""
    now, id = datetime.now(timezone.utc), arn.rpartition("/")[2]
    value = make_value(URN, about or id, now, now + timedelta(days=1))
    job.ec2.create_tags(Resources=[id], Tags=[{"Key": TAG, "Value": value}])
    return id


def plan_one(op: Operation, fleet: Fleet) -> Planned:
    """Return what is planned for a fleet of one row, which may be begun now."""
    rows = fleet.controller.inputs.parse({**fleet.inputs, "instances": fleet.rows}).rows or ()
    (planned,) = survey(op, rows, {}, begins=True)
    assert planned.gathering is not None
    planned.gathering.expect([rows[0].arn])
    return planned


def fail(job: Job, *arns: str) -> None:
    """Let the conversions of these instances end FAILED."""
    job.backend.failing = {arn.rpartition("/")[2]: "The SSM Agent did not answer." for arn in arns}


@pytest.fixture
def mixed(job: Job) -> Fleet:
    """A fleet with a row of each kind."""
    fleet = Fleet(job, stop_and_restart=True, max_concurrent=2)
    for n in range(1, 5):
        fleet.add(f"web-{n}", launch(job, running=n != 4))
    fail(job, fleet.rows[1]["resource_arn"])
    gone = fleet.add("old", launch(job))
    job.ec2.terminate_instances(InstanceIds=[gone.rpartition("/")[2]])
    fleet.add("ubuntu", launch(job, "RunInstances:0g00"))
    fleet.add("done", launch(job, WINDOWS))
    guarded = fleet.add("sql", launch(job)).rpartition("/")[2]
    job.ec2.modify_instance_attribute(InstanceId=guarded, DisableApiStop={"Value": True})
    fleet.add("other", launch(job).replace(":123456789012:", ":210987654321:"))
    return fleet


SEVERITIES = ("INFO", "WARNING")

MIXED = {
    "web-1": "SUCCEEDED",
    "web-2": "FAILED",
    "web-3": "SUCCEEDED",
    "web-4": "SUCCEEDED",
    "old": "REFUSED",
    "ubuntu": "REFUSED",
    "done": "ALREADY_DONE",
    "sql": "REFUSED",
    "other": "REFUSED",
}


def test_the_plan_says_what_becomes_of_each_row(mixed: Fleet) -> None:
    """All rows that can't be converted are there with their reasons, and nothing is done."""
    plan = mixed.preview().splitlines()
    assert plan[0] == "9 instances: 3 will be stopped and started, 1 stopped already, 1 done already, 4 can't"
    assert plan[1] == "1  web-1   Windows BYOL → Windows  runs: will be stopped and started"
    assert plan[10].startswith("web-1, web-2, web-3: the public address is not an Elastic IP address. ")
    assert len(plan) == 11
    assert plan[4] == "4  web-4   Windows BYOL → Windows  stopped"
    assert [line.split("→ Windows", 1)[1].strip()[:50] for line in plan[5:10]] == [
        "can't: the instance is terminated",
        "can't: AWS's user guide lists no conversion from R",
        "done already",
        "can't: the instance has stop protection",
        "can't: the credentials belong to account 123456789",
    ]
    assert mixed.job.starts == 0
    assert {mixed.job.state(row["resource_arn"]) for row in mixed.rows[:3]} == {"running"}


def test_what_checks_warn_of_stands_once_for_all_rows(job: Job) -> None:
    """In the plan and in the `up` alike, and with each of them before the first row is begun."""
    fleet = Fleet(job, stop_and_restart=True)
    arns = [fleet.add(name, launch(job, type="m1.small")) for name in ("a", "b")]
    note = (
        "a, b: m1.small can have instance store volumes, which the stop erases, and EC2 does not show whether it has."
    )
    assert len([line for line in fleet.preview().splitlines() if line.startswith(note)]) == 1
    known = len(job.session.lines)
    assert fleet.up() == ""
    lines = [text for _, text in job.session.lines[known:]]
    assert [line.partition(":")[0] for line in lines[:2]] == ["a, b", "a, b"]
    assert sum("instance store" in line for line in lines) == 1
    assert {job.state(arn) for arn in arns} == {"running"}


def test_of_a_table_that_is_not_known_the_preview_says_so(job: Job) -> None:
    """It is what another resource has yet to make."""
    fleet = Fleet(job)
    fleet.inputs["instances"] = UNKNOWN
    assert fleet.preview() == "The table of instances is not known yet: the update plans it."


def test_a_row_never_stops_another(mixed: Fleet) -> None:
    """Each row has its outcome, the resource succeeds, and what was stopped runs again."""
    assert mixed.up() == ""
    assert mixed.outcomes == MIXED
    recorded = mixed.recorded
    assert recorded is not None
    assert (recorded["succeeded"], recorded["failed"], recorded["not_begun"]) == (
        ["web-1", "web-3", "web-4", "done"],
        ["web-2", "old", "ubuntu", "sql", "other"],
        [],
    )
    states = {row["name"]: mixed.job.state(row["resource_arn"]) for row in mixed.rows[:4]}
    assert states == {"web-1": "running", "web-2": "running", "web-3": "running", "web-4": "stopped"}
    assert all(TAG not in mixed.job.tags(row["resource_arn"]) for row in mixed.rows[:4])
    failed = mixed.result("web-2")
    assert (failed.reason, failed.instance_state) == ("The SSM Agent did not answer.", "running")
    assert (mixed.result("web-1").verified_usage_operation, mixed.result("done").start_time) == (WINDOWS, None)
    ended = {severity: [line.partition(" after")[0] for line in mixed.job.lines(severity)] for severity in SEVERITIES}
    assert {f"web-{n}: SUCCEEDED" for n in (1, 3, 4)} <= set(ended["INFO"])
    assert "web-2: FAILED" in ended["WARNING"]
    assert len([line for _, line in mixed.job.session.lines if line.partition(":")[0] in MIXED]) == len(MIXED)


def test_again_nothing_is_done_and_what_can_be_converted_by_then_is(mixed: Fleet) -> None:
    """A second `up` asks of the rows that were refused only; FAILED ones wait until their row says to try again."""
    mixed.up()
    assert not mixed.diff().has_changes
    guarded = mixed.rows[7]["resource_arn"].rpartition("/")[2]
    mixed.job.ec2.modify_instance_attribute(InstanceId=guarded, DisableApiStop={"Value": False})
    mixed.job.backend.failing = {}
    assert mixed.diff().changed == ("rows",)
    plan = mixed.preview()
    assert "web-2   Windows BYOL → Windows  FAILED before, and stays as it is" in plan
    assert "web-1   Windows → Windows       done already" in plan
    mixed.up()
    assert mixed.outcomes == {**MIXED, "sql": "SUCCEEDED"}
    mixed.rows[1]["retry_failed"] = True
    assert mixed.diff().changed == ('rows["web-2"]',)
    mixed.up()
    assert mixed.outcomes == {**MIXED, "sql": "SUCCEEDED", "web-2": "SUCCEEDED"}
    assert mixed.job.starts == 6


def test_a_fleet_that_is_done_asks_nobody(job: Job) -> None:
    """Check and diff of a second `up` send nothing; refresh, and another name or order of rows, convert nothing."""
    fleet = Fleet(job, stop_and_restart=True)
    first, _ = fleet.add("a", launch(job)), fleet.add("b", launch(job, running=False))
    fleet.up()
    job.make_client = deny("DescribeInstances", "ListLicenseConversionTasks", "DescribeTags")
    job.restart_process()
    assert not fleet.diff().has_changes
    fleet.rows = [{**fleet.rows[1]}, {"name": "web", "resource_arn": first}]
    assert fleet.diff().changed == ('rows["a"]', 'rows["web"]')
    fleet.up()
    assert fleet.outcomes == {"b": "SUCCEEDED", "web": "SUCCEEDED"}
    assert [fleet.result(name).number for name in ("b", "web")] == [1, 2]
    job.make_client = Job(job.backend, job.ec2).make_client
    job.restart_process()
    fleet.refresh()
    assert {name: each.instance_state for name, each in fleet.state.results.items()} == {
        "b": "stopped",
        "web": "running",
    }
    assert job.starts == 2


def test_after_a_canary_that_failed_none_is_begun(job: Job) -> None:
    """The others are NOT_BEGUN, with the reason, and the next `up` begins them.

    One that a killed `up` has converted, and left marked and running, is no canary of this one.
    """
    fleet = Fleet(job, canaries=1, stop_and_restart=True)
    converted = fleet.add("converted", launch(job, WINDOWS))
    job.add_task(converted, BYOL, WINDOWS)
    mark(job, converted)
    arns = [fleet.add(f"r{n}", launch(job)) for n in range(3)]
    fail(job, arns[0])
    assert fleet.up() == ""
    assert fleet.outcomes == {"converted": "SUCCEEDED", "r0": "FAILED", "r1": "NOT_BEGUN", "r2": "NOT_BEGUN"}
    assert fleet.result("r1").reason == "r0, a canary, has not SUCCEEDED"
    assert job.lines("WARNING")[-1] == "2 not begun: r0, a canary, has not SUCCEEDED."
    fleet.up()
    assert fleet.outcomes == {"converted": "SUCCEEDED", "r0": "FAILED", "r1": "SUCCEEDED", "r2": "SUCCEEDED"}


def test_after_so_many_failures_no_more_are_begun(job: Job) -> None:
    """FAILED ones and those that AWS refuses count; what could not be begun does not."""
    fleet = Fleet(job, stop_after_failures=2, max_concurrent=1, stop_and_restart=True)
    arns = [fleet.add(f"r{n}", launch(job)) for n in range(5)]
    job.ec2.terminate_instances(InstanceIds=[arns[0].rpartition("/")[2]])
    fail(job, arns[1])
    refusal = ErrorAnswer("InvalidParameterValueException", "No such license.")
    job.backend.faults.add(Fault(refusal, operation=CREATE, calls=1))
    fleet.up()
    assert fleet.outcomes == {"r0": "REFUSED", "r1": "REFUSED", "r2": "SUCCEEDED", "r3": "SUCCEEDED", "r4": "SUCCEEDED"}
    assert fleet.result("r1").was_begun
    assert not fleet.result("r0").was_begun
    second = Fleet(job, stop_after_failures=2, max_concurrent=1, stop_and_restart=True)
    arns = [second.add(f"s{n}", launch(job)) for n in range(4)]
    fail(job, *arns[:2])
    second.up()
    assert second.outcomes == {"s0": "FAILED", "s1": "FAILED", "s2": "NOT_BEGUN", "s3": "NOT_BEGUN"}
    assert {job.state(arn) for arn in arns} == {"running"}


def test_fail_on_error_says_how_many_and_why_and_loses_nothing(mixed: Fleet) -> None:
    """The error comes at the end, with the counts and the reasons; the record is complete."""
    mixed.inputs["fail_on_error"] = True
    error = mixed.up()
    assert error.startswith(
        "Converting the licenses of 9 instances: 3 SUCCEEDED, 1 ALREADY_DONE, 1 FAILED, 4 REFUSED; "
        "web-2 FAILED, The SSM Agent did not answer; old REFUSED, the instance is terminated; ubuntu"
    )
    assert mixed.outcomes == MIXED


def test_one_that_does_not_run_again_fails_the_resource(job: Job) -> None:
    """Whatever fail_on_error says; the row goes on at the next `up`."""
    fleet = Fleet(job, stop_and_restart=True)
    down, _ = fleet.add("down", launch(job)), fleet.add("up", launch(job))
    job.make_client = deny_start(down)
    job.restart_process()
    error = fleet.up()
    assert "not running as before: down" in error
    assert fleet.outcomes == {"down": "IN_PROGRESS", "up": "SUCCEEDED"}
    assert job.state(down) == "stopped"
    job.make_client = Job(job.backend, job.ec2).make_client
    job.restart_process()
    assert "1 to go on with" in fleet.preview()
    assert fleet.up() == ""
    assert (fleet.outcomes["down"], job.state(down), job.starts) == ("SUCCEEDED", "running", 2)


def befall(before: Callable[[str, Any], None], after: Callable[[str, Any], None] = lambda *_: None) -> Any:
    """Return what makes clients: `before` hears of each call, and may refuse it; `after` may change its answer."""

    def make_client(service: str, settings: Settings) -> Any:
        client: Any = boto3.client(service, region_name=settings.region)  # type: ignore[call-overload]
        client.meta.events.register("before-call", lambda model, params, **_: before(model.name, params["body"]))
        client.meta.events.register("after-call", lambda model, parsed, **_: after(model.name, parsed))
        return client

    return make_client


def to_refusal(code: str, call: str) -> ClientError:
    """Return AWS's refusal of a call."""
    return ClientError({"Error": {"Code": code, "Message": "You are not authorized."}}, call)


def deny_start(arn: str) -> Any:
    """Return what makes clients that may not start one instance, which a DryRun does not show."""

    def refuse(call: str, body: Any) -> None:
        if call == "StartInstances" and "DryRun" not in body and arn.rpartition("/")[2] in body.values():
            raise to_refusal("UnauthorizedOperation", call)

    return befall(refuse)


def test_a_copied_mark_makes_no_row_one_that_ran(job: Job) -> None:
    """It came along with a copy of the tags: the row waits for its turn, and stays stopped."""
    fleet = Fleet(job, stop_and_restart=True)
    copy = mark(job, fleet.add("copy", launch(job, running=False)), "i-0123456789abcdef0")
    assert fleet.preview().endswith("Windows BYOL → Windows  stopped")
    assert not fleet.up()
    assert job.state(copy) == "stopped"


def test_one_that_was_last_seen_starting_fails_the_resource(job: Job) -> None:
    """The credentials expire between its start and its running: a green `up` would say that it runs."""
    fleet = Fleet(job, stop_and_restart=True)
    fleet.add("web", launch(job))
    job.make_client = expire_after_start()
    job.restart_process()
    assert "not running as before: web" in fleet.up()
    assert any(line.startswith("web: IN_PROGRESS after") for line in job.lines("WARNING"))


def expire_after_start() -> Any:
    """Return what makes clients whose credentials expire once EC2 has shown that an instance is starting."""
    started: list[str] = []

    def refuse(call: str, body: Any) -> None:
        if len(started) > 1:
            raise to_refusal("ExpiredTokenException", call)
        if call == "StartInstances" and "DryRun" not in body:
            started.append(call)

    def show_pending(call: str, answer: Any) -> None:
        found = answer["Reservations"] if started and call == "DescribeInstances" else ()
        for instance in (each for some in found for each in some["Instances"]):
            instance["State"]["Name"] = "pending"
            started.append("pending")

    return befall(refuse, show_pending)


def test_what_a_cancel_interrupts_is_recorded_and_goes_on(job: Job) -> None:
    """Rows under way are IN_PROGRESS with their task, the others NOT_BEGUN; the next `up` converts each once.

    A destroy in between does not wait for the conversions: it names the instances that stay stopped.
    """
    fleet = Fleet(job, max_concurrent=2, canaries=2, stop_and_restart=True)
    arns = [fleet.add(f"r{n}", launch(job)) for n in range(4)]
    job.backend.conversion_status = "IN_PROGRESS"
    errors: list[str] = []
    thread = threading.Thread(target=lambda: errors.append(fleet.up()))
    thread.start()
    wait_until(lambda: len(job.backend.tasks) == 2)
    job.session.cancellation.set("the update was cancelled")
    thread.join(60)
    assert errors[0].startswith("Converting the licenses of 4 instances: the update was cancelled; 2 NOT_BEGUN, 2 IN_")
    assert fleet.outcomes == {"r0": "IN_PROGRESS", "r1": "IN_PROGRESS", "r2": "NOT_BEGUN", "r3": "NOT_BEGUN"}
    assert fleet.result("r0").license_conversion_task_id in job.backend.tasks
    assert (fleet.result("r0").reason or "").startswith("the update was cancelled")
    assert job.lines("WARNING")[-1] == "2 not begun: the update was cancelled."
    recorded = fleet.recorded
    job.restart_process()
    fleet.destroy()
    stopped = {arn for arn in arns if job.state(arn) == "stopped"}
    commands = [f"aws ec2 start-instances --instance-ids {arn.rpartition('/')[2]}" for arn in stopped]
    assert len(stopped) == 2
    assert all(any(each in line for line in job.lines("WARNING")) for each in commands)
    fleet.recorded = recorded
    for task_id in list(job.backend.tasks):
        job.backend.finish_task(task_id)
    job.backend.conversion_status = "SUCCEEDED"
    job.restart_process()
    assert fleet.up() == ""
    assert set(fleet.outcomes.values()) == {"SUCCEEDED"}
    assert {job.state(arn) for arn in arns} == {"running"}
    assert job.starts == 4


def test_rows_that_leave_are_forgotten_and_what_is_down_is_started(job: Job) -> None:
    """A row whose instance still has our mark is brought to its end first; a destroy does the same.

    What is recorded of it does not matter: an `up` that was killed may have begun it once more.
    """
    fleet = Fleet(job, stop_and_restart=True)
    arns = [fleet.add(f"r{n}", launch(job)) for n in range(3)]
    job.make_client = deny_start(arns[0])
    job.restart_process()
    fleet.up()
    assert (fleet.outcomes["r0"], job.state(arns[0])) == ("IN_PROGRESS", "stopped")
    job.make_client = Job(job.backend, job.ec2).make_client
    job.restart_process()
    del fleet.rows[0]
    fleet.up()
    assert (fleet.outcomes, job.state(arns[0])) == ({"r1": "SUCCEEDED", "r2": "SUCCEEDED"}, "running")
    for leave in (fleet.up, fleet.destroy):
        down = fleet.rows.pop(0)["resource_arn"]
        job.ec2.stop_instances(InstanceIds=[mark(job, down)])
        leave()
        assert job.state(down) == "running"
    assert job.starts == 3


def test_what_a_killed_retry_has_left_down_is_started_and_the_row_stays_failed(job: Job) -> None:
    """Its record is the one from before: the row is final, and its instance has the fleet's mark."""
    fleet = Fleet(job, stop_and_restart=True)
    arn, _ = fleet.add("web", launch(job)), fleet.add("done", launch(job, WINDOWS))
    fail(job, arn)
    fleet.up()
    recorded = fleet.result("web")
    asked = count(job)
    assert not fleet.diff().has_changes
    assert asked == {"DescribeInstances": 1, "DescribeTags": 1}
    job.ec2.stop_instances(InstanceIds=[mark(job, arn)])

    assert "web   Windows BYOL → Windows  FAILED before, and is still marked: will be started again" in fleet.preview()
    assert not fleet.up()

    assert (job.state(arn), TAG in job.tags(arn), job.starts) == ("running", False, 1)
    assert fleet.result("web") == recorded
    assert job.lines("INFO")[-1] == "web: its instance runs again, and it stays FAILED"
    assert not fleet.diff().has_changes


def test_a_refresh_finds_what_a_kill_has_left_down_of_a_row_that_is_done(job: Job) -> None:
    """The destination was changed, the `up` killed, and the change taken back: no `up` by itself asks AWS."""
    fleet = Fleet(job, stop_and_restart=True)
    arn = fleet.add("web", launch(job))
    fleet.up()
    job.ec2.stop_instances(InstanceIds=[mark(job, arn)])
    fleet.refresh()
    assert [line for line in job.lines("WARNING") if line.startswith("web: ") and "`pulumi up` goes on" in line]
    assert fleet.outcomes == {"web": "IN_PROGRESS"}
    assert fleet.up() == ""
    assert (fleet.outcomes, job.state(arn), job.tags(arn)) == ({"web": "SUCCEEDED"}, "running", {})


@pytest.mark.parametrize("call", ["DescribeInstances", "ListLicenseConversionTasks"])
def test_a_row_that_a_kill_has_left_down_fails_the_fleet_where_it_can_not_be_looked_at(job: Job, call: str) -> None:
    """Its mark is known by the tags; the error says how to start it."""
    fleet = Fleet(job, stop_and_restart=True)
    id = mark(job, fleet.add("web", launch(job, running=False)))
    job.make_client = deny(call)
    job.restart_process()
    assert f"start-instances --instance-ids {id}" in fleet.up()
    assert fleet.outcomes == {"web": "IN_PROGRESS"}


@pytest.mark.parametrize("call", ["DescribeInstances", "ListLicenseConversionTasks"])
def test_a_row_that_a_kill_has_left_down_is_down_where_the_credentials_expire_after_the_plan(
    job: Job, call: str
) -> None:
    """Whether its job has read the mark by then, or the plan alone has."""
    over: list[str] = []

    def expire(name: str, _: Any) -> None:
        if name == call and over:
            raise to_refusal("ExpiredTokenException", name)

    job.make_client = befall(expire)
    job.restart_process()
    fleet = Fleet(job, stop_and_restart=True)
    arn = fleet.add("web", launch(job, running=False))
    mark(job, arn)
    with job.session.operation(URN) as op:
        planned = plan_one(op, fleet)
        over.append(call)
        ended = run_row(op, planned)
    assert (ended.result.outcome, ended.is_down) == (Outcome.IN_PROGRESS, True)


def test_a_mark_is_removed_after_an_unanswered_call_where_the_instance_may_not_be_looked_at_any_more(job: Job) -> None:
    lost: list[str] = []

    def refuse(call: str, body: Any) -> None:
        if call == "DeleteTags" and "DryRun" not in body and len(lost) < 4:
            lost.append(call)
            raise ReadTimeoutError(endpoint_url="https://aws")
        if lost and call == "DescribeInstances":
            raise to_refusal("UnauthorizedOperation", call)

    fleet = Fleet(job, stop_and_restart=True)
    arn = fleet.add("web", launch(job))
    job.make_client = befall(refuse)
    job.restart_process()
    fleet.up()
    assert lost
    assert (job.state(arn), TAG in job.tags(arn)) == ("running", False)


def test_what_concerns_every_row_is_one_error(job: Job) -> None:
    """A profile that is not there for any row is no outcome of 400 rows; of some rows it is theirs."""
    fleet = Fleet(job)
    for n in range(3):
        fleet.add(f"r{n}", launch(job, running=False), profile="nowhere")
    with pytest.raises(LicenseConversionError, match="nowhere"):
        fleet.up()
    fleet.rows[0].pop("profile")
    assert fleet.up() == ""
    assert fleet.outcomes == {"r0": "SUCCEEDED", "r1": "REFUSED", "r2": "REFUSED"}


def test_a_fleet_can_not_be_read_by_its_id(job: Job) -> None:
    """It has no record in AWS."""
    fleet = Fleet(job)
    with job.session.operation(URN) as op, pytest.raises(SettingsError, match="can't be read by its id"):
        fleet.controller.read(op, "sql", None, fleet.controller.inputs.parse({}))


def count(job: Job) -> Counter[str]:
    """Return a counter of all calls from now on, by operation."""
    asked: Counter[str] = Counter()
    made = job.make_client

    def make_client(service: str, settings: Any) -> Any:
        client = made(service, settings)
        client.meta.events.register(
            "before-call", lambda model, **_: asked.update([model.name]), unique_id=str(id(asked))
        )
        return client

    job.make_client = make_client
    job.restart_process()
    return asked


def test_calls_of_many_rows_go_together(job: Job) -> None:
    """A plan of twenty rows takes the calls of one, but for the one that takes a single instance."""
    fleet = Fleet(job, stop_and_restart=True)
    for n in range(20):
        fleet.add(f"r{n}", launch(job))
    asked = count(job)
    assert fleet.preview().startswith("20 instances: 20 will be stopped and started")
    assert asked.pop("DescribeInstanceAttribute") == 20
    assert asked == dict.fromkeys(
        (
            "GetCallerIdentity",
            "DescribeInstances",
            "DescribeTags",
            "ListLicenseConversionTasks",
            "DescribeInstanceTypes",
            "DescribeAddresses",
            "DescribeInstanceInformation",
            "StopInstances",
            "StartInstances",
            "CreateTags",
            "DeleteTags",
        ),
        1,
    )


def test_one_that_an_earlier_up_has_stopped_is_not_begun_anew(job: Job) -> None:
    """So that it is no canary, though the plan could not see its mark."""
    fleet = Fleet(job, stop_and_restart=True)
    arn = fleet.add("web", launch(job, running=False))
    with job.session.operation(URN) as op:
        planned = plan_one(op, fleet)
        mark(job, arn)
        ended = run_row(op, planned)
    assert (ended.result.outcome, ended.is_begun, job.state(arn)) == (Outcome.SUCCEEDED, False, "running")


@pytest.mark.parametrize("was_marked", [False, True])
def test_one_that_waits_for_its_slot_is_let_go_when_no_more_are_begun(job: Job, was_marked: bool) -> None:
    """Its mark, which it was given early or has of an earlier `up`, is removed, and it runs as before."""
    fleet = Fleet(job, stop_and_restart=True)
    arn = fleet.add("web", launch(job))
    if was_marked:
        mark(job, arn)
    asked: list[str] = []

    def has_slot() -> bool:
        asked.append(arn)
        if len(asked) > 1 and TAG in job.tags(arn):
            raise NotBegunError(Subject("waiting"), "3 have failed")
        return False

    with job.session.operation(URN) as op:
        ended = run_row(op, plan_one(op, fleet), has_slot=has_slot)

    assert (ended.result.outcome, ended.result.reason) == (Outcome.NOT_BEGUN, "3 have failed")
    assert (ended.result.was_begun, ended.is_down) == (False, False)
    assert (job.state(arn), TAG in job.tags(arn)) == ("running", False)


def test_of_many_rows_stop_protection_is_left_to_ec2(job: Job) -> None:
    """The canaries are asked for it, and of the others it is their outcome, as in a plan; again, nothing is done."""
    answer = job.ec2.run_instances(ImageId="ami-12c6146b", MinCount=52, MaxCount=52, InstanceType="m5.large")
    ids = [each["InstanceId"] for each in answer["Instances"]]
    job.ec2.stop_instances(InstanceIds=ids[4:])
    fleet = Fleet(job, stop_and_restart=True, canaries=1, max_concurrent=4)
    for n, instance_id in enumerate(ids):
        job.backend.set_license(instance_id, BYOL if n < 4 else WINDOWS)
        fleet.add(f"r{n}", job.backend.make_arn(instance_id))
    for instance_id in (ids[0], ids[2]):
        job.ec2.modify_instance_attribute(InstanceId=instance_id, DisableApiStop={"Value": True})
    asked = count(job)

    assert fleet.up() == ""

    protected = [fleet.result(name) for name in ("r0", "r2")]
    assert {each.outcome for each in protected} == {Outcome.REFUSED}
    assert {(each.reason or "").partition(".")[0] for each in protected} == {"the instance has stop protection"}
    assert not any(each.was_begun for each in protected)
    assert [fleet.outcomes[name] for name in ("r1", "r3")] == ["SUCCEEDED"] * 2
    assert [TAG in job.tags(job.backend.make_arn(each)) for each in ids[:4]] == [False] * 4
    assert asked["DescribeInstanceAttribute"] == 3
    assert not fleet.diff().has_changes


def test_a_row_that_keeps_failing_is_left_alone(job: Job) -> None:
    """Its `retry_failed` starts one more with each `up`; after three within a day it says when the next one may be."""
    fleet = Fleet(job)
    fail(job, fleet.add("web", launch(job, running=False), retry_failed=True))
    assert [fleet.up() or fleet.outcomes["web"] for _ in range(4)] == ["FAILED"] * 3 + ["REFUSED"]
    assert (fleet.result("web").reason or "").endswith("run `pulumi up` again once the first of them is 24 hours old.")
    assert job.starts == 3
