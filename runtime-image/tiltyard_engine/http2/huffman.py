"""The Huffman code of header compression (RFC 7541, 5.2 and appendix B)."""

from functools import cache
from typing import Final

_END: Final = 256
_LENGTHS: Final = {
    # Symbols by the bits of their codes. The code is canonical: codes follow from the lengths.
    5: (*range(48, 51), 97, 99, 101, 105, 111, 115, 116),
    6: (
        32,
        37,
        *range(45, 48),
        *range(51, 58),
        61,
        65,
        95,
        98,
        100,
        *range(102, 105),
        *range(108, 111),
        112,
        114,
        117,
    ),
    7: (58, *range(66, 88), 89, 106, 107, 113, *range(118, 123)),
    8: (38, 42, 44, 59, 88, 90),
    10: (33, 34, 40, 41, 63),
    11: (39, 43, 124),
    12: (35, 62),
    13: (0, 36, 64, 91, 93, 126),
    14: (94, 125),
    15: (60, 96, 123),
    19: (92, 195, 208),
    20: (128, 130, 131, 162, 184, 194, 224, 226),
    21: (153, 161, 167, 172, 176, 177, 179, 209, 216, 217, 227, 229, 230),
    22: (
        129,
        *range(132, 135),
        136,
        146,
        154,
        156,
        160,
        163,
        164,
        169,
        170,
        173,
        178,
        181,
        *range(185, 188),
        189,
        190,
        196,
        198,
        228,
        232,
        233,
    ),
    23: (
        1,
        135,
        *range(137, 142),
        143,
        147,
        *range(149, 153),
        155,
        157,
        158,
        165,
        166,
        168,
        174,
        175,
        180,
        182,
        183,
        188,
        191,
        197,
        231,
        239,
    ),
    24: (9, 142, 144, 145, 148, 159, 171, 206, 215, 225, 236, 237),
    25: (199, 207, 234, 235),
    26: (192, 193, *range(200, 203), 205, 210, 213, 218, 219, 238, 240, 242, 243, 255),
    27: (203, 204, 211, 212, 214, *range(221, 224), 241, *range(244, 249), *range(250, 255)),
    28: (*range(2, 9), 11, 12, *range(14, 22), *range(23, 32), 127, 220, 249),
    30: (10, 13, 22, _END),
}

_Step = tuple[int, int]
"""The node after four bits, and the symbol that ended in them; -1 for none, -2 for a fault."""

_NONE: Final = -1
_FAULT: Final = -2
_MAX_PADDING: Final = 7


def decode(data: bytes) -> bytes | None:
    """Give back the text; None where it is none."""
    steps, endings = _machine()
    out = bytearray()
    node = 0
    for byte in data:
        for half in (byte >> 4, byte & 15):
            node, symbol = steps[node][half]
            if symbol >= 0:
                out.append(symbol)
            elif symbol == _FAULT:
                return None
    return bytes(out) if node in endings else None


@cache
def _machine() -> tuple[list[list[_Step]], frozenset[int]]:
    """Steps by node and four bits, and the nodes at which a text may end; made when needed."""
    leaves = _leaves()
    inner = {""}
    for code in leaves:
        inner |= {code[:size] for size in range(len(code))}
    nodes = {prefix: number for number, prefix in enumerate(sorted(inner, key=len))}
    steps = [
        [_step(prefix, f"{half:04b}", leaves, nodes) for half in range(16)] for prefix in nodes
    ]
    endings = frozenset(nodes["1" * size] for size in range(_MAX_PADDING + 1))
    return steps, endings


def _leaves() -> dict[str, int]:
    """Symbols by their codes, as texts of 0 and 1."""
    leaves: dict[str, int] = {}
    code = last = 0
    for length, symbols in _LENGTHS.items():
        code <<= length - last
        last = length
        for symbol in symbols:
            leaves[f"{code:0{length}b}"] = symbol
            code += 1
    return leaves


def _step(prefix: str, bits: str, leaves: dict[str, int], nodes: dict[str, int]) -> _Step:
    found = _NONE
    for bit in bits:
        prefix += bit
        symbol = leaves.get(prefix)
        if symbol == _END:
            return 0, _FAULT
        if symbol is not None:
            found, prefix = symbol, ""
    return nodes[prefix], found
