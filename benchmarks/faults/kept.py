"""Damaged files of weights, and prompts, texts and numbers that no model takes."""

import random
from collections.abc import Iterator
from pathlib import Path

from benchmarks.faults.trial import FaultClass, Trial
from benchmarks.faults.verb import run_verb

_NUMBERS = ("0", "-1", "1", "2", "0.5", "1e300", "-1e300", "nan", "inf", "1e-300", "99999999999999")
_WHOLE = ("0", "-1", "1", "3", "17", "1e30", "99999999999999999999", "x", "1.5", "")
_TEXTS = ("", " ", "a", "aab", "a a b <end>", "<start>", "<pad>", "c", "\udcff", "\x00", "\x1b[31m")
_FLAGS = {
    "sample": {
        "--temperature": _NUMBERS,
        "--top-p": _NUMBERS,
        "--min-p": _NUMBERS,
        "--top-k": _WHOLE,
        "--tokens": _WHOLE,
        "--samples": ("0", "-1", "1", "5", "1025", "1e9"),
        "--seed": _WHOLE,
        "--prompt": (*_TEXTS, "a" * 30),
        "--where": ("seed = 1", "nonsense", ""),
    },
    "score": {"--prompt": (*_TEXTS, "a" * 30), "--text": (*_TEXTS, "ab" * 40)},
}


def weights_of(folder: Path) -> Path:
    """The file of an untrained model of a^n b^n."""
    from sweeps.config.yaml_file import config_from_mapping
    from sweeps.data.registry import load_corpus
    from sweeps.generation.weights import write_weights
    from sweeps.planning.plan import plan_sweep
    from sweeps.training.stack import build_model

    plan = plan_sweep(
        config_from_mapping(
            {
                "name": "kept",
                "grid": {"width": 16, "tokens": 2000},
                "model": {"head_size": 8, "context": 12},
                "data": {"source": "anbn", "validation_windows": 4},
            }
        )
    )
    model, words = build_model(*plan.runs), load_corpus(plan.config.data, 12).vocabulary
    weights = model.whole_weights()[0]
    said = write_weights(folder, plan.runs[0], weights, model.layout, words)
    return Path(said["weights_file"])


def trials(count: int, seed: int, folder: Path) -> Iterator[Trial]:
    """Half of them damage the file, which must be refused; half ask what may not be answerable."""
    draw, whole = random.Random(seed), weights_of(folder)
    content = whole.read_bytes()
    damaged = folder / "damaged.safetensors"
    for number in range(count):
        if number % 2:
            yield _asked(draw, str(whole))
            continue
        cause, changed = _damage(draw, content)
        damaged.write_bytes(changed)
        ending = run_verb("sample", str(damaged), "--prompt", "a", "--json")
        answered = "answered from it" if ending.code == 0 and changed != content else ""
        yield Trial(f"{cause}, sample", ending.fault or answered)


def _damage(draw: random.Random, content: bytes) -> tuple[str, bytes]:
    place = draw.randrange(len(content) if draw.random() < 0.5 else min(2000, len(content)))
    kind = draw.choice(("flip", "cut", "insert", "zero"))
    if kind == "flip":
        bit = 1 << draw.randrange(8)
        changed = content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :]
        return f"bit {bit} of byte {place} flipped", changed
    if kind == "cut":
        return f"cut at byte {place}", content[:place]
    if kind == "insert":
        return f"a byte more at {place}", content[:place] + b"{" + content[place:]
    end = place + draw.randrange(1, 64)
    return f"bytes {place} to {end} zero", content[:place] + bytes(end - place) + content[end:]


def _asked(draw: random.Random, path: str) -> Trial:
    verb = draw.choice(tuple(_FLAGS))
    flags = draw.sample(sorted(_FLAGS[verb]), draw.randint(1, len(_FLAGS[verb])))
    words = [f"{flag}={draw.choice(_FLAGS[verb][flag])}" for flag in flags]
    words += [flag for flag in ("--json", "--end", "--greedy") if draw.random() < 0.3]
    words = [w for w in words if (w, verb) not in {("--end", "sample"), ("--greedy", "score")}]
    ending = run_verb(verb, path, *words)
    mistyped = ending.code == 2 and "--help" in ending.err  # argparse's own line
    return Trial(f"{verb} {' '.join(map(repr, words))}", "" if mistyped else ending.fault)


FAULTS = FaultClass(
    name="kept",
    promise="weights that are damaged are refused, and what cannot be asked of them is one line",
    sample=200,
    full=2000,
    trials=trials,
)
