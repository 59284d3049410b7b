"""`python -m tiltyard`: the command line, by the interpreter that has it."""

from tiltyard.cli import main

if __name__ == "__main__":
    main()
