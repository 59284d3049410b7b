"""The engine: serves the plan of a Pipeline, routing between models in process."""

import os
from typing import Final

NO_TELEMETRY: Final = {"ORT_DISABLE_TELEMETRY": "1"}
"""onnxruntime 1.31 starts a thread that reports to its maker, unless this is set when it is loaded:
what models a user runs is nobody else's affair."""

os.environ.update(NO_TELEMETRY)
