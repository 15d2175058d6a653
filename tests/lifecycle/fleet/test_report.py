"""What is said of a fleet: its plan, how far it is, and the report."""

from lmconv_resource.lifecycle.fleet.report import Action, FleetState, Outcome, PlanLine, Result, to_plan_text
from lmconv_resource.lifecycle.in_process import Progress
from lmconv_resource.polling.runtime import Runtime

BYOL, WINDOWS = "RunInstances:0800", "RunInstances:0002"
ARN = "arn:aws:ec2:eu-west-1:123456789012:instance/i-0"


def test_a_plan_has_a_line_for_each_row() -> None:
    """The counts come first, the rows in the table's order, and a reason is one line that can't act on a terminal."""
    text = to_plan_text(
        [
            PlanLine(10, "db", None, WINDOWS, Action.REFUSED, "can't: the instance is\nterminated\x1b"),
            PlanLine(
                2,
                "web-1",
                BYOL,
                WINDOWS,
                Action.RESTART,
                "runs: will be stopped and started",
                ("Its address changes.",),
            ),
            PlanLine(3, "row 3", None, None, Action.UNKNOWN, "not known yet"),
        ]
    )
    assert text.splitlines() == [
        "3 instances: 1 will be stopped and started, 1 can't, 1 not known yet",
        " 2  web-1  Windows BYOL → Windows  runs: will be stopped and started",
        " 3  row 3                          not known yet",
        "10  db     → Windows               can't: the instance is terminated\\x1b",
        "web-1: Its address changes.",
    ]
    assert to_plan_text([]) == "0 instances: nothing to do"


def to_state() -> FleetState:
    done = {"source_usage_operation": BYOL, "destination_usage_operation": WINDOWS, "instance_state": "running"}
    at = {"start_time": "2026-11-28T01:00:00.500Z", "end_time": "2026-11-28T01:12:10Z"}
    results = {
        "web-2": Result(2, ARN + "2", Outcome.FAILED, "the task FAILED: no | agent", "lct-2", **done, **at),
        "web_one-1": Result(1, ARN + "1", Outcome.SUCCEEDED, None, "lct-1", **done, **at),
        "old": Result(3, ARN + "3", Outcome.REFUSED, "the instance is terminated"),
        "late": Result(4, ARN + "4", Outcome.NOT_BEGUN, "1 has failed"),
        "done": Result(5, ARN + "5", Outcome.ALREADY_DONE, **done),
        "cut": Result(6, ARN + "6", Outcome.IN_PROGRESS, "cancelled", "lct-6", start_time=at["start_time"]),
    }
    return FleetState(results, {name: {"resource_arn": each.resource_arn} for name, each in results.items()})


def test_the_record_has_the_tables_order_and_can_be_read_again() -> None:
    """Lists of names by outcome, a report, and each row's result; nulls that a state loses are no change."""
    state = to_state()
    properties = state.to_outputs()
    assert list(properties["instances"]) == ["web_one-1", "web-2", "old", "late", "done", "cut"]  # type: ignore[call-overload]
    assert [properties[name] for name in ("succeeded", "failed", "not_begun")] == [
        ["web_one-1", "done"],
        ["web-2", "old"],
        ["late", "cut"],
    ]
    thinned = {
        name: {member: value for member, value in each.items() if value is not None}
        for name, each in properties["instances"].items()  # type: ignore[attr-defined]
    }
    assert FleetState.from_outputs({**properties, "instances": thinned}) == state


def test_the_report_says_what_became_of_each_and_what_to_do() -> None:
    """Markdown: a summary, a table, the reasons with the next step, and a bar for each that ran."""
    report = str(to_state().to_outputs()["report"])
    assert report.startswith(
        "# License conversions\n\n"
        "6 instances: 1 SUCCEEDED, 1 ALREADY_DONE, 1 FAILED, 1 REFUSED, 1 NOT_BEGUN, 1 IN_PROGRESS.\n\n"
        "| # | Instance | From | To | Outcome | Runs | Took |\n"
        "|--:|---|---|---|---|---|--:|\n"
        "| 1 | web_one-1 | Windows BYOL | Windows | SUCCEEDED | running | 12m09s |\n"
        "| 2 | web-2 | Windows BYOL | Windows | FAILED | running | 12m09s |\n"
        "| 3 | old |  |  | REFUSED |  |  |\n"
    )
    assert "## FAILED\n\nFix the cause, then set `retry_failed` on its row" in report
    assert "- **web-2**: the task FAILED: no | agent\n" in report
    assert "    web_one-1 :done, 2026-11-28T01:00:00, 2026-11-28T01:12:10\n" in report
    assert "    cut :active, 2026-11-28T01:00:00, 2026-11-28T01:00:00\n```\n" in report


def test_progress_shows_what_matters_first_and_not_each_moment() -> None:
    """At most a line a second where the display moves, one in 30 s where lines stay; short where it is narrow."""
    now = 0.0

    def show(moves: bool, columns: int | None = None) -> list[str]:
        nonlocal now
        now = 0.0
        lines: list[str] = []
        progress = Progress(
            12, lines.append, moves=moves, terminal_columns=lambda: columns, runtime=Runtime(now=lambda: now)
        )
        progress.end(done=True, failed=False)
        progress.end(done=False, failed=True)
        for now in (0.0, 0.5, 1.0, 29.0, 850.0):
            progress.report("web-3 stopping" if now else "", running=1)
        return lines

    assert show(True) == [
        "1 of 12 done, 1 failed, 1 running, 0:00:00",
        "1 of 12 done, 1 failed, 1 running, 0:00:01 · web-3 stopping",
        "1 of 12 done, 1 failed, 1 running, 0:00:29 · web-3 stopping",
        "1 of 12 done, 1 failed, 1 running, 0:14:10 · web-3 stopping",
    ]
    assert show(False) == ["1 of 12 done, 1 failed, 1 running, 0:14:10 · web-3 stopping"]
    assert show(True, 80)[0].startswith("1/12, 1 failed, 1 running")
