"""Pictures in files: the only user of Pillow."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from scaling.errors import CorpusError
from scaling.tables.notes import printable

_READABLE = frozenset(("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "La", "RGBa"))
_COLOURLESS = frozenset(("1", "L", "LA"))
_GAP, _GAP_GREY = 2, 128  # pixels between the pictures of a sheet


class UnreadableError(Exception):
    """Why a file is no image."""


def grey_pixels(path: Path, side: int | None) -> tuple[np.ndarray, bool]:
    """(height, width) uint8 of a file, scaled to a side, and whether it has colours. What is
    transparent is white; of several frames the first is taken.

    Raises UnreadableError for what is no image, and CorpusError where Pillow is missing.
    """
    image, resampling = _opened(path)
    if image.mode not in _READABLE:
        raise UnreadableError(f"is of a kind that is not read (mode {image.mode})")
    in_colour = image.mode not in _COLOURLESS
    if "A" in image.mode or "a" in image.mode or "transparency" in image.info:
        image = image.convert("RGBA")
        white = image.copy()
        white.paste((255, 255, 255, 255), (0, 0, *image.size))
        white.alpha_composite(image)
        image = white
    grey = image.convert("L")
    if side is not None and grey.size != (side, side):
        grey = grey.resize((side, side), resampling)
    return np.array(grey, dtype=np.uint8), in_colour


def png_of(pixels: np.ndarray) -> bytes:
    """A PNG file of (height, width) uint8, 0 black and 255 white."""
    image, _ = _pillow()
    content = io.BytesIO()
    image.fromarray(pixels).save(content, format="PNG")
    return content.getvalue()


def sheet_of(rows: list[list[np.ndarray]], scale: int) -> np.ndarray:
    """(height, width) Pictures of one size beside and below each other, each pixel so large."""
    height, width = (scale * size + _GAP for size in rows[0][0].shape)
    most = max(map(len, rows))
    sheet = np.full((height * len(rows) + _GAP, width * most + _GAP), _GAP_GREY, dtype=np.uint8)
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            large = picture.repeat(scale, axis=0).repeat(scale, axis=1)
            top, left = y * height + _GAP, x * width + _GAP
            sheet[top : top + len(large), left : left + large.shape[1]] = large
    return sheet


def _pillow() -> tuple[Any, Any]:
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise CorpusError(
            "images are read and written by Pillow, which is not installed; "
            "pip install 'scaling-forecast[images]'"
        ) from error
    return Image, ImageOps


def _opened(path: Path) -> tuple[Any, Any]:
    """The first frame of a file, whole, and how images are scaled."""
    images, operations = _pillow()
    try:
        with images.open(path) as file:
            file.load()
            return operations.exif_transpose(file), images.Resampling.BOX
    except (OSError, SyntaxError, ValueError, EOFError, images.DecompressionBombError) as error:
        said = str(error).replace(f" {str(path)!r}", "")
        raise UnreadableError(f"is no whole image ({printable(said)})") from error
