"""Where each constant of a recipe comes from: measured here, taken from a paper, or never varied.

One row is one value of one constant, whichever recipes have it. Tests hold the rows against
`RECIPES`; `scaling plan` counts them, and docs/reference/recipes.md is made of them.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from scaling.words import counted
from sweeps.config.recipe import Recipe

#: measured: on runs of this project. literature: from published runs or formulas. unmeasured: a
#: convention or a choice that nothing here was trained to test.
Origin = Literal["measured", "literature", "unmeasured"]
ORIGINS: tuple[str, ...] = get_args(Origin)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What speaks for one value of one constant."""

    constant: str
    value: float | str
    origin: Origin
    interval: tuple[float, float] | None = None
    """Between which the best value lies, as far as it was measured; None: nothing was varied, or it
    is no number."""
    basis: str
    """On what: text, widths, tokens, seeds and the numbers; or which paper."""
    where: str = ""
    """The section of docs/log.md that has the measurement, by how its title begins."""


_TEXT = "quick-start text"
_CLEAN = "The quick-start ladder: what made it clean"
_CHECKS = "Checks of the training: what holds, and where"
_BRANCHES = "Branches that equal runs of their own"
_DEPTH = "Learning rates over depth: still not decided"
_DECIDED = "Learning rates over depth: a rule"
_TIED = "A tied head as well tuned as a head of its own"
_ROUND = "Three rungs on five seeds, and ladders under four recipes"
_JOINT = "The quick start's recipe tuned at two rungs at once"
_EARLIER = "a trial before this project, one seed a value"

EVIDENCE: tuple[Evidence, ...] = (
    Evidence(
        constant="base_learning_rate",
        value=0.0054,
        origin="literature",
        interval=(0.0043, 0.0069),
        basis="our refit of the optima of StepLaw's public runs (Li et al. 2025, "
        "arXiv:2503.04715): "
        "widths 960 to 2048, 4e9 to 1e11 tokens, 67 cells, residual .12 in ln; at 2e5 tokens and "
        "widths 32 and 128 the optimum was 1.2 and 1.3 times the rule's; at 8e5 tokens and width "
        "32 1.33 +- .11 at depth 2, 1.22 +- .15 at depth 8",
        where=_DEPTH,
    ),
    Evidence(
        constant="base_learning_rate",
        value=0.0108,
        origin="measured",
        interval=(0.0093, 0.0147),
        basis=f"{_TEXT}, three rates by parabola: 32 : 1.2e11 x 1.20, 64 : 2.4e11 x 1.36 (2 to 4 "
        "seeds); five rates, three seeds, 2e5 tokens: x .98 at width 32, x .86 at 128; as a mean "
        "over a run, tuned jointly: x 1.01 (.96 to 1.07) at 32 : 3e10, x 1.07 (.98 to 1.18) at "
        "48 : 2.4e11; by cpt-adamw-tiny/3, x 1.35 is .4 +- .8, .2 +- .2 and .5 +- .1% lower at "
        "32 : 3e10, 48 : 2.4e11 and 64 : 8e11 (five seeds)",
        where=_ROUND,
    ),
    Evidence(
        constant="learning_rate_rule",
        value="refit",
        origin="literature",
        basis="our refit of StepLaw's public runs (arXiv:2503.04715)",
    ),
    Evidence(
        constant="learning_rate_batch_exponent",
        value=0.70,
        origin="literature",
        interval=(0.68, 0.79),
        basis="our refit of StepLaw's public runs (arXiv:2503.04715): .72 +- .02 over 67 cells, "
        ".75 +- .02 over the 39 of smaller batch; no exponent was measured at tiny sizes",
    ),
    Evidence(
        constant="learning_rate_tokens_exponent",
        value=-0.27,
        origin="literature",
        interval=(-0.32, -0.21),
        basis="our refit of StepLaw's public runs (arXiv:2503.04715): -.25 +- .02 over 67 cells, "
        "-.30 +- .01 over 39; no exponent was measured at tiny sizes",
    ),
    Evidence(
        constant="learning_rate_depth_exponent",
        value=-0.13,
        origin="measured",
        interval=(-0.20, -0.05),
        basis=f"{_TEXT}, width 32, 8e5 tokens, depth 2 and 8, five rates, six seeds: ln ratio of "
        "the best rates -.20 +- .07, with 32 earlier runs -.18 +- .06; at the constants of "
        "cpt-adamw/1",
        where=_DECIDED,
    ),
    Evidence(
        constant="max_hidden_learning_rate",
        value=0.06,
        origin="unmeasured",
        basis="a guard that bound in no ladder above width 8",
    ),
    Evidence(
        constant="embedding_learning_rate_factor",
        value=20.0,
        origin="measured",
        interval=(5.0, 80.0),
        basis=f"{_TEXT}, 48 : 1.2e11: 1.985, 1.931, 1.990 at 5, 20, 80 (3 or 4 seeds, sd .4 to "
        "1%), parabola 19; at the constants of cpt-adamw-tiny/1",
        where=_CLEAN,
    ),
    Evidence(
        constant="large_vocab_size",
        value=16384,
        origin="unmeasured",
        basis="that the rate falls as the root of the width for large vocabularies is Hayou & Liu "
        "2025 (arXiv:2506.15025); from which size on is a choice",
    ),
    Evidence(
        constant="base_batch_tokens",
        value=65536.0,
        origin="literature",
        interval=(49_000.0, 131_000.0),
        basis="two thirds of the best batch of our refit of StepLaw's public runs "
        "(arXiv:2503.04715), 97,000 at 1e9 tokens; half of the best costs .24% of the loss there, "
        "twice .52%",
    ),
    Evidence(
        constant="base_batch_tokens",
        value=16384.0,
        origin="measured",
        interval=(8192.0, 32768.0),
        basis=f"96 symbols of the {_TEXT}, width 32, 4e5 tokens: 1.924, 1.883, 1.877 at 65,536, "
        f"32,768, 16,384 ({_EARLIER}); half of it is no worse with wsd",
        where=_BRANCHES,
    ),
    Evidence(
        constant="base_batch_tokens",
        value=8192.0,
        origin="measured",
        interval=(5200.0, 10500.0),
        basis=f"{_TEXT}, width 32, 6e5 tokens, wsd, four seeds: 1.932, 1.932, 1.934, 1.948 at 128, "
        "192, 256, 384 tokens a step",
        where=_BRANCHES,
    ),
    Evidence(
        constant="min_batch_sequences",
        value=4,
        origin="measured",
        interval=(2, 4),
        basis=f"{_TEXT}, width 32, 6e5 tokens, wsd, four seeds: 1.932, 1.932, 1.934 at 2, 3, 4 "
        "sequences; more of them take less time",
        where=_BRANCHES,
    ),
    Evidence(
        constant="warmup_share",
        value=0.05,
        origin="measured",
        interval=(0.05, 0.2),
        basis=f"96 symbols of the {_TEXT}, width 32, 4e5 tokens: .2 gives 1.864 for 1.880, within "
        f"its noise ({_EARLIER}); not settled",
    ),
    Evidence(
        constant="warmup_share",
        value=0.005,
        origin="measured",
        interval=(0.0, 0.02),
        basis=f"{_TEXT}, width 48, 1.5e5 tokens, wsd: 10 steps cost .3%, 14 .6%, 31 2.2% (the last "
        "with a longer memory as well); tuned jointly: e times the share costs .9 +- .2% at "
        "32 : 3e10, .2 +- .3% at 48 : 2.4e11",
        where=_JOINT,
    ),
    Evidence(
        constant="min_warmup_steps",
        value=10,
        origin="unmeasured",
        basis="a choice; it binds below 200 steps, in cpt-adamw-tiny/2 below 2,000",
    ),
    Evidence(
        constant="schedule",
        value="linear",
        origin="unmeasured",
        basis="a choice: each horizon is a run of its own; where both were tuned, at tiny sizes, "
        "wsd ended .6% lower",
    ),
    Evidence(
        constant="schedule",
        value="wsd",
        origin="measured",
        basis=f"{_TEXT}, tuned jointly with the rest: wsd is .6 +- .3% below linear at 32 : 3e10 "
        "and .6 +- .5% at 48 : 2.4e11",
        where=_JOINT,
    ),
    Evidence(
        constant="decay_share",
        value=0.2,
        origin="literature",
        basis="cooldown over a fifth as 1 - sqrt: Hägele et al. 2024 (arXiv:2405.18392)",
    ),
    Evidence(
        constant="max_trunk_span",
        value=4.0,
        origin="measured",
        interval=(1.0, 4.0),
        basis=f"{_TEXT}, width 32, eight seeds: within 1% of runs of their own over 1.5e5 to 6e5 "
        "tokens; longer spans were not tried",
        where=_BRANCHES,
    ),
    Evidence(
        constant="max_trunk_span",
        value=1.0,
        origin="unmeasured",
        basis="a choice: every horizon is a run of its own, whose noise no other run shares",
    ),
    Evidence(
        constant="anchor_tokens_per_param",
        value=10.0,
        origin="measured",
        interval=(5.0, 20.0),
        basis=f"{_TEXT}, widths 32 and 48, 1.5e5 to 6e5 tokens, 8 to 16 seeds: 10 gains .2 +- .1% "
        "on settings of each own horizon, 20 loses up to 2% on short branches; below 10 not tried",
        where=_BRANCHES,
    ),
    Evidence(
        constant="rate_falls_from",
        value=0.25,
        origin="measured",
        interval=(0.0625, 0.5),
        basis=f"{_TEXT}, width 48, 1.5e5 tokens: .5 costs 1.1%, .125 and .0625 are no better",
        where=_BRANCHES,
    ),
    Evidence(
        constant="reference_mean_rate",
        value=0.5,
        origin="measured",
        interval=(0.5, 0.6),
        basis=f"{_TEXT}, width 32, wsd: the best peak is .61, .68, .70 of linear's at 1.5e5, 3e5, "
        "6e5 tokens, the ratio of the means .594",
        where=_BRANCHES,
    ),
    Evidence(
        constant="beta1", value=0.9, origin="unmeasured", basis="the convention; never varied"
    ),
    Evidence(
        constant="beta2_steps",
        value=46.0,
        origin="measured",
        interval=(46.0, 92.0),
        basis=f"{_TEXT}, 32 : 1.2e11, four seeds: 1.917, and 1.918 at twice as much",
        where=_CLEAN,
    ),
    Evidence(
        constant="beta2_steps",
        value=92.0,
        origin="measured",
        interval=(46.0, 92.0),
        basis=f"{_TEXT}, width 48, 1.5e5 tokens, wsd: beta2 .95 for .985 is up to 1.6% better "
        "(changed together with the warm-up)",
        where=_BRANCHES,
    ),
    Evidence(
        constant="epsilon",
        value=1e-10,
        origin="unmeasured",
        basis="small beside every gradient; over width and depth as in CompleteP (Dey et al. 2025, "
        "arXiv:2505.01618)",
    ),
    Evidence(
        constant="decay_timescale",
        value=0.22,
        origin="literature",
        basis="Bergsma et al. 2025 (arXiv:2505.13738): the timescale is a power law in tokens a "
        "parameter; what was measured here is weight_decay_factor on top",
    ),
    Evidence(
        constant="decay_timescale_exponent",
        value=-0.5,
        origin="literature",
        basis="Bergsma et al. 2025 (arXiv:2505.13738), who find about -.53; not measured here",
    ),
    Evidence(
        constant="weight_decay_factor",
        value=1.0,
        origin="literature",
        basis="none: the timescale of Bergsma et al. 2025 (arXiv:2505.13738) as it is",
    ),
    Evidence(
        constant="weight_decay_factor",
        value=2.0,
        origin="measured",
        interval=(0.5, 2.0),
        basis=f"96 symbols of the {_TEXT}, width 32: 1.892 for 1.913 at 1 ({_EARLIER}); with the "
        "final constants 1 is better by 1.0% at 3e5 tokens and 2.0% at 6e5, so 2 is too much",
        where=_BRANCHES,
    ),
    Evidence(
        constant="weight_decay_factor",
        value=0.6,
        origin="measured",
        interval=(0.4, 0.85),
        basis=f"{_TEXT}, width 32, wsd, four seeds: the best of four decays at 3e5 and at 6e5 "
        "tokens, a quarter and an eighth to a quarter of cpt-adamw-tiny/1's",
        where=_BRANCHES,
    ),
    Evidence(
        constant="weight_decay_factor",
        value=0.9,
        origin="measured",
        interval=(0.4, 0.95),
        basis=f"{_TEXT}, around cpt-adamw-tiny/3 at 32 : 3e10, 48 : 2.4e11 and 64 : 8e11, five "
        "seeds: half of it .1 +- .4, .1 +- .1 and .3 +- .1% lower, twice .8 +- .3, 1.8 +- .1 and "
        "1.0 +- .2% higher; jointly with the rest .95 (.64 to 2.00) on 98 earlier runs",
        where=_ROUND,
    ),
    Evidence(
        constant="tied_logit_factor",
        value=12.8,
        origin="measured",
        interval=(6.4, 25.6),
        basis=f"{_TEXT}, one block, 32 : 3e10 and 64 : 1.2e11, three to four seeds: 1.0 +- .8% and "
        "1.5 +- .3% below a head of its own; at width 64 half of it is .9 +- .1% worse, twice .5 "
        "+- .1%; with the constants of cpt-adamw-tiny/3 1.6 +- 1.0% and 1.1 +- .7% below (half: "
        "1.8, .6; twice: 1.3, .5); 256 over embedding_learning_rate_factor, so not fitted",
        where=_TIED,
    ),
    Evidence(
        constant="max_gradient_norm",
        value=1.0,
        origin="unmeasured",
        basis="the convention; never varied",
    ),
    Evidence(
        constant="z_loss", value=1e-5, origin="unmeasured", basis="the convention; never varied"
    ),
)


def evidence_of(recipe: Recipe) -> Mapping[str, Evidence]:
    """What speaks for each constant of a recipe that has a row with its value, by the constant's
    name; one that is None is no rule and needs none."""
    return {row.constant: row for row in EVIDENCE if getattr(recipe, row.constant) == row.value}


def evidence_in_words(recipe: Recipe, given: Collection[str] = ()) -> str:
    """How many constants of a recipe are measured, of the literature, or neither, in a line.

    given: those that the config states itself, which no row speaks for.
    """
    rows = evidence_of(recipe)
    by_origin = {
        origin: [name for name, row in rows.items() if row.origin == origin and name not in given]
        for origin in ORIGINS
    }
    parts = [
        f"{len(by_origin['measured'])} were measured",
        f"{len(by_origin['literature'])} are from the literature",
        f"{len(by_origin['unmeasured'])} were never varied ({', '.join(by_origin['unmeasured'])})",
    ]
    if given:
        parts.append(f"{len(given)} {'is' if len(given) == 1 else 'are'} the config's own")
    total = sum(map(len, by_origin.values())) + len(given)
    return f"of {counted(total, 'constant')} {', '.join(parts)}"
