"""Routing tables as engines take them: read, and judged by what runs."""

from pathlib import Path
from typing import Final

from pydantic import ValidationError

from tiltyard_api.base import canonical
from tiltyard_api.plan import Plan
from tiltyard_api.routing import WRONG_HASH, RoutingTable
from tiltyard_core.tables import misfit

MAX_TABLE_BYTES: Final = 256 * 1024
"""A table of the largest Pipeline there may be takes less than a tenth of it."""


class RoutingRefused(Exception):  # noqa: N818 - the field's word
    """A routing table that does not fit what runs; `reason` is its metric label."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def parse_table(text: bytes) -> RoutingTable:
    """Read a table from its JSON.

    Raises:
        RoutingRefused: TooLarge, Malformed or WrongHash.

    """
    if len(text) > MAX_TABLE_BYTES:
        most = MAX_TABLE_BYTES >> 10
        raise RoutingRefused("TooLarge", f"it has {len(text)} bytes, a table has at most {most}Ki")
    try:
        table = RoutingTable.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        reason = "WrongHash" if first["type"] == WRONG_HASH else "Malformed"
        raise RoutingRefused(reason, f"it is damaged: {first['loc']}: {first['msg']}") from error
    if not table.hash:
        raise RoutingRefused("WrongHash", "it carries no hash: write it with one")
    return table


def read_table(path: Path) -> RoutingTable:
    """Read a table from its file.

    Raises:
        RoutingRefused: the file is missing or damaged; the message does not name it.

    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise RoutingRefused("Malformed", f"it cannot be read: {error.strerror}") from error
    return parse_table(text)


def write_table(path: Path, table: RoutingTable) -> None:
    """Write a table so that a reader sees the old one or the new one."""
    fresh = path.with_suffix(".new")
    fresh.write_bytes(canonical(table))
    fresh.replace(path)


def check_table(plan: Plan, in_force: RoutingTable, table: RoutingTable) -> None:
    """Judge whether a table may take the place of the one in force.

    Raises:
        RoutingRefused: it is not for this plan and Pipeline, is older, or names what is not there.

    """
    if table.plan != in_force.plan:
        raise RoutingRefused("OtherPlan", f"the table is for plan {table.plan[:10]}")
    if table.pipeline_uid != in_force.pipeline_uid:
        raise RoutingRefused("OtherPipeline", f"the table is for uid {table.pipeline_uid}")
    if table.revision <= in_force.revision and table.hash != in_force.hash:
        have = in_force.revision
        raise RoutingRefused("OlderRevision", f"revision {table.revision} is not above {have}")
    fault = misfit(plan, table)
    if fault:
        raise RoutingRefused("UnknownVariant", f"the table does not fit: {fault}")
