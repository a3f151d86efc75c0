"""A sweep in a run store: some runs finished, one that trains, others to come."""

from scaling.store.run_store import RunStore
from sweeps.config.yaml_file import config_from_mapping
from sweeps.planning.plan import plan_sweep
from sweeps.running.page import show_plan
from tests.grids import true_loss

CONFIG = {
    "name": "ladder",
    "grid": {"width": [16, 24, 32], "tokens": [4000, 8000, 16000], "seed": [1, 2]},
    "model": {"context": 16, "head_size": 8},
    "data": {"source": "markov", "symbols": 16, "validation_windows": 100},
    "recipe": {"name": "cpt-adamw-tiny/1"},
}


def sweep_under_way(uri, folder, **config):
    """The store with its plan: twelve runs finished, one at six tenths of its steps."""
    launch = {"device": "cpu", "checkpoints": {"folder": str(folder / "checkpoints")}}
    plan = plan_sweep(config_from_mapping(CONFIG | {"launch": launch} | config))
    kept = RunStore.open(plan.name, uri).with_parent({})
    show_plan(plan, kept)
    for run in plan.runs[:12]:
        log(kept, run)
    log(kept, plan.runs[12], share=0.6)
    return kept, plan


def log(store, run, share=1.0):
    """One run with its curve, finished or on its way."""
    loss = float(true_loss(float(run.shape.params), float(run.tokens))) / 20
    writer = store.start_run(run.run_id, run.name, run.facts())
    steps = range(1, round(run.settings.steps * share) + 1)
    writer.log_curve([{"step": step, "train_loss": loss + 2.0 / step} for step in steps])
    writer.log_progress(run.progress(steps[-1]))
    if share == 1.0:
        timed = {"wall_seconds": 2.0, "device_seconds": 2.0}
        writer.finish({"loss": loss} | run.progress(steps[-1]) | timed)
    else:
        writer.flush()
