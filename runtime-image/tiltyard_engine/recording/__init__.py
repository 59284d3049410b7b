"""Records: what was asked and answered, written down off the path of the answers."""
