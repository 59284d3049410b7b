"""`tiltyard infer`: records in, answers out."""

import json
import sys
from pathlib import Path
from urllib.parse import quote

from tiltyard.failure import Failure
from tiltyard.notices import document, result
from tiltyard.transport import Transport, refusal

STDIN = "-"
OK = 200


def infer(pipeline: str, data: str, url: str, output: str) -> None:
    """Send records to a Pipeline and show the answer.

    Args:
        pipeline: its name.
        data: a file of records, or `-` for standard input.
        url: where it is served.
        output: `json` as it came, `yaml`, or `table` with what came out and who served it.

    Raises:
        Failure: no records, no engine, or a refusal.

    """
    body = as_records(_read(data), data)
    with Transport(url) as engine:
        answer = engine.post_json(f"/pipelines/{quote(pipeline, safe='')}", body)
    if answer.status != OK:
        raise refusal(answer)
    if output == "json":
        result(answer.body.decode())
    elif output == "yaml":
        document(answer.json(), output)
    else:
        from tiltyard.tables import answer_table, show  # noqa: PLC0415 - costs more than the request

        show(answer_table(answer.json()))


def as_records(body: bytes, source: str) -> bytes:
    """Records as the engine takes them: a single one becomes a list; no number is written anew.

    Raises:
        Failure: it is not JSON, or neither a list nor an object.

    """
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Failure(f"{source}: not JSON: {error}: give a list of records") from error
    if isinstance(parsed, dict):
        return b"[" + body + b"]"
    if not isinstance(parsed, list):
        raise Failure(f"{source}: must be a list of records, or one record as an object")
    return body


def _read(data: str) -> bytes:
    if data == STDIN:
        return sys.stdin.buffer.read()
    try:
        return Path(data).read_bytes()
    except OSError as error:
        raise Failure(f"{data}: cannot be read: {error.strerror}") from error
