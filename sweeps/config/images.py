"""Images as training data: which images, what their tokens are, and what they are given."""

from dataclasses import dataclass

from scaling.errors import ConfigError
from sweeps.config.data import StoredData

CODES, GREY = "codes", "grey"
CLASS, WORDS, NONE = "class", "words", "none"
_MOST_LEVELS, _MOST_CODES = 256, 4096


@dataclass(frozen=True, kw_only=True)
class ImagesData(StoredData, source="images"):
    """Small images as sequences: the tokens of a label, and then those of the image, row by row.
    The label is given; the loss is that of the image's tokens."""

    objectives = ("causal", "conditional")
    instead = {
        "files": "images lie in data.folder",
        "vocab_size": "its tokens are grey levels or codes, and those of the labels",
        "tokenizer": "data.tokens says what its tokens are",
        "symbols": "data.tokens says what its tokens are",
    }
    choices = {
        "tokens": (CODES, GREY),
        "labels": (CLASS, WORDS, NONE),
        "unreadable": ("refuse", "skip"),
    }

    folder: str | None = None
    """A folder of images. Each lies in a folder that is named by its label, unless `table` gives
    labels; none: the 1,797 handwritten digits of scikit-learn, 8 x 8 pixels of 17 grey levels."""
    table: str | None = None
    """A CSV file with the columns `file` (below `folder`) and `label`, in place of folder names."""
    tokens: str = CODES
    """`codes`: a small grid of entries of a codebook, from a vector-quantising autoencoder that is
    trained once, on the images to train on; losses are nats a code, which are no likelihood of
    pixels. `grey`: a token a pixel, its grey level, which loses nothing: losses are exact nats a
    dimension."""
    codebook: int = 64
    """Codes that there are."""
    patch: int = 2
    """A code stands for so many pixels in height and width."""
    autoencoder_steps: int = 1000
    """Steps of 64 images that the autoencoder is trained for."""
    seed: int = 0
    """Of the autoencoder, not of a run."""
    labels: str = CLASS
    """What an image is conditional on: its label as one token (`class`), its label as text, a token
    a word (`words`; of the digits "bold three" or "thin three", by the ink), or nothing
    (`none`)."""
    side: int | None = None
    """Scale every image to so many pixels in height and width; none: all must have one size."""
    levels: int | None = None
    """Round the grey levels of images in files to so many; none: 256, as they are."""
    validation_share: float = 0.15
    """Share of the images that is held back, never trained on; it is chosen by content, not by
    seed."""
    unreadable: str = "refuse"
    """What becomes of a file that is no whole image: `refuse` all, or `skip` the file; `scaling
    plan` says how many were left out."""

    def __post_init__(self) -> None:
        """Refuse a split without two sides, and what digits have no use for."""
        super().__post_init__()
        self.check_choice("tokens", "labels", "unreadable")
        self.check_positive("side", "patch", "autoencoder_steps")
        self.check_not_negative("seed")
        if not 2 <= self.codebook <= _MOST_CODES:
            raise ConfigError(
                f"{self.key('codebook')} is {self.codebook}; it holds 2 to {_MOST_CODES:,} codes"
            )
        if self.tokens == GREY:
            self.check_unused(
                f"is not used with {self.key('tokens')} grey; leave it out",
                *("codebook", "patch", "autoencoder_steps", "seed"),
            )
        if not 0 < self.validation_share < 1:
            raise ConfigError(
                f"{self.key('validation_share')} is {self.validation_share:g}; it lies between 0 "
                "and 1"
            )
        if self.levels is not None and not 2 <= self.levels <= _MOST_LEVELS:
            raise ConfigError(
                f"{self.key('levels')} is {self.levels}; an image has 2 to {_MOST_LEVELS}"
            )
        if self.folder is None:
            self.check_unused(
                f"is about images in files; give {self.key('folder')}, or leave it out",
                *("table", "side", "levels", "unreadable"),
            )
        if self.labels == NONE:
            self.check_unused(
                f"is not used with {self.key('labels')} none; drop one of the two", "table"
            )

    @classmethod
    def is_path(cls, name: str, value: str) -> bool:
        """The folder and the table."""
        return name in ("folder", "table")
