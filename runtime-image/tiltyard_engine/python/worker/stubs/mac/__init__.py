"""The name that models of other servers import types from."""
