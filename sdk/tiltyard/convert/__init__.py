"""`tiltyard convert`: models of other frameworks into ONNX, and proof that they agree."""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # or onnxruntime reports to its maker, once it is loaded
