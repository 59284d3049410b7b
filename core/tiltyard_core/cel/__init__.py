"""Expressions of validations: what they mention, which are simple, what is wrong with them."""
