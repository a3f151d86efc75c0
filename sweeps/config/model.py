"""The model of a sweep: what all its runs have in common in shape and arithmetic."""

from dataclasses import dataclass

from scaling.errors import ConfigError
from scaling.shape import MLPS
from sweeps.config.rules.section import Section

PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Section, place="model"):
    """What all models of the sweep have in common."""

    choices = {"mlp": MLPS, "precision": PRECISIONS}

    family: str = "slt-dec/1"
    """The kind of model: a name of sweeps.models.registry."""
    head_size: int = 16
    """Entries of an attention head; constant in a study, so that width changes the number of heads
    alone."""
    context: int = 64
    """Tokens a sequence predicts; attention cost and loss both depend on it, so it is constant in a
    study."""
    rotary_base: float = 10_000.0
    """Longest wavelength of the rotary positions, over 2 pi tokens; short contexts learn faster and
    more evenly with a shorter one."""
    mlp: str = "relu2"
    """relu2, or swiglu: gated, with about as many parameters."""
    tied_head: bool = False
    """Use the embedding as the head."""
    precision: str = "fp32"
    """fp32, or bf16: matrix products in bfloat16 with float32 weights and optimizer; one in a
    study."""

    def __post_init__(self) -> None:
        """Refuse sizes and kinds that no model can have."""
        self.check_positive("head_size", "context", "rotary_base")
        if self.head_size % 2:
            raise ConfigError(
                f"{self.key('head_size')} is {self.head_size}; rotary embedding needs an even one"
            )
        self.check_choice("mlp", "precision")
