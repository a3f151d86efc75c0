"""Ways in which a file is damaged: by a power cut, a full disk, a copy, an editor, a bad sector."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

Damage = Callable[[bytes, np.random.Generator], bytes]


def _span(content: bytes, rng: np.random.Generator, most: int = 4096) -> tuple[int, int]:
    start = int(rng.integers(max(len(content), 1)))
    return start, min(len(content), start + 1 + int(rng.integers(min(most, len(content) + 1))))


def zeros(content: bytes, rng: np.random.Generator) -> bytes:
    """A span that was never written, as after a power cut."""
    start, end = _span(content, rng)
    return content[:start] + bytes(end - start) + content[end:]


def zeros_at_the_end(content: bytes, rng: np.random.Generator) -> bytes:
    """Space that was promised to a file and not filled."""
    return content + bytes(int(rng.integers(1, 400)))


def cut(content: bytes, rng: np.random.Generator) -> bytes:
    """The end is missing."""
    return content[: int(rng.integers(len(content) + 1))]


def flipped(content: bytes, rng: np.random.Generator) -> bytes:
    """One bit is another."""
    changed, place = bytearray(content), int(rng.integers(max(len(content), 1)))
    changed[place : place + 1] = bytes(b ^ (1 << int(rng.integers(8))) for b in changed[place:][:1])
    return bytes(changed)


def torn(content: bytes, rng: np.random.Generator) -> bytes:
    """A span of something else."""
    start, end = _span(content, rng)
    return content[:start] + rng.bytes(end - start) + content[end:]


def lost_span(content: bytes, rng: np.random.Generator) -> bytes:
    """A span is missing, and the rest has moved up."""
    start, end = _span(content, rng)
    return content[:start] + content[end:]


def line_twice(content: bytes, rng: np.random.Generator) -> bytes:
    """One line stands there twice."""
    lines = content.splitlines(keepends=True) or [b""]
    place = int(rng.integers(len(lines)))
    return b"".join([*lines[: place + 1], *lines[place:]])


def lines_swapped(content: bytes, rng: np.random.Generator) -> bytes:
    """Two lines have changed places."""
    lines = content.splitlines(keepends=True) or [b""]
    one, two = rng.integers(len(lines), size=2)
    lines[one], lines[two] = lines[two], lines[one]
    return b"".join(lines)


def line_lost(content: bytes, rng: np.random.Generator) -> bytes:
    """One line is missing."""
    lines = content.splitlines(keepends=True) or [b""]
    del lines[int(rng.integers(len(lines)))]
    return b"".join(lines)


def other_encoding(content: bytes, rng: np.random.Generator) -> bytes:
    """Saved again by an editor, as UTF-16."""
    return content.decode("latin-1").encode("utf-16")


def other_number(content: bytes, rng: np.random.Generator) -> bytes:
    """One digit is another: nothing of the form is wrong."""
    places = [place for place, byte in enumerate(content) if 0x30 <= byte <= 0x39]
    if not places:
        return flipped(content, rng)
    place = places[int(rng.integers(len(places)))]
    digit = b"%d" % ((content[place] - 0x30 + 1 + int(rng.integers(9))) % 10)
    return content[:place] + digit + content[place + 1 :]


def emptied(content: bytes, rng: np.random.Generator) -> bytes:
    """No byte is left."""
    return b""


def garbage(content: bytes, rng: np.random.Generator) -> bytes:
    """Nothing of it is left."""
    return rng.bytes(int(rng.integers(1, 9000)))


def page(content: bytes, rng: np.random.Generator) -> bytes:
    """What a portal sends in place of a file."""
    return b"<!doctype html><title>404</title>" * int(rng.integers(1, 100))


def brackets(content: bytes, rng: np.random.Generator) -> bytes:
    """JSON that no parser of limited depth reads."""
    return b"[" * 100_000


DAMAGES: tuple[Damage, ...] = (
    *(zeros, zeros_at_the_end, cut, flipped, torn, lost_span, line_twice, lines_swapped),
    *(line_lost, other_encoding, other_number, emptied, garbage, page, brackets),
)


def damage(path: Path, rng: np.random.Generator) -> str:
    """Damage a file in one of these ways, or put a folder or nothing in its place; which way."""
    number = int(rng.integers(len(DAMAGES) + 2))
    if number < len(DAMAGES):
        path.write_bytes(DAMAGES[number](path.read_bytes(), rng))
        return DAMAGES[number].__name__
    path.unlink()
    if number == len(DAMAGES):
        return "gone"
    path.mkdir()
    return "a folder"


def content_of(path: Path) -> bytes | None:
    """The bytes of a file; None where there is none."""
    return path.read_bytes() if path.is_file() else None
