"""Images and their labels, from files or from scikit-learn: grey levels, all of one size."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scaling.errors import CorpusError
from scaling.tables.notes import printable
from scaling.words import counted
from sweeps.config.images import NONE, WORDS, ImagesData
from sweeps.data.images.pictures import UnreadableError, grey_pixels
from sweeps.data.images.scikit import DIGIT_LEVELS, digits

#: Files of a folder that are taken for images, by their endings.
ENDINGS = frozenset(
    (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm", ".pbm")
)
MOST_PIXELS = 1 << 28  # of all images: they are held in memory
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
    pixels, numbers = digits()
    is_words = config.labels == WORDS
    labels = _described(pixels, numbers) if is_words else tuple(map(str, numbers))
    return ImageSet(
        pixels=pixels,
        levels=DIGIT_LEVELS,
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
            pixels, in_colour = grey_pixels(path, config.side)
        except UnreadableError as error:
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


def _check_size(images: list[np.ndarray], names: list[str], pixels: np.ndarray, path: Path) -> None:
    if images and pixels.shape != images[0].shape:
        mine, first = (f"{w} x {h}" for h, w in (pixels.shape, images[0].shape))
        raise CorpusError(
            f"{printable(str(path), most=400)}: {mine} pixels, and {printable(names[0], most=400)} "
            f"has {first}; set data.side to scale all to one size"
        )
