"""The stop before a conversion and the start after it, so that no killed `up` leaves an instance stopped and forgotten.

Before an instance is stopped it gets a tag, and loses it when it runs again. Whoever goes on next, another `up` or
another machine, sees the tag on the instance and brings the round to its end:

| step                      | killed after it, the next one finds      | and                              |
|---------------------------|------------------------------------------|----------------------------------|
| mark the instance         | it running, with the tag                 | stops it                         |
| stop it, wait for that    | it stopping or stopped, with the tag     | waits, starts the conversion     |
| start the conversion      | the task in progress                     | adopts it and waits              |
| wait for its end          | the task ended, it stopped, with the tag | adopts the task, starts it       |
| start it, wait for that   | it running, with the tag                 | removes the tag                  |
| remove the mark           | the task ended, it running               | adopts the task                  |

While a conversion may be in progress nothing is started, and after a ^C or a deadline nothing is begun at all.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from lmconv_resource.aws.ec2 import START_ACTION, STOP_ACTION, Instance, to_instance_id
from lmconv_resource.errors import (
    CancelledError,
    ConversionFailedError,
    LicenseConversionError,
    SettingsError,
    Subject,
    WaitError,
)
from lmconv_resource.lifecycle.operation import Aws, Operation
from lmconv_resource.lifecycle.stoppable import check_source, check_stoppable, warn_of_changes
from lmconv_resource.models import ConversionRequest, TaskStatus, select_newest
from lmconv_resource.text import to_duration_text

RESTART_TAG = "lmconv:restart"
"""On an instance that was stopped for a conversion and is to be started again: the resource's URN."""

log = logging.getLogger(__name__)


@dataclass
class Restart:
    """The stop and the start around one conversion.

    Args:
        op: the operation.
        aws: where the instance is.
        resource_arn: the instance.
        is_wanted: whether the program asks for the stop.
        force_after_seconds: when a stop that is under way becomes one by force; None for never.
    """

    op: Operation
    aws: Aws
    resource_arn: str
    is_wanted: bool
    force_after_seconds: float | None = None
    is_marked: bool = False
    """Whether the instance is known to carry the mark."""
    instance: Instance | None = None
    """The instance as it was seen last."""

    def stop(self, request: ConversionRequest, instance: Instance | None) -> None:
        """Stop the instance for its conversion, once it is marked; one that is stopped already is left as it is.

        Args:
            request: the conversion.
            instance: the instance as EC2 shows it.

        Raises:
            LicenseConversionError: it can't or may not be stopped and started again, in which case nothing was done,
                or it did not stop.
        """
        if not self.is_wanted or (instance is None and (instance := self._look()) is None):
            return
        self._see(instance)
        if instance.state == "stopped":
            return
        if instance.state != "stopping":
            check_source(self.aws, request, instance)
            self._stop_running(instance)
        self._await("stopped", STOP_ACTION, on_pause=self._make_forcing())

    def _stop_running(self, instance: Instance) -> None:
        ec2, arn = self.aws.ec2, self.resource_arn
        check_stoppable(self.aws, arn, instance)
        ec2.check_may_start(arn)
        warn_of_changes(self.op, self.aws, arn, instance)
        self._check_not_cancelled(STOP_ACTION)
        if not self.is_marked:
            ec2.set_tag(arn, RESTART_TAG, self.op.urn or "unknown")  # without the right to this, nothing is stopped
            self.is_marked = True
        if instance.state == "pending":
            self._await("running", START_ACTION)
        self._check_not_cancelled(STOP_ACTION)
        self.op.log_status(f"stopping {instance.instance_id}")
        ec2.stop(arn)
        self._pause_as("stopping")

    def _make_forcing(self) -> Callable[[float], None]:
        """Return what stops the instance by force when its time has come, once."""
        limits = [] if self.force_after_seconds is None or not self.is_marked else [self.force_after_seconds]

        def force(waited_seconds: float) -> None:
            if limits and waited_seconds >= limits[0]:
                waited = to_duration_text(limits.pop())
                self.op.log(f"The instance has not stopped within {waited} and is stopped by force.", "WARNING")
                self.aws.ec2.stop(self.resource_arn, force=True)

        return force

    def finish(self, instance: Instance | None = None) -> None:
        """Start the instance again if it is marked, and remove the mark. Nothing is done to any other instance.

        Args:
            instance: the instance, where it was just seen.

        Raises:
            LicenseConversionError: it did not start; it stays marked.
        """
        try:
            if instance is None and (self.is_wanted or self.is_marked):
                instance = self._look()
            if instance is None:
                return
            self._see(instance)
            if not self.is_marked or instance.state in ("terminated", "shutting-down"):
                return
            self._start(instance)
            self.aws.ec2.delete_tag(self.resource_arn, RESTART_TAG)
        except LicenseConversionError as error:
            raise self._noted(error) from error.__cause__
        self.is_marked = False

    def _start(self, instance: Instance) -> None:
        self._check_not_cancelled(START_ACTION)
        if instance.state == "stopping":
            instance = self._await("stopped", STOP_ACTION)
        if instance.state == "stopped":
            self._check_not_cancelled(START_ACTION)
            self.op.log_status(f"starting {instance.instance_id} again")
            self.aws.ec2.start(self.resource_arn)
            self._pause_as("pending")
        if instance.state != "running":
            self._await("running", START_ACTION)
            self.op.log_status(f"{instance.instance_id} runs again")

    def after_failure(self, error: LicenseConversionError) -> LicenseConversionError:
        """Start the instance again after a failure, unless its conversion may be in progress; return what to raise."""
        is_untouched = self.instance is not None and not self.is_marked
        if is_untouched or not (self.is_wanted or self.is_marked):
            return error
        if self.instance is None and isinstance(error, SettingsError):  # with these credentials nobody is to be asked
            return error
        if self.op.cancellation.is_set or not self._has_ended(error):
            return self._noted(error)
        try:
            self.finish()
        except LicenseConversionError as failure:
            if failure is not error:
                self.op.log(str(failure), "ERROR")
        return error

    def _has_ended(self, error: LicenseConversionError) -> bool:
        """Return whether no conversion is in progress, as far as can be told."""
        if isinstance(error, ConversionFailedError):
            return True
        if isinstance(error, WaitError):
            return False
        try:
            newest = select_newest(self.aws.license_manager.list_tasks(resource_arn=self.resource_arn))
        except LicenseConversionError as unknown:
            log.info("whether a conversion is in progress is not known: %s", unknown)
            return False
        return newest is None or newest.status is not TaskStatus.IN_PROGRESS

    def _noted(self, error: LicenseConversionError) -> LicenseConversionError:
        """Return an error that also says how the instance is, as it was seen last; asks nobody."""
        if not self.is_marked or self.instance is None:
            return error
        return error.adding(
            f"{self.instance.instance_id} was last seen {self.instance.state} and has the tag {RESTART_TAG}: the next "
            "`pulumi up` goes on and starts it again at the end"
        )

    # -- steps ---------------------------------------------------------------------------------------------------------

    def _look(self) -> Instance | None:
        instance = self.aws.ec2.get_instance(self.resource_arn)
        if instance is not None:
            self._see(instance)
        return instance

    def _see(self, instance: Instance) -> None:
        self.instance = instance
        # Once known it stays: EC2 may take a moment to show a tag that was just set.
        self.is_marked = self.is_marked or RESTART_TAG in instance.tags

    def _pause_as(self, state: str) -> None:
        """Note what the instance has become by our call, and give EC2 a moment before it is asked."""
        if self.instance is not None:
            self.instance = replace(self.instance, state=state)
        self.op.cancellation.wait(self.op.host.start_policy.instance_poll_seconds)

    def _check_not_cancelled(self, action: str) -> None:
        if self.op.cancellation.is_set:
            raise self._cancelled(action)

    def _cancelled(self, action: str) -> CancelledError:
        subject = Subject(action, None, self.aws.region, self.resource_arn)
        state = self.instance.state if self.instance else "unknown"
        why = self.op.cancellation.reason or "its time was over"
        return CancelledError(subject, f"{why} while the instance was {state}")

    def _await(self, state: str, action: str, on_pause: Callable[[float], None] = lambda _: None) -> Instance:
        """Return the instance once it is in this state.

        Raises:
            LicenseConversionError: cancelled, too late, or it goes elsewhere.
        """
        policy, now = self.op.host.start_policy, self.op.host.runtime.now
        began = now()
        pause, was_pending = policy.instance_poll_seconds, False
        while True:
            instance = self._look()
            if instance is None or instance.state in ("terminated", "shutting-down"):
                raise self._gone(action, "EC2 does not show the instance any more, or as terminated")
            if instance.state == state:
                return instance
            was_pending = was_pending or instance.state == "pending"
            if was_pending and instance.state == "stopped":
                reason = (instance.answer.get("StateReason") or {}).get("Message") or "EC2 gives no reason"
                raise self._gone(action, f"the instance has stopped again: {reason}")
            waited = now() - began
            if self.op.cancellation.is_set:
                raise self._cancelled(action)
            self.op.log_status(f"{instance.instance_id} {instance.state} for {to_duration_text(waited)}")
            on_pause(waited)
            self.op.cancellation.wait(pause)
            pause = min(policy.longest_instance_poll_seconds, pause * 2)

    def _gone(self, action: str, reason: str) -> LicenseConversionError:
        subject = Subject(action, None, self.aws.region, self.resource_arn)
        return LicenseConversionError(subject, reason, "Look at the instance in the EC2 console, then run `pulumi up`")


def is_marked(op: Operation, aws: Aws, resource_arn: str) -> bool:
    """Return whether an instance is still to be started again, so that the next update does it."""
    try:
        marked = op.host.fleet.find_marked(
            aws.connection, lambda: [instance.instance_id for instance in aws.ec2.list_tagged(RESTART_TAG)]
        )
    except LicenseConversionError as error:
        op.log(f"Whether the instance is to be started again is not known. {error}", "WARNING")
        return False
    return to_instance_id(resource_arn) in marked
