"""What ids and feedback cost: CPU of one, and memory while a million come.

    python benchmarks/feedback.py [--ids 1000000]

It runs the engine's own code on one core, without sockets: signs ids, reads them, decodes lists of
1,000 as the face does, judges and credits them. Each piece is new; memory is told now and then.
"""

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from lab import METRICS, Lab, plan_of
from tiltyard_core.tokens import Signer, Token, key_of, read
from tiltyard_engine.faces.feedback import SLICE
from tiltyard_engine.feedback.taking import Feedback

LIST = 1000
SIGNED = 100_000
SPREAD = 0x9E3779B97F4A7C15


def tokens() -> tuple[float, float]:
    """CPU of signing and of reading an id, in microseconds."""
    signer = Signer(key_of("uid"))
    whole = Token(0, b"pipe", b"expe", 1, 1, 10**9, b"stra", 2**63, 7, 0.5)
    start = time.process_time()
    for number in range(SIGNED):
        text = signer.sign(whole._replace(number=number))
    signed = time.process_time()
    for _ in range(SIGNED):
        read(text, {b"pipe": [signer]})
    done = time.process_time()
    return (signed - start) / SIGNED * 1e6, (done - signed) / SIGNED * 1e6


def feedback(lab: Lab, ids: int) -> list[tuple[int, float, int]]:
    """Pieces so far, CPU of each of the last in microseconds, and the most memory up to there."""
    decoder = msgspec.json.Decoder(list[Feedback])
    rows: list[tuple[int, float, int]] = []
    spent, mark, since = 0.0, max(ids // 10, LIST), 0
    for first in range(0, ids, LIST):
        body = msgspec.json.encode([piece(lab, number) for number in range(first, first + LIST)])
        start = time.process_time()
        many = decoder.decode(body)
        refused = 0
        for at in range(0, LIST, SLICE):
            refused += sum(one is not None for one in lab.takers.take(many[at : at + SLICE]))
        spent += time.process_time() - start
        if refused > LIST // 100:
            raise AssertionError(f"{refused} of {LIST} new pieces were refused")
        since += LIST
        if since >= mark:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            rows.append((first + LIST, spent / since * 1e6, peak))
            spent, since = 0.0, 0
    return rows


def piece(lab: Lab, number: int) -> dict[str, object]:
    """Give feedback of a user, on an answer of its own."""
    draw = number * SPREAD % 2**64
    token = lab.token(draw, number, variant=number % 2)
    return {"inferenceId": token, "metric": "revenue", "value": number % 97 / 8}


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ids", type=int, default=1_000_000)
    ids = parser.parse_args().ids
    signed, checked = tokens()
    print(f"an id: {signed:.1f} us to sign, {checked:.1f} us to read")
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(Path(folder), plan_of(METRICS))
        print("| pieces so far | CPU of a piece | most memory |\n|---|---|---|")
        for count, cpu, peak in feedback(lab, ids):
            print(f"| {count} | {cpu:.1f} us | {peak // 1024} MiB |", flush=True)


if __name__ == "__main__":
    main()
