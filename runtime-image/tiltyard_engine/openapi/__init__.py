"""The OpenAPI document of what is served: each face describes its own paths."""
