"""Decisions that more than one part of Tiltyard needs, as pure functions."""
