"""Images and their labels, from files or from scikit-learn: grey levels, all of one size."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scaling.errors import CorpusError
from scaling.tables.notes import printable
from scaling.words import counted
from sweeps.config.images import NONE, WORDS, ImagesData

#: Files of a folder that are taken for images, by their endings.
ENDINGS = frozenset(
    (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm", ".pbm")
)
MOST_PIXELS = 1 << 28  # of all images: they are held in memory
_READABLE = frozenset(("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "La", "RGBa"))
_COLOURLESS = frozenset(("1", "L", "LA"))
_DIGIT_LEVELS = 17
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageSet:
    """Images of one size."""

    pixels: np.ndarray
    """(images, height, width) uint8: grey levels from 0 to `levels` - 1."""
    levels: int
    labels: tuple[str, ...]
    """Of each; empty where they are asked for without."""
    left_out: tuple[str, ...] = ()
    """Files that are no images, and why."""
    notes: tuple[str, ...] = ()
    """What was made of the files, for people."""
    is_dark_on_light: bool = True
    """Whether level 0 is shown as black, as in files; of the digits it is the empty paper."""


def read_images(config: ImagesData) -> ImageSet:
    """The images that a config names, each with its label.

    Raises CorpusError for a missing library, a folder without images, files that are none, sizes
    that differ, labels that are missing, and one label alone.
    """
    found = _digits(config) if config.folder is None else _files(config, Path(config.folder))
    classes = set(found.labels)
    if config.labels != NONE and len(classes) < 2:
        raise CorpusError(
            f'{_where(config)}: all images have the label "{printable(next(iter(classes)))}", so '
            "that it tells nothing; add images of another, or set data.labels: none"
        )
    return found


def _where(config: ImagesData) -> str:
    return "scikit-learn's digits" if config.folder is None else printable(config.folder, most=400)


def _digits(config: ImagesData) -> ImageSet:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise CorpusError(
            "data.source images: its digits come with scikit-learn, which is not installed; "
            "pip install 'scaling-forecast[images]', or give data.folder"
        ) from error
    digits = load_digits()
    pixels = digits.images.astype(np.uint8)
    if config.labels == WORDS:
        labels = _described(pixels, digits.target)
    else:
        labels = tuple(map(str, digits.target))
    return ImageSet(
        pixels=pixels,
        levels=_DIGIT_LEVELS,
        labels=() if config.labels == NONE else labels,
        is_dark_on_light=False,
    )


def _described(pixels: np.ndarray, numbers: np.ndarray) -> tuple[str, ...]:
    """Two words a digit: bold where it has more ink than the median of its kind, else thin."""
    ink = pixels.reshape(len(pixels), -1).sum(axis=1)
    middle = np.array([np.median(ink[numbers == number]) for number in range(len(_NUMBERS))])
    return tuple(
        f"{'bold' if mine > middle[number] else 'thin'} {_NUMBERS[number]}"
        for mine, number in zip(ink, numbers, strict=True)
    )


def _files(config: ImagesData, folder: Path) -> ImageSet:
    paths = _paths(config, folder)
    labels = {} if config.labels == NONE else _labels(config, folder, paths)
    images: list[np.ndarray] = []
    names: list[str] = []
    left_out: list[str] = []
    coloured = 0
    for path in paths:
        try:
            pixels, in_colour = _pixels(path, config.side)
        except _UnreadableError as error:
            if config.unreadable == "refuse":
                raise CorpusError(
                    f"{printable(str(path), most=400)}: {error}; mend or remove it, or set "
                    "data.unreadable: skip"
                ) from error
            left_out.append(f"{path}: {error}")
            continue
        _check_size(images, names, pixels, path)
        images.append(pixels)
        names.append(str(path))
        coloured += in_colour
        if pixels.size * len(images) > MOST_PIXELS:
            raise CorpusError(
                f"{_where(config)}: more than {MOST_PIXELS:,} pixels; give fewer images, or a "
                "smaller data.side"
            )
    if not images:
        raise CorpusError(f"{_where(config)}: none of {counted(len(paths), 'file')} is an image")
    pixels, levels = np.stack(images), config.levels or 256
    if config.levels:
        pixels = np.round(pixels * ((levels - 1) / 255)).astype(np.uint8)
    notes = [f"{counted(coloured, 'image')} in colour, read as grey"] if coloured else []
    notes += [f"scaled to {config.side} x {config.side} pixels"] if config.side else []
    notes += [f"grey levels rounded to {levels} of 256"] if config.levels else []
    return ImageSet(
        pixels=pixels,
        levels=levels,
        labels=tuple(labels[name] for name in names) if labels else (),
        left_out=tuple(left_out),
        notes=tuple(notes),
    )


def _paths(config: ImagesData, folder: Path) -> list[Path]:
    """The images of a folder, in the order of their names."""
    expanded = folder.expanduser()
    if not expanded.is_dir():
        raise CorpusError(f"{_where(config)}: no such folder; mend data.folder")
    found = sorted(
        path
        for path in expanded.rglob("*")
        if path.suffix.lower() in ENDINGS and path.is_file() and not path.name.startswith(".")
    )
    if not found:
        raise CorpusError(
            f"{_where(config)}: no image in it; they end in {', '.join(sorted(ENDINGS))}"
        )
    return found


def _labels(config: ImagesData, folder: Path, paths: list[Path]) -> Mapping[str, str]:
    """The label of each path."""
    root = folder.expanduser()
    if config.table is None:
        for path in paths:
            if path.parent == root:
                raise CorpusError(
                    f"{printable(str(path), most=400)}: has no label; put it into a folder that is "
                    "named by one, list labels in data.table, or set data.labels: none"
                )
        return {str(path): _words_of(path.relative_to(root).parts[0]) for path in paths}
    table = dict(_rows(Path(config.table).expanduser()))
    found = {}
    for path in paths:
        name = path.relative_to(root).as_posix()
        if not table.get(name):
            raise CorpusError(
                f"{printable(config.table, most=400)}: no label of {printable(name)}; add its row, "
                "or set data.labels: none"
            )
        found[str(path)] = table[name]
    return found


def _rows(table: Path) -> Iterator[tuple[str, str]]:
    """(file, label) of each row."""
    try:
        with open(table, newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if not {"file", "label"} <= set(rows.fieldnames or ()):
                raise CorpusError(
                    f"{printable(str(table), most=400)}: needs the columns file and label; it has "
                    f"{printable(', '.join(rows.fieldnames or ()) or 'none')}"
                )
            for row in rows:
                yield Path(row["file"] or "").as_posix(), (row["label"] or "").strip()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        said = getattr(error, "strerror", None) or error
        raise CorpusError(
            f"{printable(str(table), most=400)}: cannot be read ({said}); mend data.table"
        ) from error


def _words_of(name: str) -> str:
    """A folder's name as words."""
    return " ".join(name.replace("_", " ").replace("-", " ").split()) or name


class _UnreadableError(Exception):
    """Why a file is no image."""


def _pixels(path: Path, side: int | None) -> tuple[np.ndarray, bool]:
    """(height, width) uint8 of one file, and whether it has colours. What is transparent is
    white."""
    image, resampling = _opened(path)
    if image.mode not in _READABLE:
        raise _UnreadableError(f"is of a kind that is not read (mode {image.mode})")
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


def _opened(path: Path) -> tuple[Any, Any]:
    """The first frame of a file, whole, and how images are scaled."""
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise CorpusError(
            "data.folder: images are read by Pillow, which is not installed; "
            "pip install 'scaling-forecast[images]'"
        ) from error
    try:
        with Image.open(path) as file:
            file.load()
            return ImageOps.exif_transpose(file), Image.Resampling.BOX
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        said = str(error).removesuffix(f" '{path}'").removesuffix(f" {str(path)!r}")
        raise _UnreadableError(f"is no whole image ({printable(said)})") from error


def _check_size(images: list[np.ndarray], names: list[str], pixels: np.ndarray, path: Path) -> None:
    if images and pixels.shape != images[0].shape:
        mine, first = (f"{w} x {h}" for h, w in (pixels.shape, images[0].shape))
        raise CorpusError(
            f"{printable(str(path), most=400)}: {mine} pixels, and {printable(names[0], most=400)} "
            f"has {first}; set data.side to scale all to one size"
        )
