"""Small graphs for tests of whole engines, written in ONNX's own text form.

Each takes `x` (one float a row) and gives `y`. The bad ones behave until a row reaches `TROUBLE`,
so that they load, warm up and are measured like any other.
"""

import onnx.checker
import onnx.parser

TROUBLE = 1e6
"""From here on the bad models do what they are there for."""

FOREVER = 2**62

_FRAME = """
<ir_version: 10, opset_import: ["" : 17]>
tested (float[n, 1] x) => (float[n, 1] y)
<float factor = {{{factor}}}, float[1] offset = {{{offset}}}, float trouble = {{{trouble}}},
 float one = {{1}}, float[1] table = {{1}}, int64 zero = {{0}}, int64 beyond = {{7}},
 int64 trips = {{{trips}}}, float minus_one = {{-1}}>
{{
    scaled = Mul(x, factor)
    sum = Add(scaled, offset)
    {rest}
}}
"""

_BAD = """
    most = ReduceMax <keepdims = 0> (x)
    bad = GreaterOrEqual(most, trouble)
"""

_SPINS = (
    _BAD
    + """
    rounds = Where(bad, trips, zero)
    y = Loop <body = turn (int64 i, bool again, float[n, 1] v) => (bool more, float[n, 1] w) {
        more = Identity(again)
        w = Identity(v)
    }> (rounds, , sum)
"""
)

_FAILS = (
    _BAD
    + """
    place = Where(bad, beyond, zero)
    found = Gather(table, place)
    y = Mul(sum, found)
"""
)

_NAN = (
    _BAD
    + """
    sign = Where(bad, minus_one, one)
    root = Sqrt(sign)
    y = Mul(sum, root)
"""
)

_EATS = (
    _BAD
    + """
    count = Where(bad, trips, zero)
    one_number = Shape(table)
    size = Reshape(count, one_number)
    eaten = ConstantOfShape(size)
    nothing = ReduceSum <keepdims = 0> (eaten)
    y = Add(sum, nothing)
"""
)


def scaled(factor: float, offset: float = 0.0) -> bytes:
    """y = x * factor + offset."""
    return _graph("y = Identity(sum)", factor, offset)


def hanging(factor: float = 1.0) -> bytes:
    """Like `scaled`, but loops for ever on trouble."""
    return _graph(_SPINS, factor)


def slow(rounds: int, factor: float = 1.0) -> bytes:
    """Like `scaled`, but takes some microseconds times `rounds` on trouble."""
    return _graph(_SPINS, factor, trips=rounds)


def failing(factor: float = 1.0) -> bytes:
    """Like `scaled`, but the runtime raises on trouble."""
    return _graph(_FAILS, factor)


def not_a_number(factor: float = 1.0) -> bytes:
    """Like `scaled`, but NaN on trouble."""
    return _graph(_NAN, factor)


def hungry(floats: int, factor: float = 1.0) -> bytes:
    """Like `scaled`, but takes memory for so many numbers on trouble."""
    return _graph(_EATS, factor, trips=floats)


def typed() -> bytes:
    """One input of every kind that a record can get wrong; y is `number`."""
    return _checked("""
        <ir_version: 10, opset_import: ["" : 17]>
        typed (float[n, 1] number, int64[n, 1] whole, uint8[n, 1] small, float[n, 3] three)
        => (float[n, 1] y, float[n, 3] z, int64[n, 1] w, uint8[n, 1] s)
        {
            y = Identity(number)
            z = Identity(three)
            w = Identity(whole)
            s = Identity(small)
        }
    """)


def _graph(rest: str, factor: float, offset: float = 0.0, trips: int = FOREVER) -> bytes:
    text = _FRAME.format(
        factor=factor, offset=offset, trouble=TROUBLE, trips=trips, rest=rest.strip()
    )
    return _checked(text)


def _checked(text: str) -> bytes:
    model = onnx.parser.parse_model(text)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
