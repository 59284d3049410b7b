"""Feedback: ids that say what served an answer, and sums of what came of it."""
