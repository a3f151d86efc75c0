"""One planned run: what it is, what it costs, and the identity that follows from both."""

import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from scaling.columns import NATS_PER_TOKEN
from scaling.compute import FlopConvention
from sweeps.config.rules.targets import TargetsConfig
from sweeps.data.sources.base import CorpusFacts
from sweeps.models.family import ModelOptions, Shape, blocks_said
from sweeps.models.registry import find_family
from sweeps.objectives.base import Objective
from sweeps.objectives.registry import find_objective
from sweeps.planning.hyper_parameters.settings import TrainingSettings


@dataclass(frozen=True, kw_only=True)
class Branch:
    """How a run shares its past with longer ones: it forks from their trunk where it decays."""

    reference_tokens: float
    """The horizon whose learning rate, batch, beta2 and weight decay the trunk has."""
    rule_learning_rate: float
    """Learning rate of hidden matrices that the rule gives for the run's own horizon."""
    rule_batch_tokens: int
    """Batch that it gives for the run's own horizon. It follows from the rest of the plan, so it is
    no part of a run's identity."""
    trunk_horizons: tuple[float, ...] | None = None
    """Tokens of all runs that share the trunk, where its settings do not tell trunks apart."""
    paid_steps: int
    """Steps of the trunk that the next shorter branch has had trained: they cost this run
    nothing."""


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """One model to train: everything that decides its result, resolved."""

    shape: Shape
    family: str
    objective: str
    settings: TrainingSettings
    data: CorpusFacts
    recipe: str
    recipe_hash: str
    rotary_base: float
    precision: str
    seed: int
    held_out: bool
    """Hidden from fits: it is there to be predicted."""
    branch: Branch | None = None
    """Set where the run is a decay branch of a trunk that it shares with other runs."""
    targets: TargetsConfig | None = None
    """What of a block its objective asks for; None where that has no settings."""

    @cached_property
    def asks(self) -> Objective:
        """Its objective, by its settings and on its data."""
        symbols = self.data.used_vocab_size or self.data.vocab_size
        objective = find_objective(self.objective).suited_to(find_family(self.family))
        return objective.configured(self.targets, symbols)

    @cached_property
    def run_id(self) -> str:
        """Identity: a hash of every field, so that a changed plan is another run.

        A fact that is None says nothing, so a new kind of fact leaves earlier runs as they are.
        """
        return _hash(self._identity())

    @cached_property
    def trunk_id(self) -> str:
        """Identity of all that comes before the decay: equal for the branches of one trunk."""
        if self.branch is None:
            return self.run_id
        fields = self._identity()
        fields["settings"] = fields["settings"] | {"steps": None, "decay_steps": None}
        fields["branch"] = self.branch.trunk_horizons or self.branch.reference_tokens
        return _hash(fields)

    def _identity(self) -> dict[str, Any]:
        values = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        fields = {
            name: _plain(value) if name in _PARTS else value
            for name, value in values.items()
            if value is not None
        }
        if self.branch is not None:
            branch = fields["branch"].items()
            fields["branch"] = {key: value for key, value in branch if key != "rule_batch_tokens"}
        return fields

    @property
    def name(self) -> str:
        """A name for people; nothing parses it."""
        held_out = " held out" if self.held_out else ""
        return (
            f"d{self.shape.width} L{blocks_said(self.shape)} {self.train_flops:.2g} FLOP "
            f"seed {self.seed}{held_out}"
        )

    @property
    def loss_kind(self) -> str:
        """What its losses are, as the records say it: the objective's, of the corpus' tokens."""
        kind, unit = self.asks.loss_kind, self.data.token_unit
        return kind if unit is None else _TOKENS_ASKED.sub(unit, kind)

    @property
    def model_options(self) -> ModelOptions:
        """What its model computes with, besides the shape."""
        used = self.data.used_vocab_size
        if used is None and self.shape.vocab_size > self.data.vocab_size:
            used = self.data.vocab_size  # what follows are the objective's own
        return ModelOptions(
            residual_scale=self.settings.residual_scale,
            tied_logit_factor=self.settings.tied_logit_factor or 1.0,
            rotary_base=self.rotary_base,
            precision=self.precision,
            used_vocab_size=used,
            view=self.asks.view,
        )

    @property
    def batch_tokens(self) -> int:
        """Tokens an optimizer step learns from."""
        return self.settings.batch_sequences * self.shape.context

    @property
    def tokens(self) -> int:
        """Training tokens: whole steps."""
        return self.settings.steps * self.batch_tokens

    @property
    def train_flops(self) -> int:
        """FLOP of the training, with causal attention counted."""
        return self._flops(self.tokens)

    @property
    def marginal_flops(self) -> int:
        """FLOP that this run adds: without the part of its trunk that a shorter branch paid."""
        return self._flops(self._marginal_tokens(self.tokens))

    def _flops(self, tokens: int, convention: FlopConvention = FlopConvention.CAUSAL) -> int:
        """Of so many tokens, which are whole sequences."""
        return tokens // self.shape.context * self.shape.flops_per_sequence(convention)

    def _marginal_tokens(self, tokens: int) -> int:
        """What is its own of so many tokens."""
        paid = self.branch.paid_steps * self.batch_tokens if self.branch else 0
        return max(0, tokens - paid)

    def _targets_asked(self, steps: int) -> dict[str, int]:
        """How many targets had a loss; sentences differ in theirs, and say their mean instead."""
        if self.data.sequence_targets is not None:
            return {}
        context = self.shape.context
        targets = self.asks.targets_of(context)
        if self.data.source_tokens is not None:
            targets = min(targets, context + 1 - self.data.source_tokens)
        return {"target_tokens": steps * self.settings.batch_sequences * targets}

    def progress(self, steps: int) -> dict[str, int | bool]:
        """The columns of the records table that change with training, after so many steps of it:
        what was spent by then, whatever was planned."""
        tokens = steps * self.batch_tokens
        conventions = {
            f"flops_{convention}": self._flops(tokens, convention) for convention in FlopConvention
        }
        return {
            "steps": steps,
            "tokens": tokens,
            **self._targets_asked(steps),
            "unique_tokens": min(tokens, self.data.train_tokens),
            "train_flops": self._flops(tokens),
            **conventions,
            "marginal_flops": self._flops(self._marginal_tokens(tokens)),
            "cooled_down": steps == self.settings.steps,
        }

    def facts(self) -> dict[str, float | int | str | bool]:
        """The columns of the records table that are known before training."""
        shape, settings, data = self.shape, self.settings, self.data
        return {
            **shape.facts(),
            "held_out": self.held_out,
            "planned_steps": settings.steps,
            "planned_tokens": self.tokens,
            "planned_train_flops": self.train_flops,
            "precision": self.precision,
            "batch_tokens": self.batch_tokens,
            "learning_rate": settings.learning_rate,
            "learning_rate_capped": settings.learning_rate_capped,
            "weight_decay": settings.hidden.weight_decay,
            "beta2": settings.beta2,
            "warmup_tokens": settings.warmup_steps * self.batch_tokens,
            "decay_tokens": settings.decay_steps * self.batch_tokens,
            "schedule": settings.schedule,
            **self._branch_facts(),
            "seed": self.seed,
            "family": self.family,
            "objective": self.objective,
            "loss_kind": self.loss_kind,
            "data": data.data_hash,
            **({} if self.targets is None else _without_none([*vars(self.targets).items()])),
            **self._entropy_facts(),
            **_without_none([*data.codebook_facts.items()]),
            "eval_hash": data.eval_hash,
            "tokenizer": data.tokenizer,
            "tokenizer_hash": data.tokenizer_hash,
            "recipe": self.recipe,
            "recipe_hash": self.recipe_hash,
        }

    def facts_when_finished(self) -> dict[str, float | int | str | bool]:
        """What its record will say of its plan and its training once all of it is done."""
        return {**self.facts(), **self.progress(self.settings.steps)}

    def _entropy_facts(self) -> dict[str, float]:
        """The floor of its loss, where that is the loss of every next token."""
        if self.loss_kind not in NATS_PER_TOKEN:
            return {}
        return _without_none([*self.data.entropy_facts.items()])

    def _branch_facts(self) -> dict[str, float | int | str | bool]:
        if self.branch is None:
            return {}
        fork_step, rate = self.settings.fork_step, self.settings.learning_rate
        return {
            "trunk": self.trunk_id,
            "parent": self.trunk_id,
            "fork_step": fork_step,
            "fork_tokens": fork_step * self.batch_tokens,
            "decay_share": self.settings.decay_steps / self.settings.steps,
            "reference_tokens": self.branch.reference_tokens,
            "learning_rate_at_fork": rate,
            "learning_rate_rule": self.branch.rule_learning_rate,
            "learning_rate_mismatch": rate / self.branch.rule_learning_rate,
            "batch_mismatch": self.batch_tokens / self.branch.rule_batch_tokens,
        }


_TOKENS_ASKED = re.compile(r"(target_)?token$")
_PARTS = ("shape", "settings", "data", "branch", "targets")  # of a run, themselves of fields


@lru_cache(maxsize=4096)
def _plain(part: Any) -> dict[str, Any]:
    """A part of a plan as a dict, shared by the thousands of runs that differ in their seeds."""
    return dataclasses.asdict(part, dict_factory=_without_none)


def _without_none(items: list[tuple[str, Any]]) -> dict[str, Any]:
    return {key: value for key, value in items if value is not None}


def _hash(fields: dict[str, Any]) -> str:
    text = json.dumps(fields, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
