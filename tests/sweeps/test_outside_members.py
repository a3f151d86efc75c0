"""A family and an objective that the package does not know train through its door: from a config
to a plan, a run in the store, and a record."""

import math
from dataclasses import dataclass
from functools import partial

import pytest
import torch
import torch.nn.functional as F

from scaling.compute import FlopConvention
from scaling.errors import ConfigError
from scaling.store.one_run.run_state import RunState
from sweeps.config.yaml_file import config_from_mapping
from sweeps.data.batch import Batch
from sweeps.models.family import ModelOptions
from sweeps.models.registry import FAMILIES
from sweeps.models.stacked import StackedWeights
from sweeps.objectives.causal import Causal
from sweeps.objectives.registry import CAUSAL, OBJECTIVES
from sweeps.planning.plan import plan_sweep
from sweeps.running.runner import run_sweep
from sweeps.training.evaluation import stack_losses
from tests.conformance.family import FamilyContract
from tests.conformance.memory_store import MemoryStore
from tests.conformance.objective import ObjectiveContract


@dataclass(frozen=True, kw_only=True)
class BagShape:
    """An embedding, and a head on its mean over what a position sees."""

    width: int
    context: int
    vocab_size: int
    depth: int = 1

    @property
    def params(self):
        return 2 * self.vocab_size * self.width

    @property
    def params_matmul(self):
        return self.vocab_size * self.width

    params_embedding = params_head = params_matmul

    def flops_per_sequence(self, convention=FlopConvention.CAUSAL):
        return 6 * self.params_matmul * self.context

    def facts(self):
        names = ("width", "depth", "context", "vocab_size", "params", "params_embedding")
        return {name: getattr(self, name) for name in (*names, "params_head")}


class Bag(StackedWeights):
    def __init__(self, shape, seeds, options):
        super().__init__()
        self.layout = {
            "embedding": (shape.vocab_size, shape.width),
            "head": (shape.width, shape.vocab_size),
        }
        self.options = options
        self.used = options.used_vocab_size or shape.vocab_size
        self.start(torch.stack([self.drawn(shape, seed) for seed in seeds]))

    @staticmethod
    def drawn(shape, seed):
        generator = torch.Generator().manual_seed(seed)
        embedding = torch.randn(shape.params_embedding, generator=generator)
        return torch.cat([embedding, torch.zeros(shape.params_head)])

    def forward(self, tokens):
        weights = self.matrices()
        rows = torch.stack([F.embedding(*pair) for pair in zip(tokens, weights["embedding"])])  # noqa: B905
        if self.options.view == "past":
            counts = torch.arange(1, tokens.shape[-1] + 1).view(-1, 1)
            mean = rows.cumsum(dim=2) / counts
        else:
            mean = rows.mean(dim=2, keepdim=True).expand_as(rows)
        return torch.bmm(mean.flatten(1, 2), weights["head"])[..., : self.used]


@dataclass(frozen=True)
class BagFamily:
    name: str = "bag/1"
    views: frozenset = frozenset({"past", "both"})
    can: frozenset = frozenset()
    recipe_note: str = "its rules were measured on the decoder alone"

    def shape(self, model, sizes):
        model.check_unused(f"is not used by family {self.name}; leave it out", "mlp", "tied_head")
        if sizes.depth != 1:
            raise ConfigError(f"depth is {sizes.depth}; {self.name} has no blocks, give 1")
        return BagShape(width=sizes.width, context=model.context, vocab_size=sizes.vocab_size)

    def build(self, shape, seeds, options):
        return Bag(shape, seeds, options)


def hidden_tokens(batch, seed, first_step):
    """A fifth of the tokens hidden, chosen by seed and step, and asked for."""
    steps = range(first_step, first_step + len(batch.inputs))
    generators = [torch.Generator().manual_seed(1_000_003 * seed + step) for step in steps]
    draw = partial(torch.rand, batch.inputs.shape[1:])
    hidden = torch.stack([draw(generator=one) for one in generators]) < 0.2
    return Batch(batch.inputs.masked_fill(hidden, 0), batch.inputs, hidden.float())


@dataclass(frozen=True)
class Hidden(Causal):
    name: str = "hidden"
    view: str = "both"
    loss_kind: str = "nats_per_masked_token"

    def asked(self, batch, seed, first_step):
        return hidden_tokens(batch, seed, first_step)


class TestBagFamily(FamilyContract):
    family = BagFamily()
    sizes = [({"context": 24}, 12, 1, 33), ({"context": 7}, 32, 1, 256)]


class TestHidden(ObjectiveContract):
    objective = Hidden()


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setitem(FAMILIES, "bag/1", BagFamily())
    monkeypatch.setitem(OBJECTIVES, "hidden", Hidden())


@pytest.fixture
def planned(registered, tiny_mapping):
    """A function: changes of a sweep of the bag -> its plan."""

    def plan(**changes):
        model = {"family": "bag/1", "context": 32}
        grid = {"width": [12, 20], "tokens": 8000, "seed": [1, 2]}
        mapping = tiny_mapping | {"grid": grid, "held_out": [], "model": model} | changes
        return plan_sweep(config_from_mapping(mapping))

    return plan


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("objective", ["causal", "hidden"])
def test_an_outside_family_and_objective_train_from_a_config_to_a_record(planned, objective):
    plan, store = planned(objective=objective), MemoryStore()
    assert run_sweep(plan, store).count(RunState.FINISHED) == len(plan.runs) == 4
    for run in plan.runs:
        record = store.records[run.run_id]
        assert (record["family"], record["objective"]) == ("bag/1", objective)
        assert record["loss_kind"] == OBJECTIVES[objective].loss_kind
        assert record["params"] == 2 * 256 * run.shape.width
        assert record["train_flops"] == 6 * 256 * run.shape.width * run.tokens
        assert record["replicas"] == 2
        assert 0 < record["loss_stderr"] < record["loss"] < math.log(256) - 1
        # Bits per byte are those of every token; a masked loss is not.
        assert (record["bits_per_byte"] is None) == (objective == "hidden")


@pytest.mark.usefixtures("in_this_process")
def test_its_learning_rate_is_checked_and_its_trunks_branch(planned):
    grid = {"width": 12, "tokens": [8000, 12_000]}
    plan = planned(
        objective="hidden",
        schedule="wsd",
        grid=grid,
        health={"check_learning_rate": True, "seeds": 1},
    )
    store = MemoryStore()
    assert run_sweep(plan, store).count(RunState.FINISHED) == 2
    short, long = (store.records[run.run_id] for run in plan.runs)
    assert short["trunk"] == long["trunk"]
    assert short["health"] in ("ok", "soft", "edge", "cap")


def test_another_objective_makes_another_run(planned):
    bag, asked = planned(), planned(objective="hidden")
    assert {run.run_id for run in bag.runs}.isdisjoint(run.run_id for run in asked.runs)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": "hiden"}, 'objective is "hiden"; did you mean "hidden"'),
        ({"model": {"family": "bag"}}, 'model.family is "bag"; did you mean "bag/1"'),
        (
            {"model": {"family": "linear_lm/1"}, "objective": "hidden"},
            'lets a position see both sides.*"linear_lm/1" cannot',
        ),
        ({"launch": {"speed": {"compile": True}}}, 'speed.compile: model.family "bag/1" cannot'),
        (
            {"launch": {"resources": {"devices": 2, "strategy": "fsdp"}}},
            'strategy fsdp: model.family "bag/1" cannot shard',
        ),
        ({"model": {"family": "bag/1", "mlp": "swiglu"}}, "model.mlp is not used by family bag/1"),
        ({"grid": {"width": 12, "depth": 2, "tokens": 8000}}, "depth is 2; bag/1 has no blocks"),
    ],
)
def test_what_a_family_cannot_do_is_refused_before_anything_is_spent(planned, changes, message):
    with pytest.raises(ConfigError, match=message):
        planned(**changes)


def test_a_sequence_counts_by_the_weight_of_its_targets():
    """Validation loss is a ratio of sums; its standard error that of the ratio, by jackknife."""
    generator = torch.Generator().manual_seed(0)
    weights = (torch.rand(200, 8, generator=generator) < 0.3).float()
    targets = torch.randint(9, (200, 8), generator=generator)
    held = Batch(targets, targets, weights)
    corpus = type("Weighted", (), {"validation": held})()
    model = Bag(BagShape(width=4, context=8, vocab_size=9), [1, 2], ModelOptions())
    with torch.no_grad():
        model.weights += torch.randn(model.weights.shape, generator=generator)
        losses = stack_losses(model, corpus, CAUSAL)
        logits = model(targets.expand(2, -1, -1)).view(2, 200, 8, 9)
    nats = F.cross_entropy(
        logits.movedim(-1, 1).double(), targets.expand(2, -1, -1), reduction="none"
    )
    sums, counts = (nats * weights).sum(dim=2), weights.sum(dim=1)
    torch.testing.assert_close(losses.mean(dim=1), sums.sum(dim=1) / counts.sum())
    left_out = (sums.sum(dim=1, keepdim=True) - sums) / (counts.sum() - counts)
    jackknife = (left_out.var(dim=1, unbiased=False) * 199).sqrt()
    # Equal to first order in one over the number of sequences.
    torch.testing.assert_close(losses.std(dim=1) / 200**0.5, jackknife, rtol=0.01, atol=0)
