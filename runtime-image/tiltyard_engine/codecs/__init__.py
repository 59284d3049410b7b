"""Wire formats: each is one file that turns bytes into a call and a finished call into bytes."""
