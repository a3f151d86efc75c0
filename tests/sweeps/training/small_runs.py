"""Small trainings whose losses are known to the last bit, on one thread of a CPU.

    python -m tests.sweeps.training.small_runs

writes what this machine's kind of CPU gives with this PyTorch into small_runs.json, beside what
others gave: by case, the training and validation losses of its runs as hexadecimal numbers. Do so
with another PyTorch, or where a change of the bits is meant; `ATEN_CPU_CAPABILITY=avx2` (or
`default`) speaks for lesser CPUs.
"""

import os

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"  # before torch is imported

import json
import platform
from pathlib import Path
from typing import Any

import torch

from sweeps.config.yaml_file import config_from_mapping
from sweeps.data.registry import load_corpus
from sweeps.planning.plan import plan_sweep
from sweeps.training.pack import settle_process, train_runs

_MARKOV = {"source": "markov", "order": 1, "symbols": 16, "validation_windows": 40}
_PAIRS = {"source": "pairs", "largest": 199, "validation_windows": 40, "max_epochs": 10}
_TASKS = {"source": "bigram-tasks", "symbols": 8, "tasks": 4, "validation_windows": 40}

KEPT = Path(__file__).with_suffix(".json")

#: By name, what of a config makes it; a case of one seed is a stack of one.
CASES: dict[str, dict[str, Any]] = {
    "one run": {},
    "four seeds, wsd": {"schedule": "wsd", "seed": [1, 2, 3, 4]},
    "swiglu, tied head": {"model": {"mlp": "swiglu", "tied_head": True}},
    "bigram tasks": {"data": _TASKS},
    "masked": {"objective": "masked", "seed": [1, 2]},
    "encoder-decoder": {
        "model": {"family": "encoder_decoder/1", "context": 60},
        "objective": "conditional",
        "data": _PAIRS,
        "seed": [1, 2],
    },
    "linear": {"model": {"family": "linear_lm/1", "head_size": None}, "seed": [1, 2]},
    "micro-batches": {"launch": {"speed": {"micro_sequences": 3}}},
    "bfloat16": {"model": {"precision": "bf16"}},
}


def losses(**case: Any) -> dict[str, list[str]]:
    """Of one case: each run's last training losses, and its validation loss."""
    model = {"family": "slt-dec/1", "context": 16, "head_size": 8} | case.get("model", {})
    config = config_from_mapping(
        {
            "name": "small",
            "grid": {"width": 16, "tokens": 4000, "seed": case.get("seed", [1])},
            "model": {key: value for key, value in model.items() if value is not None},
            "data": case.get("data", _MARKOV),
            "objective": case.get("objective", "causal"),
            "recipe": {"name": "cpt-adamw-tiny/1"},
            "launch": {"device": "cpu", "workers": 1} | case.get("launch", {}),
        }
        | {key: case[key] for key in ("schedule",) if key in case}
    )
    plans = plan_sweep(config).runs
    corpus = load_corpus(config.data, config.model.context)
    trained = train_runs(plans, corpus, config.launch)
    return {
        "training": [run.points[-1].loss.hex() for run in trained],
        "validation": [run.loss.hex() for run in trained],
    }


def machine() -> str:
    """What the bits of sums depend on beside the code: PyTorch, the maker of the CPU (products are
    chosen by it), and the widest vectors that are used."""
    maker, listed = platform.machine(), Path("/proc/cpuinfo")
    for line in listed.read_text().splitlines() if listed.exists() else ():
        if line.startswith("vendor_id"):
            maker = line.split(":")[1].strip()
            break
    version = torch.__version__.partition("+")[0]
    return f"torch {version}, {maker}, {torch.backends.cpu.get_cpu_capability()}"


def kept() -> dict[str, dict[str, dict[str, list[str]]]]:
    """The losses of all cases, by machine."""
    found: dict[str, dict[str, dict[str, list[str]]]] = json.loads(KEPT.read_text())
    return found


def main() -> None:
    """Keep the losses of all cases."""
    settle_process(threads=1)
    found = {name: losses(**case) for name, case in CASES.items()}
    before = kept() if KEPT.exists() else {}
    KEPT.write_text(json.dumps(before | {machine(): found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
