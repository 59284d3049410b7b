"""Write a picture as the body of a request: `python examples/labels/body.py PICTURE BODY`.

The ending of the body's name says its form: `.json` for records, `.arrow` for an Arrow file, `.bin`
for a binary tensor of the Open Inference Protocol, whose header takes so many bytes as is printed.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Tensor = np.ndarray[Any, Any]


def tensor(picture: Path) -> Tensor:
    """Red, green and blue of each pixel, 0 to 255, as the detectors take them."""
    pixels = np.asarray(Image.open(picture).convert("RGB"), np.float32)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def records(picture: Path) -> bytes:
    """One row of records."""
    row = {"tensor": tensor(picture).astype(int).tolist()}
    return json.dumps([row], separators=(",", ":")).encode()


def arrow(picture: Path) -> bytes:
    """One row of a table; the type of the column tells the shape."""
    import pyarrow as pa  # noqa: PLC0415 - who sends JSON need not have it

    column = pa.FixedShapeTensorArray.from_numpy_ndarray(np.stack([tensor(picture)]))
    table = pa.table({"tensor": column})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def binary(picture: Path) -> tuple[bytes, int]:
    """A tensor of the Open Inference Protocol, and how many bytes its header takes."""
    values = tensor(picture)[None]
    size = {"binary_data_size": values.nbytes}
    said = {"name": "tensor", "shape": values.shape, "datatype": "FP32", "parameters": size}
    header = json.dumps({"inputs": [said]}).encode()
    return header + values.tobytes(), len(header)


def main(picture: str, body: str) -> None:
    """Write the body."""
    target = Path(body)
    match target.suffix:
        case ".json":
            target.write_bytes(records(Path(picture)))
        case ".arrow":
            target.write_bytes(arrow(Path(picture)))
        case ".bin":
            content, header = binary(Path(picture))
            target.write_bytes(content)
            print(f"Inference-Header-Content-Length: {header}")
        case other:
            sys.exit(f"{other!r} is no form of a body: write .json, .arrow or .bin")


if __name__ == "__main__":
    main(*sys.argv[1:])
