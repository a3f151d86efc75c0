"""Broken configs through `scaling plan`: a plan that a check by hand confirms, or one line.

Each config is a small valid sweep in which one to three things are then damaged: values, keys, or
the text of the file. A plan that comes of it must hold as many runs as its grid has products, sizes
and FLOP by the formulas of a decoder, and tokens within one step of what was asked.
"""

import json
import random
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.faults.trial import FaultClass, Trial
from benchmarks.faults.verb import run_verb
from sweeps.config.description.describe import all_settings

CPU_SECONDS = 60  # that one plan may take
SPARE_BYTES = 4 << 30  # that one plan may ask for

Config = dict[str, Any]


def valid_config(dice: random.Random) -> Config:
    """A sweep that `plan` must accept, small enough to plan in a moment."""
    horizon = dice.choice(["tokens", "tokens_per_param", "flops"])
    values = {
        "tokens": ["1M", 2e6, "4 million", 8_000_000],
        "tokens_per_param": [20, 40.0, "80"],
        "flops": ["1e11", 3e11, "1 TFLOP"],
    }
    grid = {
        "width": dice.sample([16, 32, 48, 64, 96], dice.randint(1, 3)),
        "depth": dice.sample([1, 2, 3], dice.randint(1, 2)),
        horizon: dice.sample(values[horizon], dice.randint(1, 2)),
        "seed": dice.sample(range(1, 9), dice.randint(1, 2)),
    }
    return {
        "name": dice.choice(["a", "ladder-1", "x.y_z"]),
        "grid": grid,
        "model": {
            "head_size": dice.choice([8, 16]),
            "context": dice.choice([32, 64]),
            "mlp": dice.choice(["relu2", "swiglu"]),
            "tied_head": dice.choice([True, False]),
        },
        "data": {"source": "markov", "symbols": dice.choice([8, 16]), "validation_windows": 4},
        "recipe": {"name": "cpt-adamw-tiny/1"},
        "launch": {"workers": dice.randint(1, 4), "device": "cpu"},
    }


HOSTILE: tuple[Any, ...] = (
    *(0, -1, 1, 0.5, 7, 1e308, -1e308, float("nan"), float("inf"), 2**31, 2**63, 10**400, 1e-320),
    *(True, None, "", " ", "text", "1.5x10^9", "7B", "1,234,5", "../../x", "a" * 100_000, "NaN"),
    *("\x1b[31m", "\x00", "\ud800", "\u202e", "/**/*", "~", "$HOME", "${x}", "{{x}}", "%s%n"),
    *([], {}, [[]], [None], [1, "a"], [1] * 50_000, {"a": 1}, {"width": [32]}, [[1, 2], [3]]),
)


def places(config: Config, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Where each setting lies, parts before what lies in them."""
    for key, value in config.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from places(value, (*above, key))


def set_at(config: Config, place: tuple[str, ...], value: Any) -> None:
    """Put a value at a place; nothing where another damage took the way there."""
    for key in place[:-1]:
        config = config.get(key, {})
        if not isinstance(config, dict):
            return
    config[place[-1]] = value


def damage_value(config: Config, dice: random.Random) -> str:
    """Put something hostile in the place of a value."""
    place, value = dice.choice(list(places(config))), dice.choice(HOSTILE)
    set_at(config, place, value)
    return f"{'.'.join(place)} = {str(value)[:30]!r}"


def damage_setting(config: Config, dice: random.Random) -> str:
    """Give any setting that there is a value, hostile or only unusual."""
    settings = [one for one, _ in all_settings() if "[]" not in one.key and not one.section]
    setting = dice.choice(settings)
    value = dice.choice([*HOSTILE, *setting.choices, *(1, 2, 3, 64, 0.1, 1e3, 1e6, 1e9, 1e-9)])
    place = tuple(setting.key.split("."))
    for depth in range(1, len(place)):
        above = config
        for key in place[:depth]:
            above = above.setdefault(key, {})
            if not isinstance(above, dict):
                return "nothing"
    set_at(config, place, value)
    return f"{setting.key} = {str(value)[:30]!r}"


def damage_list(config: Config, dice: random.Random) -> str:
    """Append something hostile to a list of the grid."""
    name, value = dice.choice(["width", "depth", "seed"]), dice.choice(HOSTILE)
    if isinstance(config.get("grid"), dict):
        config["grid"][name] = [16, value]
    return f"grid.{name} += {str(value)[:30]!r}"


def damage_key(config: Config, dice: random.Random) -> str:
    """Add a key that nobody knows, or one of another part."""
    place = dice.choice(list(places(config)))
    key = dice.choice(["widht", "seed", "tokens", "", "\x1b[31m", "launch", "__class__", "<<", "1"])
    set_at(config, (*place[:-1], key), dice.choice(HOSTILE))
    return f"{'.'.join((*place[:-1], key))!r} added"


def drop_key(config: Config, dice: random.Random) -> str:
    """Leave a setting out."""
    place = dice.choice(list(places(config)))
    inner = config
    for key in place[:-1]:
        inner = inner[key] if isinstance(inner.get(key), dict) else {}
    inner.pop(place[-1], None)
    return f"{'.'.join(place)} left out"


def huge_grid(config: Config, dice: random.Random) -> str:
    """Ask for a million runs and more."""
    config["grid"] = {"width": [16, 32], "tokens": [1e6], "seed": list(range(3000))} | {
        "depth": list(range(1, dice.choice([100, 3000])))
    }
    return "millions of runs"


VALUE_DAMAGES: tuple[Callable[[Config, random.Random], str], ...] = (
    *(
        damage_setting,
        damage_setting,
        damage_setting,
        damage_value,
        damage_value,
        damage_list,
        damage_key,
        drop_key,
        huge_grid,
    ),
)

BOMB = b"x: &a0 [1,1]\n" + b"".join(
    b"y%d: &a%d [*a%d,*a%d]\n" % (level, level, level - 1, level - 1) for level in range(1, 60)
)


def damage_text(text: bytes, dice: random.Random) -> tuple[bytes, str]:
    """Damage the file itself."""
    at = dice.randrange(len(text))
    return dice.choice(
        [
            (text[:at], f"cut at byte {at}"),
            (text[:at] + bytes([dice.randrange(256)]) + text[at + 1 :], f"byte {at} changed"),
            (text[:at] + b"\x00" + text[at:], f"a NUL byte at {at}"),
            (text.decode().encode("utf-16"), "UTF-16"),
            (b"\xef\xbb\xbf" + text, "a byte order mark"),
            (text.replace(b" ", b"\t"), "tabs"),
            (text + b"\ngrid: {width: 16, tokens: 1e6}\n", "another grid below"),
            (BOMB, "aliases of aliases"),
            (b"a: &a [*a]\n", "a list that holds itself"),
            (b"[" * 5000, "5,000 open brackets"),
            (b"{" * 900 + b"}" * 900, "900 mappings"),
            (b"!!python/object/apply:os.system ['true']\n", "a Python object"),
            (b"- a\n- b\n", "a list"),
            (b"---\n" + text + b"\n---\n" + text, "two documents"),
            (bytes(dice.randrange(256) for _ in range(2000)), "noise"),
            (b"", "nothing"),
            (b"# only\n" * 3, "only comments"),
            (b"x" * 3_000_000, "3 MB in one line"),
        ]
    )


def broken_config(seed: int) -> tuple[bytes, list[str], Config, list[str]]:
    """The bytes of a file, words of --set, what a valid one asked for, and what was done to it."""
    dice = random.Random(seed)
    config = valid_config(dice)
    asked: Config = json.loads(json.dumps(config))
    done, words = [], []
    if dice.random() < 0.8:
        for _ in range(dice.randint(1, 3)):
            done.append(dice.choice(VALUE_DAMAGES)(config, dice))
    text = json.dumps(config).encode()  # JSON is YAML, NaN and Infinity aside
    if dice.random() < 0.15:
        text, how = damage_text(text, dice)
        done.append(how)
    if dice.random() < 0.15:
        word = f"{'.'.join(dice.choice(list(places(asked))))}={str(dice.choice(HOSTILE))[:200]}"
        words = ["--set", word]
        done.append(f"--set {word[:60]!r}")
    return text, words, asked, done


@contextmanager
def bounded() -> Iterator[None]:
    """What runs inside is interrupted beyond its share of CPU time or memory."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"more than {CPU_SECONDS} s of CPU time")

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    earlier = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    resource.setrlimit(
        resource.RLIMIT_AS, (pages * resource.getpagesize() + SPARE_BYTES, before[1])
    )
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, earlier)
        resource.setrlimit(resource.RLIMIT_AS, before)


def fault_of_plan(document: Config) -> str:
    """What a check by hand finds wrong in a plan: runs, parameters, FLOP."""
    config, runs = document["config"], document["runs"]
    grids = [config["grid"], *config["cells"], *config["held_out"]]
    if not config["cells"] and not config["held_out"] and not config["exclude"]:
        lists = [config["grid"][name] or [1] for name in ("width", "depth", "seed")]
        horizon = max((config["grid"][name] for name in HORIZONS), key=len)
        wanted = len(set(product(*map(tuple, lists), tuple(horizon))))
        if len(runs) != wanted:
            return f"{len(runs)} runs, and the grid holds {wanted}"
    if not grids or sum(run["planned_train_flops"] for run in runs) != document["train_flops"]:
        return "the FLOP of the runs do not add up to the plan's"
    for run in runs:
        width, vocab = run["width"], run["vocab_size"]
        matrices = 3 if run["mlp"] == "swiglu" else 2
        blocks = run["depth"] * (4 * width**2 + matrices * width * run["mlp_width"])
        params = blocks + vocab * width * (1 if run["tied_head"] else 2)
        if params != run["params"]:
            return f"{run['params']} parameters, and {params} by hand"
        if run["flops_standard"] != 6 * (blocks + vocab * width) * run["tokens"]:
            return f"{run['flops_standard']} FLOP are not 6 N D"
        if config["grid"]["tokens"] and not _asked(run, config["grid"]["tokens"]):
            return f"{run['planned_tokens']} tokens were not asked for"
    return ""


HORIZONS = ("tokens", "tokens_per_param", "flops")


def _asked(run: Config, tokens: list[float]) -> bool:
    return any(abs(run["planned_tokens"] - asked) <= run["batch_tokens"] for asked in tokens)


def fault_of(seed: int, folder: Path) -> Trial:
    """One config through `plan`."""
    text, words, _, done = broken_config(seed)
    path = folder / f"sweep{seed}.yaml"
    path.write_bytes(text)
    cause = f"config {seed} ({'; '.join(done) or 'nothing damaged'})"
    with bounded():
        ending = run_verb("plan", str(path), *words, "--json")
    wrong = ending.fault
    if not wrong and ending.code == 2 and not done:
        wrong = f"refused: {ending.refusals[0][:160]}"
    if not wrong and ending.code == 2 and len(ending.refusals[0]) > 1000:
        wrong = f"a line of {len(ending.refusals[0])} characters"
    if not wrong and ending.code == 0:
        wrong = fault_of_plan(json.loads(ending.out))
    return Trial(cause, wrong)


def trials(count: int, seed: int, folder: Path) -> Iterator[Trial]:
    """So many configs, each through `plan`."""
    return (fault_of(number, folder) for number in range(seed, seed + count))


FAULTS = FaultClass(
    "configs",
    "a plan that a check by hand confirms, or exit code 2 and one line",
    sample=60,
    full=500,
    trials=trials,
)
