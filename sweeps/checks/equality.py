"""Ways of training the same run that must give the same numbers, to the last bit on a CPU."""

import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sweeps.checks.finding import Bench, Finding
from sweeps.planning.hyper_parameters.settings import with_learning_rate_factor
from sweeps.planning.run_plan import RunPlan
from sweeps.training.plain_loop import train_plainly

_STEPS = 40
#: Later, differences of rounding have grown by the training itself.
_ACCUMULATED_STEPS = 20


def check_packing(bench: Bench) -> Iterator[Finding]:
    """Four runs in one stack, each with a seed and a learning rate of its own, against four runs
    alone."""
    plans = [
        dataclasses.replace(run, settings=with_learning_rate_factor(run.settings, factor))
        for seed, factor in ((1, 0.5), (2, 1.0), (3, 2.0), (4, 4.0))
        for run in [short_run(bench, seed)]
    ]
    together = train_plainly(plans, bench.corpus, sequences=16).losses
    worst = max(
        float((train_plainly([plan], bench.corpus, sequences=16).losses[:, 0] - packed).abs().max())
        for plan, packed in zip(plans, together.T, strict=True)
    )
    yield Finding(
        check="packed equals single",
        measured=worst,
        threshold=0.0,
        is_invariant=True,
        detail=f"largest difference of a loss over {_STEPS} steps of 4 runs",
    )


def check_trainer(bench: Bench) -> Iterator[Finding]:
    """The Lightning Trainer's run against the plain loop's, and against itself."""
    from sweeps.training.pack import train_run

    plan = short_run(bench)
    launch = bench.launch()
    plain = train_plainly([plan], bench.corpus)
    trained, again = (train_run(plan, bench.corpus, launch) for _ in range(2))
    for check, weights, loss in (
        ("Lightning equals plain loop", plain.weights[0], float(plain.validation_losses[0])),
        ("determinism: the same run twice", again.weights, again.loss),
    ):
        yield Finding(
            check=check,
            measured=float((trained.weights - weights).abs().max()),
            threshold=0.0,
            is_invariant=True,
            detail=f"largest difference of a weight after {_STEPS} steps; losses differ by "
            f"{abs(trained.loss - loss):.1g}",
        )


def check_accumulation(bench: Bench) -> Iterator[Finding]:
    """Gradients summed over micro-batches against whole batches."""
    from sweeps.training.pack import train_run

    plan = short_run(bench)
    launch = bench.launch(inner_steps=1)
    whole = train_run(plan, bench.corpus, launch).points[:_ACCUMULATED_STEPS]
    for parts in (2, 4):
        size = max(1, plan.settings.batch_sequences // parts)
        cut = launch.changed(speed={"micro_sequences": size})
        points = train_run(plan, bench.corpus, cut).points
        yield Finding(
            check=f"accumulation over {parts} micro-batches equals the full batch",
            measured=max(
                abs(point.loss / other.loss - 1)
                for point, other in zip(whole, points, strict=False)
            ),
            threshold=1e-5,  # float32 sums in another order, amplified by the steps
            is_invariant=True,
            detail=f"largest relative difference of a loss over {_ACCUMULATED_STEPS} steps",
        )


def check_resume(bench: Bench) -> Iterator[Finding]:
    """A run that goes on from a checkpoint file against one that was never stopped."""
    from sweeps.training.checkpoints.stack_state import StackState
    from sweeps.training.checkpoints.state_file import CheckpointFile
    from sweeps.training.stack import Stack

    plans = [short_run(bench, seed) for seed in (1, 2)]
    launch = bench.launch()
    straight, stopped, resumed = (Stack(plans, bench.corpus, launch) for _ in range(3))
    straight.advance(_STEPS)
    stopped.advance(_STEPS // 2)
    with tempfile.TemporaryDirectory() as folder:
        file = CheckpointFile(path=Path(folder) / "state", identity={})
        file.save(stopped.state().content())
        loaded = file.load()
    assert loaded is not None, "what was just saved is there"
    resumed.restore(StackState.from_content(loaded.content))
    resumed.advance(_STEPS)
    yield Finding(
        check="resumed equals uninterrupted",
        measured=float(
            (straight.model.whole_weights() - resumed.model.whole_weights()).abs().max()
        ),
        threshold=0.0,
        is_invariant=True,
        detail=f"largest difference of a weight after {_STEPS} steps, stopped at {_STEPS // 2}",
    )


def short_run(bench: Bench, seed: int = 1) -> RunPlan:
    """A run of the smallest shape whose schedule fits into a few steps."""
    plan = bench.plan(bench.widths[0], bench.depths[0], seed)
    settings = dataclasses.replace(
        plan.settings, steps=_STEPS, warmup_steps=10, decay_steps=_STEPS - 10
    )
    return dataclasses.replace(plan, settings=settings)
