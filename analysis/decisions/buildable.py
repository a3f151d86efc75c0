"""The shape nearest to a size that can be built, by how the runs chose theirs."""

from dataclasses import dataclass

import numpy as np

from scaling.arrays import FloatArray
from scaling.errors import ConfigError, RecordError
from scaling.records import Records
from scaling.shape import MLPS, TransformerShape

_NEEDED = ("params", "width", "depth", "heads", "context", "vocab_size")
_REACH = 64  # widths that are tried on either side


@dataclass(frozen=True, kw_only=True)
class BuildableShape:
    """A decoder whose parameters come nearest to a size."""

    width: int
    depth: int
    heads: int
    params: int


@dataclass(frozen=True, kw_only=True)
class ShapeRule:
    """How a ladder's shapes follow their width: one head size, and the depth of a width."""

    head_size: int
    depth_over_width: tuple[float, float]  # ln depth = first + second * ln width
    like: TransformerShape  # context, vocabulary, MLP and head of the runs
    about: str  # in a sentence, what is gone by

    def depth(self, width: int) -> int:
        """Blocks of a model of this width."""
        first, second = self.depth_over_width
        return max(1, round(float(np.exp(first + second * np.log(width)))))

    def nearest(self, params: float) -> BuildableShape | None:
        """The shape whose parameters are nearest by their ratio; None for a size below them all."""
        heads = np.unique(np.round(np.geomspace(1, 4096, 1200)).astype(int))
        sizes = np.array([self._shape(int(h)).params for h in heads], dtype=np.float64)
        near = int(heads[np.argmin(np.abs(np.log(sizes / params)))])
        around = range(max(1, near - _REACH), near + _REACH + 1)
        best = min((self._shape(h) for h in around), key=lambda s: abs(np.log(s.params / params)))
        if params < best.params / 2:
            return None
        return BuildableShape(
            width=best.width, depth=best.depth, heads=best.heads, params=best.params
        )

    def _shape(self, heads: int) -> TransformerShape:
        return _like(self.like, heads * self.head_size, self.depth(heads * self.head_size))


def shape_rule(records: Records) -> ShapeRule | None:
    """The rule that the shapes of these runs follow; None where the table does not have them, where
    they are no decoders of ours, or where nothing of them tells how depth follows width."""
    if any(name not in records for name in _NEEDED):
        return None
    try:
        columns = {name: records.column(name) for name in _NEEDED}
    except RecordError:  # a width of "d768": another's table
        return None
    known = np.all([np.isfinite(values) & (values >= 1) for values in columns.values()], axis=0)
    if not known.any():
        return None
    largest = int(np.argmax(np.where(known, columns["params"], 0)))
    shapes = np.unique(
        np.column_stack([columns[n][known] for n in ("width", "depth", "heads")]), axis=0
    )
    head_sizes = shapes[:, 0] / shapes[:, 2]
    like = _counted_as_ours({name: float(values[largest]) for name, values in columns.items()})
    if like is None or not np.all(head_sizes == like.head_size):
        return None
    told = _depth_rule(np.log(shapes[:, :2]))
    if told is None:
        return None
    rule, about = told
    return ShapeRule(head_size=like.head_size, depth_over_width=rule, like=like, about=about)


def _depth_rule(logs: FloatArray) -> tuple[tuple[float, float], str] | None:
    """How ln depth follows ln width (shapes, 2), and in words; None where it does not."""
    width, depth = logs.T
    if np.ptp(depth) == 0:
        blocks = round(float(np.exp(depth[0])))
        return (float(depth[0]), 0.0), f"depth {blocks}, as in all runs"
    if np.ptp(width) == 0:
        return None
    slope, first = np.polyfit(width, depth, 1)
    if slope <= 0 or np.abs(first + slope * width - depth).max() > np.log(1.5):
        return None
    return (float(first), float(slope)), f"depth as width to the power {slope:.2g}, as in the runs"


def _counted_as_ours(row: dict[str, float]) -> TransformerShape | None:
    """The run's shape with the MLP and head by which our count gives its parameters, if any."""
    width, depth, heads = (int(row[name]) for name in ("width", "depth", "heads"))
    for mlp in MLPS:
        for tied in (False, True):
            try:
                shape = TransformerShape(
                    width=width,
                    depth=depth,
                    head_size=width // heads,
                    context=int(row["context"]),
                    vocab_size=int(row["vocab_size"]),
                    mlp=mlp,
                    tied_head=tied,
                )
            except (ConfigError, ZeroDivisionError):
                return None
            if shape.params == row["params"]:
                return shape
    return None


def _like(shape: TransformerShape, width: int, depth: int) -> TransformerShape:
    return TransformerShape(
        width=width,
        depth=depth,
        head_size=shape.head_size,
        context=shape.context,
        vocab_size=shape.vocab_size,
        mlp=shape.mlp,
        tied_head=shape.tied_head,
    )
