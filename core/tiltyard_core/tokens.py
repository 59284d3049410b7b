"""Inference ids that say by themselves what served an answer, and prove it by a keyed digest.

Whoever has the key credits feedback that comes days later, without having kept anything. An id is
64 characters of base64url; where a list was interleaved, whose its places were follows.
"""

import hashlib
import struct
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping, Sequence
from hmac import compare_digest
from math import nan
from struct import Struct
from typing import NamedTuple

FORM = 0x10
"""First number of every id, plus its marks: another form of it would have another."""

UNASSIGNED, ROWS_APART, ONE_ROW = 1, 2, 4
"""Marks: chance did not choose the variant, so feedback is no evidence; the rows of the batch have
ids of their own; this is one of those."""

_MARKS = UNASSIGNED | ROWS_APART | ONE_ROW

MOST_ROWS = 0xFFFF
"""Rows that an id tells; more are told as so many."""

MAC = 8
"""Bytes of the keyed digest: a guess is right once in 1.8e19."""

TAG = 4
"""Bytes of the digests by which Pipelines and experiments are told apart."""

_FIELDS = Struct(">B4s4sBHI4sQQf")
_PLACES = Struct(">H")
LENGTH = (_FIELDS.size + MAC) * 4 // 3
"""Characters of an id, without places."""

LONGEST = LENGTH + 256
"""More characters than an id of a list of 1,000 places has."""

_WRITTEN = bytes.maketrans(b"+/", b"-_")
_READ = bytes.maketrans(b"-_", b"+/")


class Token(NamedTuple):
    """What an id says."""

    marks: int
    pipeline: bytes
    """Digest of the Pipeline's uid."""

    experiment: bytes
    """Start of the experiment's id: with it go step, variants, model versions and metrics."""

    variant: int
    """Place among the variants."""

    rows: int
    """Of the whole request."""

    time: int
    """Seconds since 1970."""

    stratum: bytes
    """Start of the stratum's id: the shares that were in force."""

    unit: int
    """Draw of the unit."""

    number: int
    """Another for each id."""

    score: float = nan
    """What labels are compared with; not a number where there is none."""

    places: Sequence[int] = ()
    """Ranker, 0 or 1, of each place of a list that credits one."""

    @property
    def unassigned(self) -> bool:
        """Whether feedback is no evidence: the variant was asked for, or a key was missing."""
        return bool(self.marks & UNASSIGNED)

    @property
    def rows_apart(self) -> bool:
        """Whether each row of the batch has an id of its own, so that this one credits nothing."""
        return bool(self.marks & ROWS_APART)

    @property
    def last_row(self) -> int:
        """Highest row that feedback may name."""
        return 0 if self.marks & ONE_ROW else self.rows - 1


class WrongToken(ValueError):  # noqa: N818 - it tells of a token, not of an error of ours
    """An id of our form that none of the keys has signed."""


def pipeline_tag(uid: str) -> bytes:
    """Tell Pipelines apart in ids."""
    return hashlib.blake2b(uid.encode(), digest_size=TAG, person=b"tiltyard uid").digest()


def key_of(uid: str, secret: bytes = b"") -> bytes:
    """Derive the key that signs the ids of a Pipeline.

    Args:
        uid: the Pipeline's.
        secret: what its user keeps secret. Without it whoever knows the uid can make ids.

    """
    base = hashlib.blake2b(secret, digest_size=32).digest()
    return hashlib.blake2b(uid.encode(), key=base, digest_size=32, person=b"tiltyard ids").digest()


class Signer:
    """Signs with one key, and knows what it signed."""

    def __init__(self, key: bytes) -> None:
        self._keyed = hashlib.blake2b(key=key, digest_size=MAC)

    def sign(self, token: Token) -> str:
        """Write an id."""
        marks, *fields, places = token
        raw = _FIELDS.pack(FORM | marks, *fields)
        if places:
            raw += _written(places)
        keyed = self._keyed.copy()
        keyed.update(raw)
        text = b2a_base64(raw + keyed.digest(), newline=False)
        return text.translate(_WRITTEN).rstrip(b"=").decode()

    def signed(self, raw: bytes, mac: bytes) -> bool:
        """Whether a digest is of this key."""
        keyed = self._keyed.copy()
        keyed.update(raw)
        return compare_digest(keyed.digest(), mac)


Signers = Mapping[bytes, Sequence[Signer]]
"""Those whose ids are taken, by the tags of their Pipelines."""


def read(text: str, signers: Signers) -> Token:
    """Read an id.

    Raises:
        WrongToken: it was made or changed by somebody without the key.
        ValueError: it is no id.
        KeyError: it is of another Pipeline.

    """
    if not LENGTH <= len(text) <= LONGEST:
        raise ValueError(f"{len(text)} characters are no id")
    padded = text.encode().translate(_READ) + b"=" * (-len(text) % 4)
    whole = a2b_base64(padded, strict_mode=True)
    raw, mac = whole[:-MAC], whole[-MAC:]
    try:
        first, *fields = _FIELDS.unpack_from(raw)
    except struct.error as error:
        raise ValueError("an id ends too soon") from error
    if first & ~_MARKS != FORM:
        raise ValueError("an id begins otherwise")
    if not any(signer.signed(raw, mac) for signer in signers[fields[0]]):
        raise WrongToken("nobody with the key has made this id")
    # Only now: two bytes of a forged id could claim 65,535 places.
    places = _read(raw[_FIELDS.size :]) if len(raw) > _FIELDS.size else ()
    return Token._make((first & _MARKS, *fields, places))


def _written(places: Sequence[int]) -> bytes:
    """Write whose places are: how many, and a bit for each."""
    bits = sum(1 << place for place, team in enumerate(places) if team)
    return _PLACES.pack(len(places)) + bits.to_bytes(-(-len(places) // 8), "little")


def _read(raw: bytes) -> Sequence[int]:
    (count,) = _PLACES.unpack_from(raw)
    bits = int.from_bytes(raw[_PLACES.size :], "little")
    return [bits >> place & 1 for place in range(count)]
