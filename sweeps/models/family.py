"""What a model family says, so that its models can be planned, built and trained.

Planning asks without PyTorch, so a family imports it where it builds. What it builds is a
`sweeps.models.stacked.StackModel`. `tests/conformance/family.py` holds what every family keeps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from scaling.compute import FlopConvention
from sweeps.config.model import ModelConfig

if TYPE_CHECKING:
    import torch

    from sweeps.models.stacked import ShardedModel, StackedWeights

#: What an input position may see of the inputs: itself and those before it, all of them, or itself,
#: those before it and all of a source that is read apart.
View = Literal["past", "both", "source"]
#: What not every family can: have several blocks, have an encoder of another number of them, have
#: them compiled, lie in shares on several devices, or go on from a prompt, be that the beginning of
#: a text or the source of one.
Ability = Literal["depth", "encoder_depth", "compile", "shard", "continue"]


class Shape(Protocol):
    """The numbers that fix a model, and the counts that follow: a frozen dataclass, whose fields
    are part of a run's identity."""

    @property
    def width(self) -> int:
        """Along which learning rates are transferred."""

    @property
    def depth(self) -> int:
        """Blocks; 1 where there are none."""

    @property
    def context(self) -> int:
        """Tokens of a sequence, by which training is counted."""

    @property
    def vocab_size(self) -> int:
        """Logits."""

    @property
    def params(self) -> int:
        """Every trainable parameter."""

    @property
    def params_matmul(self) -> int:
        """Those that a token is multiplied with."""

    @property
    def params_head(self) -> int:
        """Those of the head alone; 0: it shares them, and the first loss is not ln(vocabulary)."""

    def flops_per_sequence(self, convention: FlopConvention = ...) -> int:
        """FLOP to train on one sequence, forward and backward."""

    def facts(self) -> dict[str, float | int | str | bool]:
        """The columns of the records table that it decides: params and the like."""


@dataclass(frozen=True, kw_only=True)
class ModelSizes:
    """What a plan says of one model, beside what the config says of all (`model`)."""

    width: int
    depth: int = 1
    """Blocks; 1 where there are none."""
    vocab_size: int
    view: View = "past"
    """What the objective lets a position see."""
    source_tokens: int | None = None
    """Tokens of the source, of a sequence of context + 1, where it is read apart."""
    encoder_depth: int | None = None
    """Blocks of the encoder; None: as many as ``depth``, or there is none."""


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """What a model computes with, besides its shape and weights."""

    residual_scale: float = 1.0
    """Factor on every residual branch."""
    tied_logit_factor: float = 1.0
    """Factor on the logits of a tied head."""
    rotary_base: float = 10_000.0
    precision: str = "fp32"
    used_vocab_size: int | None = None
    """Tokens beyond it pad the vocabulary and get no probability. None: all are used."""
    view: View = "past"
    """What the objective lets a position see."""


class Family(Protocol):
    """One kind of model."""

    @property
    def name(self) -> str:
        """With a version: another name wherever a seed would stand for another model."""

    @property
    def views(self) -> frozenset[View]:
        """What its positions can be given to see; an objective asks for one of them."""

    @property
    def can(self) -> frozenset[Ability]:
        """What of these it can."""

    @property
    def recipe_note(self) -> str:
        """Which of the recipe's rules, measured on the decoder, hold for it, and which nobody has
        tried, as `scaling plan` says it; empty: all hold."""

    def shape(self, model: ModelConfig, sizes: ModelSizes) -> Shape:
        """The planned shape of a model; ConfigError for sizes that make none."""

    def build(self, shape: Any, seeds: Sequence[int], options: ModelOptions) -> StackedWeights:
        """A stack of untrained models, one a seed, whose weights are a function of it alone."""

    def build_sharded(
        self, shape: Any, seed: int, options: ModelOptions, device: torch.device
    ) -> ShardedModel:
        """One, of which each process holds a share; asked only of those that `can` shard."""


def encoder_apart(shape: Shape) -> int | None:
    """Blocks of a model's encoder where that has another number of them than its decoder."""
    found = shape.facts().get("encoder_depth")
    return found if isinstance(found, int) and found != shape.depth else None


def blocks_said(shape: Shape) -> str:
    """How many blocks a model has, as tables and names say it: `4`, or `2+4` of an encoder and its
    decoder that have not as many."""
    encoder = encoder_apart(shape)
    return str(shape.depth) if encoder is None else f"{encoder}+{shape.depth}"
