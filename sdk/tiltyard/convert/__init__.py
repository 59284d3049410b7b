"""`tiltyard convert`: models of other frameworks into ONNX, and proof that they agree."""
