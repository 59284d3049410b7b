"""Sends Arrow files and streams; prints the scores by the way they came."""

import io
import json
import sys
from urllib.request import Request, urlopen

import pyarrow as pa

asked = json.load(sys.stdin)
FILE = "application/vnd.apache.arrow.file"
STREAM = "application/vnd.apache.arrow.stream"
URL = f"{asked['url']}/pipelines/{asked['pipeline']}"
OUTPUT = asked["output"]


def packed(table: pa.Table, kind: str) -> bytes:
    sink = io.BytesIO()
    opened = pa.ipc.new_file if kind == FILE else pa.ipc.new_stream
    with opened(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def unpacked(body: bytes, kind: str) -> pa.Table:
    opened = pa.ipc.open_file if kind == FILE else pa.ipc.open_stream
    return opened(body).read_all()


def ask(body: bytes, sent: str, wanted: str, query: str = "") -> bytes:
    headers = {"Content-Type": sent, "Accept": wanted}
    with urlopen(Request(URL + query, body, headers), timeout=20) as answer:
        assert answer.headers["Content-Type"].startswith(wanted)
        return answer.read()


def flat(values: list) -> list[float]:
    return [value[0] if isinstance(value, list) else value for value in values]


columns = list(zip(*asked["rows"], strict=True))
arrays = [pa.array(column, pa.float32()) for column in columns]
table = pa.table(arrays, names=asked["columns"])
wide = pa.table([array.cast(pa.float64()) for array in arrays], names=asked["columns"])

nested = unpacked(ask(packed(table, FILE), FILE, FILE), FILE)
nested.validate(full=True)
flattened = unpacked(ask(packed(table, FILE), FILE, FILE, "?dataset.separator=."), FILE)
streamed = unpacked(ask(packed(table, STREAM), STREAM, STREAM), STREAM)
as_json = json.loads(ask(packed(table, FILE), FILE, "application/json"))
from_json = unpacked(ask(json.dumps(table.to_pylist()).encode(), "application/json", FILE), FILE)
doubles = unpacked(ask(packed(wide, FILE), FILE, FILE), FILE)
batches = pa.concat_tables([table.slice(0, 1), table.slice(1)])
in_two = unpacked(ask(packed(batches, FILE), FILE, FILE), FILE)


def scores(answer: pa.Table) -> list[float]:
    return flat([row[OUTPUT] for row in answer.column("out").to_pylist()])


found = {
    "nested": scores(nested),
    "flattened": flat(flattened.column(f"out.{OUTPUT}").to_pylist()),
    "stream": scores(streamed),
    "out as JSON": flat([row["out"][OUTPUT] for row in as_json]),
    "in as JSON": scores(from_json),
    "doubles": scores(doubles),
    "two batches": scores(in_two),
}
json.dump(found, sys.stdout)
