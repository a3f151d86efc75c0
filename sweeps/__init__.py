"""What spends compute: sweep configs, plans, models, data, training.

    from scaling import RunStore
    from sweeps import load_config, plan_sweep, run_sweep

    plan = plan_sweep(load_config("configs/quickstart.yaml"))
    run_sweep(plan, RunStore.open(plan.name))

Each name is imported when it is first used, so that ``import sweeps`` stays light.
"""

from typing import TYPE_CHECKING

from scaling.lazy import offer

if TYPE_CHECKING:
    from sweeps.checks.run import CheckReport as CheckReport
    from sweeps.checks.run import run_checks as run_checks
    from sweeps.config.sweep import SweepConfig as SweepConfig
    from sweeps.config.yaml_file import config_from_mapping as config_from_mapping
    from sweeps.config.yaml_file import load_config as load_config
    from sweeps.generation.decoding.sampling import SamplingRule as SamplingRule
    from sweeps.generation.kept_runs import KeptRun as KeptRun
    from sweeps.generation.kept_runs import kept_runs as kept_runs
    from sweeps.generation.texts.continuations import ContinuedPrompt as ContinuedPrompt
    from sweeps.generation.texts.continuations import continue_prompt as continue_prompt
    from sweeps.generation.texts.scored_texts import ScoredText as ScoredText
    from sweeps.generation.texts.scored_texts import score_text as score_text
    from sweeps.planning.plan import SweepPlan as SweepPlan
    from sweeps.planning.plan import plan_sweep as plan_sweep
    from sweeps.planning.run_plan import RunPlan as RunPlan
    from sweeps.running.runner import SweepOutcome as SweepOutcome
    from sweeps.running.runner import run_sweep as run_sweep
    from sweeps.status.ledger import SweepStanding as SweepStanding
    from sweeps.status.ledger import sweep_standing as sweep_standing

_HOMES = {
    "sweeps.config.sweep": ("SweepConfig",),
    "sweeps.config.yaml_file": ("config_from_mapping", "load_config"),
    "sweeps.planning.run_plan": ("RunPlan",),
    "sweeps.planning.plan": ("SweepPlan", "plan_sweep"),
    "sweeps.checks.run": ("CheckReport", "run_checks"),
    "sweeps.generation.kept_runs": ("KeptRun", "kept_runs"),
    "sweeps.generation.decoding.sampling": ("SamplingRule",),
    "sweeps.generation.texts.continuations": ("ContinuedPrompt", "continue_prompt"),
    "sweeps.generation.texts.scored_texts": ("ScoredText", "score_text"),
    "sweeps.running.runner": ("SweepOutcome", "run_sweep"),
    "sweeps.status.ledger": ("SweepStanding", "sweep_standing"),
}
__all__, __getattr__, __dir__ = offer("sweeps", _HOMES)
