"""Which positions of a block an objective asks for."""

from dataclasses import dataclass

from scaling.errors import ConfigError
from sweeps.config.rules.section import Section


@dataclass(frozen=True, kw_only=True)
class TargetsConfig(Section, place="targets"):
    """What of a block counts, for the objectives that do not ask for every next token."""

    mask_share: float | None = None
    """Of `objective: masked`: the share of each block's tokens that are hidden and asked for,
    rounded to whole tokens, one at least. Null: 0.15."""
    source_tokens: int | None = None
    """Of `objective: conditional`: how many tokens of each block are given and not asked for; all
    that follow are the target. Null: half of model.context."""

    def __post_init__(self) -> None:
        """Refuse shares and lengths that no block has."""
        if self.mask_share is not None and not 0 < self.mask_share < 1:
            raise ConfigError(
                f"{self.key('mask_share')} is {self.mask_share:g}; it lies between 0 and 1"
            )
        self.check_positive("source_tokens")
