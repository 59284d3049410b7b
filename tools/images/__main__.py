"""Builds the images with docker, podman or buildah, whichever works here: `make images`."""

import argparse
import subprocess
import sys
import tomllib

from images.build import IMAGES, ROOT, BuildError, build, find_builder


def main() -> int:
    """Build what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m images", description=__doc__)
    parser.add_argument("image", nargs="*", help=f"which ones: {', '.join(IMAGES)}; default: all")
    parser.add_argument("--base", help="image with Python 3.11 to build on (its default: Debian's)")
    parser.add_argument("--prefix", default="tiltyard-", help="what names start with")
    options = parser.parse_args()
    unknown = set(options.image) - set(IMAGES)
    if unknown:
        parser.error(f"there is no image {', '.join(sorted(unknown))}")
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    said = {"VERSION": version, "REVISION": _revision()}
    try:
        builder = find_builder()
        for name in options.image or IMAGES:
            arguments = said | ({"BASE": options.base} if options.base else {})
            build(builder, IMAGES[name], f"{options.prefix}{name}:{version}", arguments)
    except BuildError as error:
        print(f"images: {error}", file=sys.stderr)
        return 1
    return 0


def _revision() -> str:
    done = subprocess.run(  # noqa: S603 - nothing of others' in it
        ["git", "-C", str(ROOT), "rev-parse", "HEAD"],  # noqa: S607 - whichever git the user has
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
