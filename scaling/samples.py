"""Samples of trained models as a file: `scaling sample -o FILE.json` writes one, a report shows it.

A file is one prompt as several runs continue it, by one rule and seed. A sample is a text, or a
picture: a PNG file, in base64 inside the document.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from scaling.errors import ConfigError
from scaling.tables.notes import printable
from scaling.words import counted

#: What the documents say that they are; another number is another form.
FORMAT = "scaling-samples/1"
_PNG = b"\x89PNG\r\n\x1a\n"  # how every PNG file begins (ISO/IEC 15948, 5.2)


class Ending(StrEnum):
    """Why a sample goes no further."""

    TOKENS = "tokens"
    """It has as many tokens as were asked for."""
    END = "end"
    """The model has ended the document or sentence."""
    CONTEXT = "context"
    """The context is full: the model was trained on no longer sequence."""

    @property
    def words(self) -> str:
        """The same for people."""
        return _ENDINGS[self]


_ENDINGS = {
    Ending.TOKENS: "as many tokens as were asked for",
    Ending.END: "ended by the model",
    Ending.CONTEXT: "the context is full",
}


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One way in which a run continues a prompt: a text or a picture."""

    text: str | None = None
    png: bytes | None = None
    """A PNG file."""
    ending: Ending | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for both, neither, and what is no PNG file."""
        if (self.text is None) == (self.png is None):
            raise ValueError("a sample is a text or a picture")
        if self.png is not None and not self.png.startswith(_PNG):
            raise ValueError("a picture that is no PNG file")

    @property
    def png_in_base64(self) -> str:
        """The picture as a document holds it."""
        return base64.b64encode(self.png or b"").decode("ascii")

    def to_dict(self) -> dict[str, str]:
        """For JSON: `text`, or `png` in base64, and why it ended."""
        found = {"png": self.png_in_base64} if self.text is None else {"text": self.text}
        return found if self.ending is None else {**found, "ending": self.ending.value}


@dataclass(frozen=True, kw_only=True)
class RunSamples:
    """What one run makes of a prompt."""

    run_id: str
    name: str
    """Of the run, for people."""
    params: int | None
    loss: float | None
    prompt: str
    """As its tokens spell it."""
    samples: tuple[Sample, ...]


@dataclass(frozen=True, kw_only=True)
class Samples:
    """One prompt as several runs continue it, in the order in which they were asked."""

    source: str
    """The file."""
    rule: str
    """How each token was chosen, in words."""
    seed: int | None
    """Of the draws; None: nothing is drawn."""
    tokens: int | None
    """At most so many were asked for; None: to the end of the context."""
    runs: tuple[RunSamples, ...]

    @property
    def prompt(self) -> str | None:
        """What every run was given; None where their tokens spell it differently."""
        first, *others = dict.fromkeys(run.prompt for run in self.runs)
        return None if others else first

    @property
    def line(self) -> str:
        """Rule and settings, in a line."""
        asked = "to the end of the context"
        if self.tokens is not None:
            asked = f"at most {counted(self.tokens, 'token')} a sample"
        return f"{self.rule}{'' if self.seed is None else f', seed {self.seed}'}; {asked}"


def read_samples(path: str | Path) -> Samples:
    """The samples of a file that `scaling sample -o FILE.json` wrote.

    Raises ConfigError for a file that is missing or none of these.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(document, Mapping) or document.get("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        return _samples(document, str(path))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigError(
            f"{path}: not a file of samples ({_what(error)}); `scaling sample ... -o FILE.json` "
            "writes one"
        ) from error


def _samples(document: Mapping[str, Any], source: str) -> Samples:
    runs = tuple(_run(one) for one in document["runs"])
    if not runs:
        raise ValueError("it holds no run")
    rule = _text(document["rule_in_words"])
    seed, tokens = (_whole(document[name]) for name in ("seed", "tokens"))
    return Samples(source=source, rule=rule, seed=seed, tokens=tokens, runs=runs)


def _run(one: Mapping[str, Any]) -> RunSamples:
    loss = one["loss"]
    return RunSamples(
        run_id=_text(one["run_id"]),
        name=_text(one["name"]),
        params=_whole(one["params"]),
        loss=None if loss is None else float(loss),
        prompt=_text(one["prompt"]),
        samples=tuple(_sample(sample) for sample in one["continuations"]),
    )


def _sample(one: Mapping[str, Any]) -> Sample:
    text, png, ending = one.get("text"), one.get("png"), one.get("ending")
    return Sample(
        text=None if text is None else _text(text),
        png=None if png is None else base64.b64decode(_text(png), validate=True),
        ending=None if ending is None else Ending(ending),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a text was expected")
    return value


def _whole(value: Any) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise TypeError("a whole number was expected")


def _what(error: Exception) -> str:
    """What is wrong, in few words."""
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return "no JSON"
    if isinstance(error, binascii.Error):
        return "a picture that is no base64"
    return f"it lacks {error}" if isinstance(error, KeyError) else printable(error, 80)
