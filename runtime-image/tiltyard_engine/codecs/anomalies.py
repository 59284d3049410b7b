"""What validations found, as answers tell it."""

import orjson

from tiltyard_api.plan import Plan
from tiltyard_engine.call import Call
from tiltyard_engine.codecs.echo import Fields
from tiltyard_engine.validations.verdicts import counts

COUNT = "count"
"""How many validations found an anomaly in a row."""

_NONE = b'"count":0'
_TEXTS = (b"false", b"true", b"null", b"null")
"""JSON of each verdict."""


class AnomalyTexts:
    """Writes the group `anomaly` of one plan's answers."""

    def __init__(self, plan: Plan) -> None:
        names = [one.name for one in plan.validations or ()]
        self._prefixes = {name: b"," + orjson.dumps(name) + b":" for name in names}

    def one_row(self, call: Call) -> bytes:
        """Members of the group for a call of one row."""
        if not call.anomalies:
            return _NONE
        told = [
            self._prefixes[name] + _TEXTS[verdicts[0]] for name, verdicts in call.anomalies.items()
        ]
        return b'"count":%d%b' % (counts(call.anomalies, 1)[0], b"".join(told))

    def fields(self, call: Call) -> Fields:
        """Columns of the group."""
        if not call.anomalies:
            return [(COUNT, b"0")]
        numbers = [b"%d" % number for number in counts(call.anomalies, call.rows)]
        found: Fields = [(COUNT, numbers)]
        for name, verdicts in call.anomalies.items():
            found.append((name, [_TEXTS[verdict] for verdict in verdicts]))
        return found
