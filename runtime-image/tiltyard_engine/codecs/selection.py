"""Which parts of an answer a client asked for, by the `dataset` parameters of the query."""

from dataclasses import dataclass
from urllib.parse import parse_qsl

from tiltyard_api.reasons import Reason
from tiltyard_engine.errors import Refusal

GROUPS = ("time", "in", "out", "anomaly", "metadata")
SEPARATOR = "."
EVERYTHING = "*"
MAX_PARAMETERS = 1000


@dataclass(frozen=True, slots=True)
class Selection:
    """What to answer, and whether nested or with dotted keys."""

    wanted: frozenset[str] = frozenset({EVERYTHING})
    excluded: frozenset[str] = frozenset()
    flat: bool = False
    everything: bool = True
    """Whether this is the plain answer: all groups, nested."""

    def keeps(self, group: str, field: str | None = None) -> bool:
        """Whether a column is answered: what is named itself beats what is said of its group."""
        column = group if field is None else f"{group}.{field}"
        if column in self.wanted:
            return True
        if column in self.excluded or group in self.excluded:
            return False
        return group in self.wanted or EVERYTHING in self.wanted

    def whole(self, group: str) -> bool:
        """Whether a group is answered with all its columns."""
        dotted = f"{group}{SEPARATOR}"
        return self.keeps(group) and not any(name.startswith(dotted) for name in self.excluded)

    def touches(self, group: str) -> bool:
        """Whether anything of a group may be answered."""
        return self.keeps(group) or any(name.startswith(f"{group}.") for name in self.wanted)


def selection(query: str) -> Selection:
    """Read the query of a request.

    Raises:
        Refusal: UnknownParameter, naming the parameter and what there is.

    """
    wanted: set[str] = set()
    excluded: set[str] = set()
    flat = False
    for name, value in _parameters(query):
        if name == "dataset[]":
            wanted.add(_group(name, value))
        elif name == "dataset.exclude[]":
            excluded.add(_group(name, value))
        elif name == "dataset.separator" and value == SEPARATOR:
            flat = True
        elif name == "dataset.flatten" and value in ("true", "false"):
            flat = flat or value == "true"
        else:
            raise Refusal(
                Reason.UNKNOWN_PARAMETER,
                f"{name}={value}: known are dataset[], dataset.exclude[], dataset.separator=. and"
                " dataset.flatten=true|false",
                field=name,
            )
    everything = wanted <= {EVERYTHING} and not excluded and not flat
    return Selection(frozenset(wanted or {EVERYTHING}), frozenset(excluded), flat, everything)


def _parameters(query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
    except ValueError as error:
        raise Refusal(
            Reason.UNKNOWN_PARAMETER,
            f"the query has more than {MAX_PARAMETERS} parameters: name what you want once",
        ) from error


def _group(parameter: str, value: str) -> str:
    group = value.partition(SEPARATOR)[0]
    if value == EVERYTHING or group in GROUPS or group.startswith("out_"):
        return value
    raise Refusal(
        Reason.UNKNOWN_PARAMETER,
        f"{parameter}={value}: known are {EVERYTHING}, {', '.join(GROUPS)}, out_MODEL, and columns"
        " such as out.NAME",
        field=parameter,
    )
