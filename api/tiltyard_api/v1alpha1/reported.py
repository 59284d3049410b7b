"""What everything that is reported has in common."""

from typing import Annotated

from pydantic import ConfigDict, Field

from tiltyard_api.base import Contract

Text = Annotated[str, Field(max_length=1024)]
Hash = Annotated[str, Field(max_length=64)]


class Reported(Contract):
    """Base of what is reported: fields of newer operators are passed over."""

    model_config = ConfigDict(extra="ignore")
