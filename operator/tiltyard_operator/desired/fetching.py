"""What those who fetch models are told of the operator's settings."""

from tiltyard_api.artifacts import FETCH_TIME, MOST_SIZE, TRIAL_TIME
from tiltyard_api.quantities import seconds
from tiltyard_operator.settings import Settings

BEGIN = 60
"""Seconds that a Job has for all but fetching and trying: finding a node, pulling the image."""


def options(settings: Settings) -> list[str]:
    """Give the fetcher's options; what is as usual is left out, so that pods stay as they were."""
    said = {
        "--max-size": (settings.fetch_size, MOST_SIZE),
        "--timeout": (settings.fetch_time, FETCH_TIME),
        "--trial-timeout": (settings.trial_time, TRIAL_TIME),
    }
    bounds = [(option, value) for option, (value, usual) in said.items() if value != usual]
    allowed = [("--allow-address", network) for network in settings.fetch_addresses]
    return [word for pair in bounds + allowed for word in pair]


def deadline(settings: Settings) -> int:
    """Seconds after which a trial is given up."""
    return BEGIN + int(seconds(settings.fetch_time) + seconds(settings.trial_time))
