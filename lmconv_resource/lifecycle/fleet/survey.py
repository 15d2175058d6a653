"""What is to be done with each row: read together, a connection at a time, before anything is begun."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from lmconv_resource.errors import CredentialsError, LicenseConversionError, SettingsError
from lmconv_resource.lifecycle.fleet.crew import Crew
from lmconv_resource.lifecycle.fleet.gather import Gathering, Learned
from lmconv_resource.lifecycle.fleet.row import Planned, RowJob, plan_row, refuse
from lmconv_resource.lifecycle.fleet.shared import Seen
from lmconv_resource.lifecycle.fleet.table import Row
from lmconv_resource.lifecycle.job import still_stopped_text
from lmconv_resource.lifecycle.operation import PLAN_SECONDS, Operation
from lmconv_resource.marks import has_mark, to_places
from lmconv_resource.models import to_id

if TYPE_CHECKING:
    from lmconv_resource.aws.client import Connection
    from lmconv_resource.aws.ec2 import Instance

log = logging.getLogger(__name__)

_AT_ONCE = 16
"""Connections that are surveyed at the same time: an account is asked some ten times for it, one after the other."""

_FEW_ROWS = 50
"""Rows of a fleet of which each is asked for its stop protection."""


def divide(
    op: Operation, rows: Iterable[Row]
) -> tuple[dict[Gathering, list[Row]], list[tuple[Row, LicenseConversionError]]]:
    """Return rows by how AWS is reached for them, and those for which it can't be, each with the reason."""
    groups: dict[Connection, list[Row]] = {}
    refused = []
    for row in rows:
        try:
            groups.setdefault(op.host.connect(row.conversion.region or "", row.conversion), []).append(row)
        except LicenseConversionError as error:
            log.info("AWS can't be reached for %s: %s", row.name, error)
            refused.append((row, error))
    learned, seconds = Learned(), PLAN_SECONDS if op.is_preview else float("inf")
    return {Gathering(each.until(op.cancellation, seconds), learned): those for each, those in groups.items()}, refused


def survey(op: Operation, rows: Sequence[Row], held_ids: Mapping[str, str], *, begins: bool = False) -> list[Planned]:
    """Return what is to be done with each row, in the table's order; the tasks that are recorded are given by ARN.

    Where the rows are begun now, it is not asked of many whether they have stop protection, which would take a call
    each: EC2 refuses the stop of those.

    Raises:
        SettingsError, CredentialsError: AWS can't be reached for any of the rows, for the same reason.
    """
    groups, refused = divide(op, rows)
    planned = [refuse(row, None, error) for row, error in refused]
    for gathering in groups:
        gathering.asks_protection = not begins or len(rows) <= _FEW_ROWS
    with op.host.runtime.pool(min(_AT_ONCE, len(groups) or 1), "lmconv-survey") as pool:
        found = [pool.submit(_survey_one, op, gathering, those, held_ids) for gathering, those in groups.items()]
        planned += [each for future in found for each in future.result()]
    errors = [each.error for each in planned if isinstance(each.error, (SettingsError, CredentialsError))]
    if errors and len(errors) == len(planned) and len({error.reason for error in errors}) == 1:
        raise errors[0]
    return sorted(planned, key=lambda each: each.row.number)


def _survey_one(op: Operation, gathering: Gathering, rows: Sequence[Row], held_ids: Mapping[str, str]) -> list[Planned]:
    gathering.survey(rows)
    return [plan_row(op, row, gathering, held_ids.get(row.arn)) for row in rows]


def look_at(op: Operation, groups: Mapping[Gathering, Sequence[Row]]) -> Iterator[tuple[Row, Seen[Instance], bool]]:
    """Yield the rows, each with what EC2 shows of its instance, and whether that has the fleet's mark."""
    for gathering, rows in groups.items():
        gathering.look([row.arn for row in rows])
        for row in rows:
            found = gathering.instances.find(to_id(row.arn))
            if found.error:
                log.info("%s is not checked: %s", row.name, found.error)
            tags = gathering.tags.find(to_places(found.answer)).answer or () if found.answer else ()
            yield row, found, found.answer is not None and has_mark(op.urn, found.answer, tags)


def find_marked(op: Operation, rows: Iterable[Row]) -> list[Row]:
    """Return the rows whose instance has the fleet's mark, as far as AWS can be asked."""
    return [row for row, _, is_marked in look_at(op, divide(op, rows)[0]) if is_marked]


def end_rows(op: Operation, rows: Sequence[Row], held_ids: Mapping[str, str | None]) -> list[Row]:
    """Bring to its end what is under way of rows that are forgotten or final: start an instance that has our mark.

    The tasks that are recorded are given by ARN. Where that fails, or a conversion continues, a warning names the
    instance, and the row is returned.
    """
    left: list[Row] = []
    groups, refused = divide(op, rows)

    def end(gathering: Gathering, those: Sequence[Row]) -> None:
        crew = Crew(gathering)
        for row, found, is_marked in look_at(op, {gathering: those}):
            if found.error:
                leave(row, found.error)
            elif is_marked:
                crew.add(RowJob(op, row, gathering, row.name, ends=True, held_id=held_ids.get(row.arn)))
        gathering.turn.is_planning = False
        for each in crew.run():
            if isinstance(each.end, LicenseConversionError):
                leave(each.row, each.end)
            elif isinstance(each.end, Exception):
                raise each.end

    def leave(row: Row, error: LicenseConversionError) -> None:
        left.append(row)
        op.log(f"{row.name}: {still_stopped_text(row.arn, error)}", "WARNING")

    for row, error in refused:
        leave(row, error)
    with op.host.runtime.pool(len(groups) or 1, "lmconv-end") as pool:
        for future in [pool.submit(end, gathering, those) for gathering, those in groups.items()]:
            future.result()
    return left
