"""The engine: serves the plan of a Pipeline, routing between models in process."""
