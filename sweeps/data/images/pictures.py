"""Pictures in files: the only user of Pillow."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scaling.errors import CorpusError
from scaling.tables.notes import printable

_READABLE = frozenset(("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "La", "RGBa"))
_COLOURLESS = frozenset(("1", "L", "LA"))
_GAP, _TEXT, _SHOWN = 3, 15, 48  # pixels of a sheet: between pictures, of letters, of a picture


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


def sheet_of(
    cells: Sequence[Sequence[Sequence[bytes]]], rows: Sequence[str], columns: Sequence[str]
) -> bytes:
    """A PNG file with the pictures of each row and column, PNG files of one size, beside each
    other; names stand left of the rows and above the columns."""
    images, _ = _pillow()
    first = images.open(io.BytesIO(cells[0][0][0])).size
    scale = max(1, round(_SHOWN / max(first)))
    wide, high = (scale * size for size in first)
    draw, font = _drawing()
    left = _GAP + max(int(font.getlength(name)) for name in rows) + 4 * _GAP
    many = max(len(cell) for row in cells for cell in row)
    widths = [max(many * (wide + _GAP), int(font.getlength(name))) for name in columns]
    top = _TEXT + 4 * _GAP
    size = (left + sum(widths) + 4 * _GAP * len(widths), top + len(rows) * (high + _GAP) + _GAP)
    sheet = images.new("L", size, 255)
    pen = draw.Draw(sheet)
    for y, (name, row) in enumerate(zip(rows, cells, strict=True)):
        upper, x = top + y * (high + _GAP), left
        pen.text((_GAP, upper + (high - _TEXT) // 2), name, fill=0, font=font)
        for head, width, cell in zip(columns, widths, row, strict=True):
            if y == 0:
                pen.text((x, _GAP), head, fill=0, font=font)
            for place, png in enumerate(cell):
                large = images.open(io.BytesIO(png)).resize((wide, high), images.Resampling.NEAREST)
                sheet.paste(large, (x + place * (wide + _GAP), upper))
            x += width + 4 * _GAP
    content = io.BytesIO()
    sheet.save(content, format="PNG")
    return content.getvalue()


def _drawing() -> tuple[Any, Any]:
    from PIL import ImageDraw, ImageFont

    return ImageDraw, ImageFont.load_default(size=_TEXT)


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
