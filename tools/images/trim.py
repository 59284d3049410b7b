"""Leave out of an image what its process never imports: `python trim.py SITE-PACKAGES LIST`.

A list has one pattern a line, relative to site-packages. One that no longer matches anything of a
package that is there is an error, so that lists keep up with the libraries.
"""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path


def patterns(text: str) -> Iterator[str]:
    """Give the patterns of a list, without its comments."""
    for line in text.splitlines():
        pattern = line.partition("#")[0].strip()
        if pattern:
            yield pattern


def trim(site: Path, listed: str) -> list[str]:
    """Remove what a list names; gives the patterns that are stale."""
    stale = []
    for pattern in patterns(listed):
        found = list(site.glob(pattern))
        for path in found:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        if not found and (site / pattern.partition("/")[0]).exists():
            stale.append(pattern)
    return stale


def main() -> int:
    """Trim, and say what is stale."""
    site, listed = sys.argv[1:]
    stale = trim(Path(site), Path(listed).read_text(encoding="utf-8"))
    for pattern in stale:
        print(f"{listed}: {pattern} matches nothing any more: take it out", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
