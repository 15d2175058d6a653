"""A whole fleet on moto's EC2 and the emulated License Manager: plan, order, outcomes, again, and what stays."""

import copy
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.aws import CREATE, LIST, MakeClient, shared_client
from support.hurry import HURRIED
from support.job import BYOL, TAG, WINDOWS, Job, befall, deny, mark, to_id, to_refusal
from support.lifecycle import OneResource, RecordingEngine
from support.waiting import wait_until

from lmconv_resource.emulator import ErrorAnswer, Fault
from lmconv_resource.errors import SettingsError
from lmconv_resource.lifecycle.fleet import FleetController
from lmconv_resource.lifecycle.fleet.crew import Crew
from lmconv_resource.lifecycle.fleet.report import Outcome, Result
from lmconv_resource.lifecycle.fleet.row import Ended, RowJob, to_ended
from lmconv_resource.lifecycle.fleet.schedule import Schedule
from lmconv_resource.lifecycle.fleet.survey import survey
from lmconv_resource.lifecycle.operation import UNKNOWN


class Fleet(OneResource):
    urn = "urn:pulumi:dev::fleet::pulumi-python:lmconv:ConversionFleet::sql"

    def __init__(self, job: Job, **inputs: Any) -> None:
        context = {"destination_license_context": {"usage_operation": WINDOWS}}
        super().__init__(FleetController(), {**context, **inputs}, job.open_session)
        self.job = job
        self.rows: list[dict[str, Any]] = []

    def _given(self) -> dict[str, Any]:
        return {"instances": copy.deepcopy(self.rows), **self.inputs}

    def add(self, name: str, arn: str, **more: Any) -> str:
        self.rows.append({"name": name, "resource_arn": arn, **more})
        return arn

    def result(self, name: str) -> Result:
        result: Result = self.state.results[name]
        return result

    @property
    def outcomes(self) -> dict[str, str]:
        return {name: each.outcome.value for name, each in self.state.results.items()}


def launch(job: Job, billed: str = BYOL, *, running: bool = True, type: str = "m5.large") -> str:
    return job.launch(billed, running=running, InstanceType=type)


def fail(job: Job, *arns: str) -> None:
    job.backend.failing = {to_id(arn): "The SSM Agent did not answer." for arn in arns}


def run_one(fleet: Fleet, meanwhile: Callable[[], object], *more: Any) -> Ended:
    """Plan a fleet's last row, which may be begun now, and then run it."""
    rows = fleet.controller.inputs.parse({**fleet.inputs, "instances": fleet.rows}).rows
    with fleet.job.open_session(RecordingEngine()).operation(fleet.urn) as op:
        (planned,) = survey(op, rows[-1:], {}, begins=True)
        job = planned.begin(op)
        job.gathering.expect(rows[-1].arn)
        meanwhile()
        crew = Crew(job.gathering, *more)
        crew.add(job)
        (row,) = crew.run()
        return to_ended(planned, row)


def count(job: Job) -> Counter[str]:
    """Return a counter of all calls from now on, by operation."""
    asked: Counter[str] = Counter()
    job.make_client = befall(lambda call, _: asked.update([call]))
    return asked


def deny_start(arn: str) -> MakeClient:
    """Return what makes clients that may not start one instance, which a DryRun does not show."""

    def refuse(call: str, body: Any) -> None:
        if call == "StartInstances" and "DryRun" not in body and to_id(arn) in body.values():
            raise to_refusal(call)

    return befall(refuse)


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


def test_a_fleet_with_a_row_of_each_kind(job: Job) -> None:
    """The plan has them all with their reasons, a row never stops another, and what was stopped runs again.

    A second `up` asks of the rows that were refused only; FAILED ones wait until their row says to try again.
    """
    fleet = Fleet(job, stop_and_restart=True, max_concurrent=2, fail_on_error=True)
    for n in range(1, 5):
        fleet.add(f"web-{n}", launch(job, running=n != 4))
    fail(job, fleet.rows[1]["resource_arn"])
    job.ec2.terminate_instances(InstanceIds=[to_id(fleet.add("old", launch(job)))])
    fleet.add("ubuntu", launch(job, "RunInstances:0g00"))
    fleet.add("done", launch(job, WINDOWS))
    guarded = to_id(fleet.add("sql", launch(job)))
    job.ec2.modify_instance_attribute(InstanceId=guarded, DisableApiStop={"Value": True})
    fleet.add("other", launch(job).replace(":123456789012:", ":210987654321:"))

    plan = fleet.preview().text.splitlines()
    assert plan[0] == "9 instances: 3 will be stopped and started, 1 stopped already, 1 done already, 4 can't"
    assert plan[1] == "1  web-1   Windows BYOL → Windows  runs: will be stopped and started"
    assert [line.split("→ Windows", 1)[1].strip()[:50] for line in plan[4:10]] == [
        "stopped",
        "can't: the instance is terminated. Check the ARN a",
        "can't: AWS's user guide lists no conversion from R",
        "done already",
        "can't: the instance has stop protection. Turn it o",
        "can't: the credentials belong to account 123456789",
    ]
    assert plan[10].startswith("web-1, web-2, web-3: the public address is not an Elastic IP address. ")
    assert (len(plan), job.starts) == (11, 0)

    outcome = fleet.up()
    assert outcome.why.startswith(
        "Converting the licenses of 9 instances: 3 SUCCEEDED, 1 ALREADY_DONE, 1 FAILED, 4 REFUSED; "
        "web-2 FAILED, The SSM Agent did not answer; old REFUSED, the instance is terminated; ubuntu"
    )
    assert fleet.outcomes == MIXED
    states = [job.state(row["resource_arn"]) for row in fleet.rows[:4]]
    assert states == ["running", "running", "running", "stopped"]
    assert not any(TAG in job.tags(row["resource_arn"]) for row in fleet.rows[:4])
    failed, converted = fleet.result("web-2"), fleet.result("web-1")
    assert (failed.reason, failed.instance_state) == ("The SSM Agent did not answer.", "running")
    assert (converted.verified_usage_operation, fleet.result("done").start_time) == (WINDOWS, None)
    said = {line.partition(" after")[0]: severity for severity, line in outcome.said}
    assert [said[f"web-{n}: {MIXED[f'web-{n}']}"] for n in range(1, 5)] == ["INFO", "WARNING", "INFO", "INFO"]
    assert len([line for _, line in outcome.said if line.partition(":")[0] in MIXED]) == len(MIXED)

    del fleet.inputs["fail_on_error"]
    fleet.up()
    assert fleet.preview().step == "same"
    job.ec2.modify_instance_attribute(InstanceId=guarded, DisableApiStop={"Value": False})
    job.backend.failing = {}
    preview = fleet.preview()
    assert preview.diff.changed == ("rows",)
    assert "web-2   Windows BYOL → Windows  FAILED before, and stays as it is" in preview.text
    assert "web-1   Windows → Windows       done already" in preview.text
    fleet.up()
    assert fleet.outcomes == {**MIXED, "sql": "SUCCEEDED"}
    fleet.rows[1]["retry_failed"] = True
    assert fleet.up().diff.changed == ('rows["web-2"]',)
    assert (fleet.outcomes, job.starts) == ({**MIXED, "sql": "SUCCEEDED", "web-2": "SUCCEEDED"}, 6)


def test_what_checks_warn_of_stands_once_for_all_rows(job: Job) -> None:
    """In the plan and in the `up` alike, and with each of them before the first row is begun."""
    fleet = Fleet(job, stop_and_restart=True)
    arns = [fleet.add(name, launch(job, type="m1.small")) for name in ("a", "b")]
    note = (
        "a, b: m1.small can have instance store volumes, which the stop erases, and EC2 does not show whether it has."
    )
    assert fleet.preview().text.count(note) == 1
    lines = fleet.up().text.splitlines()
    assert [line.partition(":")[0] for line in lines[:2]] == ["a, b", "a, b"]
    assert sum("instance store" in line for line in lines) == 1
    assert {job.state(arn) for arn in arns} == {"running"}


def test_of_what_is_not_known_the_preview_says_so(job: Job) -> None:
    assert Fleet(job, instances=UNKNOWN).preview().text.startswith("The table of instances is not known yet: ")
    job.config["aws:maxRetries"], fleet = "25", Fleet(job)
    job.backend.faults.add(Fault(ErrorAnswer("RateLimitExceededException", "Too many."), operation=LIST))
    fleet.add("web", launch(job))
    assert "→ Windows  not known yet: AWS throttles the calls (RateLimit" in fleet.preview().text
    assert job.backend.calls[LIST] <= 15  # for which ten seconds have room


def test_a_fleet_that_is_done_asks_nobody(job: Job) -> None:
    """Check and diff of a second `up` send nothing; refresh, and another name or order of rows, convert nothing."""
    fleet = Fleet(job, stop_and_restart=True)
    first, _ = fleet.add("a", launch(job)), fleet.add("b", launch(job, running=False))
    fleet.up()
    job.make_client = deny("DescribeInstances", "ListLicenseConversionTasks", "DescribeTags")
    assert fleet.preview().step == "same"
    fleet.rows = [{**fleet.rows[1]}, {"name": "web", "resource_arn": first}]
    assert fleet.up().diff.changed == ('rows["a"]', 'rows["web"]')
    assert fleet.outcomes == {"b": "SUCCEEDED", "web": "SUCCEEDED"}
    assert [fleet.result(name).number for name in ("b", "web")] == [1, 2]
    job.make_client = shared_client
    fleet.refresh()
    assert [fleet.result(name).instance_state for name in ("b", "web")] == ["stopped", "running"]
    assert job.starts == 2


def test_after_so_many_failures_no_more_are_begun(job: Job) -> None:
    """FAILED ones and those that AWS refuses count; what could not be begun does not."""
    fleet = Fleet(job, stop_after_failures=2, max_concurrent=1, stop_and_restart=True)
    arns = [fleet.add(f"r{n}", launch(job)) for n in range(4)]
    job.ec2.terminate_instances(InstanceIds=[to_id(arns[0])])
    fail(job, arns[2])
    refusal = ErrorAnswer("InvalidParameterValueException", "No such license.")
    job.backend.faults.add(Fault(refusal, operation=CREATE, calls=1))
    fleet.up()
    assert fleet.outcomes == {"r0": "REFUSED", "r1": "REFUSED", "r2": "FAILED", "r3": "NOT_BEGUN"}
    assert [fleet.result(f"r{n}").was_begun for n in (0, 1)] == [False, True]
    assert {job.state(arn) for arn in arns[1:]} == {"running"}


def test_one_that_does_not_run_again_fails_the_resource(job: Job) -> None:
    """Whatever fail_on_error says; the row goes on at the next `up`."""
    fleet = Fleet(job, stop_and_restart=True)
    down, _ = fleet.add("down", launch(job)), fleet.add("up", launch(job))
    job.make_client = deny_start(down)
    assert "not running as before: down" in fleet.up().why
    assert fleet.outcomes == {"down": "IN_PROGRESS", "up": "SUCCEEDED"}
    assert job.state(down) == "stopped"
    job.make_client = shared_client
    assert "1 to continue" in fleet.preview().text
    assert not fleet.up().why
    assert (fleet.outcomes["down"], job.state(down), job.starts) == ("SUCCEEDED", "running", 2)


def test_a_copied_mark_makes_no_row_one_that_ran(job: Job) -> None:
    """It came along with a copy of the tags: the row waits for its turn, and stays stopped."""
    fleet = Fleet(job, stop_and_restart=True)
    arn = fleet.add("copy", launch(job, running=False))
    mark(job, fleet.urn, arn, "i-0123456789abcdef0")
    assert fleet.preview().text.endswith("Windows BYOL → Windows  stopped")
    fleet.up()
    for leave in (fleet.refresh, fleet.destroy):
        assert "copy: " not in leave().text
        assert job.state(arn) == "stopped"


def test_one_that_was_last_seen_starting_fails_the_resource(job: Job) -> None:
    """The credentials expire between its start and its running: a green `up` would say that it runs."""
    started: list[str] = []

    def expire(call: str, body: Any) -> None:
        if len(started) > 1:
            raise to_refusal(call, "ExpiredTokenException")
        if call == "StartInstances" and "DryRun" not in body:
            started.append(call)

    def show_pending(call: str, answer: Any) -> None:
        if started and call == "DescribeInstances":
            answer["Reservations"][0]["Instances"][0]["State"]["Name"] = "pending"
            started.append("pending")

    job.make_client = befall(expire, show_pending)
    fleet = Fleet(job, stop_and_restart=True)
    fleet.add("web", launch(job))
    outcome = fleet.up()
    assert "not running as before: web" in outcome.why
    assert any(line.startswith("web: IN_PROGRESS after") for line in outcome.lines("WARNING"))


def test_what_a_cancel_interrupts_is_recorded_and_goes_on(job: Job) -> None:
    """Rows under way are IN_PROGRESS with their task, the others NOT_BEGUN; the next `up` converts each once.

    A destroy in between does not wait for the conversions: it names the instances that stay stopped.
    """
    fleet = Fleet(job, max_concurrent=2, canaries=2, stop_and_restart=True)
    arns = [fleet.add(f"r{n}", launch(job)) for n in range(4)]
    job.backend.conversion_status = "IN_PROGRESS"

    def cancel() -> None:
        wait_until(lambda: len(job.backend.tasks) == 2)
        fleet.session.cancellation.set("the update was cancelled")

    thread = threading.Thread(target=cancel)
    thread.start()
    outcome = fleet.up()
    thread.join()
    assert outcome.why.startswith("Converting the licenses of 4 instances: the update was cancelled; 2 NOT_BEGUN, 2 ")
    assert list(fleet.outcomes.values()) == ["IN_PROGRESS"] * 2 + ["NOT_BEGUN"] * 2
    assert fleet.result("r0").license_conversion_task_id in job.backend.tasks
    assert (fleet.result("r0").reason or "").startswith("the update was cancelled")
    assert (outcome.why.count("start-instances"), outcome.text.count("start-instances")) == (1, 2)
    assert outcome.lines("WARNING")[-1] == "2 not begun: the update was cancelled."
    recorded = fleet.id, fleet.outputs
    warnings = fleet.destroy().text
    stopped = [arn for arn in arns if job.state(arn) == "stopped"]
    assert [f"aws ec2 start-instances --instance-ids {to_id(arn)}" in warnings for arn in stopped] == [True, True]
    fleet.id, fleet.outputs = recorded
    for task_id in list(job.backend.tasks):
        job.backend.finish_task(task_id)
    job.backend.conversion_status = "SUCCEEDED"
    assert not fleet.up().why
    assert set(fleet.outcomes.values()) == {"SUCCEEDED"}
    assert ({job.state(arn) for arn in arns}, job.starts) == ({"running"}, 4)


def test_rows_that_leave_are_forgotten_and_what_is_down_is_started(job: Job) -> None:
    """A row whose instance still has our mark is brought to its end first; a destroy does the same.

    What is recorded of it does not matter: an `up` that was killed may have begun it once more.
    """
    fleet = Fleet(job, stop_and_restart=True)
    arns = [fleet.add(f"r{n}", launch(job)) for n in range(3)]
    job.make_client = deny_start(arns[0])
    fleet.up()
    job.make_client = shared_client
    del fleet.rows[0]
    fleet.up()
    assert (fleet.outcomes, job.state(arns[0])) == ({"r1": "SUCCEEDED", "r2": "SUCCEEDED"}, "running")
    for leave in (fleet.up, fleet.destroy):
        down = fleet.rows.pop(0)["resource_arn"]
        job.ec2.stop_instances(InstanceIds=[mark(job, fleet.urn, down)])
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
    assert fleet.preview().step == "same"
    assert asked == {"DescribeInstances": 1, "DescribeTags": 1}
    job.ec2.stop_instances(InstanceIds=[mark(job, fleet.urn, arn)])
    plan = fleet.preview().text
    assert "web   Windows BYOL → Windows  FAILED before, and is still marked: will be started again" in plan

    outcome = fleet.up()

    assert not outcome.why
    assert (job.state(arn), TAG in job.tags(arn), job.starts) == ("running", False, 1)
    assert fleet.result("web") == recorded
    assert outcome.lines("INFO")[-1] == "web: its instance runs again, and it stays FAILED"
    assert fleet.preview().step == "same"


def test_a_refresh_finds_what_a_kill_has_left_down_of_a_row_that_is_done(job: Job) -> None:
    """The destination was changed, the `up` killed, and the change taken back: no `up` by itself asks AWS."""
    fleet = Fleet(job, stop_and_restart=True)
    arn = fleet.add("web", launch(job))
    fleet.up()
    job.ec2.stop_instances(InstanceIds=[mark(job, fleet.urn, arn)])
    (line,) = [line for line in fleet.refresh().lines("WARNING") if line.startswith("web: ")]
    assert "`pulumi up` continues" in line
    assert fleet.outcomes == {"web": "IN_PROGRESS"}
    assert not fleet.up().why
    assert (fleet.outcomes, job.state(arn), job.tags(arn)) == ({"web": "SUCCEEDED"}, "running", {})


@pytest.mark.parametrize("call", ["DescribeInstances", "ListLicenseConversionTasks"])
def test_a_row_that_a_kill_has_left_down_fails_the_fleet_where_it_can_not_be_looked_at(job: Job, call: str) -> None:
    """Its mark is known by the tags, or by the plan alone where the credentials expire after it."""
    fleet, over = Fleet(job, stop_and_restart=True), list[str]()
    id = mark(job, fleet.urn, fleet.add("web", launch(job, running=False)))

    def expire(name: str, _: Any) -> None:
        if name in (call, CREATE) and over:
            raise to_refusal(name, "ExpiredTokenException")

    def begin_to_expire() -> None:
        HURRIED.sleep(5.0)  # what the plan has read is too old by then
        over.append(call)

    job.make_client = befall(expire)
    ended = run_one(fleet, begin_to_expire)
    assert (ended.result.outcome, ended.is_down) == (Outcome.IN_PROGRESS, True)
    job.make_client = deny(call)
    assert f"start-instances --instance-ids {id}" in fleet.up().why
    assert fleet.outcomes == {"web": "IN_PROGRESS"}


def test_what_concerns_every_row_is_one_error(job: Job) -> None:
    """A profile that is not there for any row is no outcome of 400 rows; of some rows it is theirs."""
    fleet = Fleet(job)
    for n in range(2):
        fleet.add(f"r{n}", launch(job, running=False), profile="nowhere")
    assert "nowhere" in fleet.up().why
    fleet.rows[0].pop("profile")
    assert not fleet.up().why
    assert fleet.outcomes == {"r0": "SUCCEEDED", "r1": "REFUSED"}


def test_a_fleet_can_not_be_read_by_its_id(job: Job) -> None:
    """It has no record in AWS."""
    with pytest.raises(SettingsError, match="can't be read by its id"):
        Fleet(job).get("sql")


def test_calls_of_many_rows_go_together(job: Job) -> None:
    """A plan of twenty rows takes the calls of one, but for the one that takes a single instance."""
    fleet = Fleet(job, stop_and_restart=True)
    for n in range(20):
        fleet.add(f"r{n}", launch(job))
    asked = count(job)
    assert fleet.preview().text.startswith("20 instances: 20 will be stopped and started")
    assert asked.pop("DescribeInstanceAttribute") == 20
    described = {
        f"Describe{what}" for what in ("Instances", "Tags", "InstanceTypes", "Addresses", "InstanceInformation")
    }
    tried = {"StopInstances", "StartInstances", "CreateTags", "DeleteTags"}
    assert asked == dict.fromkeys({"GetCallerIdentity", "ListLicenseConversionTasks", *described, *tried}, 1)


def test_one_that_an_earlier_up_has_stopped_is_not_begun_anew(job: Job) -> None:
    """So that it is no canary, though the plan could not see its mark."""
    fleet = Fleet(job, stop_and_restart=True)
    arn = fleet.add("web", launch(job, running=False))
    ended = run_one(fleet, lambda: mark(job, fleet.urn, arn))
    assert (ended.result.outcome, ended.is_begun, job.state(arn)) == (Outcome.SUCCEEDED, False, "running")


@pytest.mark.parametrize("was_marked", [False, True])
def test_one_that_waits_for_its_slot_is_let_go_when_no_more_are_begun(job: Job, was_marked: bool) -> None:
    """Its mark, which it was given early or has of an earlier `up`, is removed, and it runs as before."""
    fleet = Fleet(job, stop_and_restart=True, max_concurrent=1)
    _, arn = fleet.add("before", launch(job)), fleet.add("web", launch(job))
    if was_marked:
        mark(job, fleet.urn, arn)
    inputs = fleet.controller.inputs.parse({**fleet.inputs, "instances": fleet.rows})
    schedule, told = Schedule([], inputs.rows, inputs), list[str]()
    schedule.leave_slot(*schedule.next_rows(0.0))
    assert [row.name for row in schedule.next_rows(0.0)] == ["web"]

    def tell(_: RowJob, word: str) -> None:
        told.append(word)
        schedule.stop("3 have failed")

    ended = run_one(fleet, lambda: schedule.stop("3 have failed") if was_marked else None, schedule, tell)

    assert told == [*([] if was_marked else ["marking"]), "running"]
    assert (ended.result.outcome, ended.result.reason) == (Outcome.NOT_BEGUN, "3 have failed")
    assert (ended.result.was_begun, ended.is_down) == (False, False)
    assert (job.state(arn), TAG in job.tags(arn)) == ("running", False)


def test_rows_of_an_account_share_its_slots_whatever_their_credentials(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is marked early is stopped as soon as the row of another profile runs again."""
    keys = "[profile other]\naws_access_key_id = testing\naws_secret_access_key = testing\n"
    (tmp_path / "config").write_text(keys, encoding="utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    fleet, acts = Fleet(job, stop_and_restart=True, max_concurrent=1), ("CreateTags", "StopInstances", "StartInstances")
    for name, more in (("a", {"profile": "other"}), ("b", {})):
        fleet.add(name, launch(job), **more)
    sent, shown = list[str](), list[str]()

    def show_pending(call: str, answer: Any) -> None:
        if call == "DescribeInstances" and sent[2:] and len(shown) < 3:
            shown.append(answer["Reservations"][0]["Instances"][0]["State"].update(Name="pending"))

    job.make_client = befall(
        lambda call, body: sent.extend({call}.intersection(acts) if "DryRun" not in str(body) else ()), show_pending
    )
    assert not fleet.up().why
    assert sent == [*acts, *acts]


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

    assert not fleet.up().why

    protected = [fleet.result(name) for name in ("r0", "r2")]
    assert [each.outcome for each in protected] == [Outcome.REFUSED] * 2
    assert {(each.reason or "").partition(".")[0] for each in protected} == {"the instance has stop protection"}
    assert not any(each.was_begun for each in protected)
    assert [fleet.outcomes[name] for name in ("r1", "r3")] == ["SUCCEEDED"] * 2
    assert [TAG in job.tags(job.backend.make_arn(each)) for each in ids[:4]] == [False] * 4
    assert asked["DescribeInstanceAttribute"] == 3
    assert fleet.preview().step == "same"


def test_a_row_that_keeps_failing_is_left_alone(job: Job) -> None:
    """Its `retry_failed` starts one more with each `up`; after three within a day it says when the next one may be."""
    fleet = Fleet(job)
    fail(job, fleet.add("web", launch(job, running=False), retry_failed=True))
    assert [fleet.up().why or fleet.outcomes["web"] for _ in range(4)] == ["FAILED"] * 3 + ["REFUSED"]
    assert (fleet.result("web").reason or "").endswith("run `pulumi up` again once the first of them is 24 hours old.")
    assert job.starts == 3
