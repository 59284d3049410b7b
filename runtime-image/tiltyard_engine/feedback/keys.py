"""The keys that sign inference ids, and their rotation while an engine runs."""

import time
from collections.abc import Callable
from pathlib import Path

from tiltyard_core.tokens import Signer, key_of

NAMES = ("current", "previous", "next")
"""Files of a Secret: the first signs, and all are taken."""

LOOK_SECONDS = 5.0
"""How often it is looked whether the Secret is another."""


class KeysError(Exception):
    """A folder without a key."""


class Keys:
    """The keys of one Pipeline.

    Args:
        uid: the Pipeline's.
        folder: where its Secret is mounted; None: the key follows from the uid.
        clock: seconds that never fall.

    Raises:
        KeysError: the folder has no key to sign with.

    """

    def __init__(
        self, uid: str, folder: Path | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._uid = uid
        self._folder = folder
        self._clock = clock
        self._signers = [Signer(key_of(uid))]
        self._secrets: list[bytes] = []
        self._due = 0.0
        if folder and not self._secrets_of(folder):
            raise KeysError(f"{folder / NAMES[0]} is not there or empty: add it to the Secret")

    @property
    def signers(self) -> list[Signer]:
        """Those whose ids are taken; the first one signs."""
        if self._folder and self._clock() >= self._due:
            self._due = self._clock() + LOOK_SECONDS
            secrets = self._secrets_of(self._folder)
            if secrets and secrets != self._secrets:
                self._secrets = secrets
                self._signers = [Signer(key_of(self._uid, secret)) for secret in secrets]
        return self._signers

    @staticmethod
    def _secrets_of(folder: Path) -> list[bytes]:
        """Read the Secret; nothing where there is no key to sign with, as while it is replaced."""
        found = [_content(folder / name) for name in NAMES]
        return [one for one in found if one] if found[0] else []


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""
