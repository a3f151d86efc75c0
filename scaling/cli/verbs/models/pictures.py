"""What `scaling sample` does with runs whose tokens are images: a row a label, a column a run."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.cli.outputs import answer, say
from scaling.errors import ConfigError
from scaling.words import counted

if TYPE_CHECKING:
    from sweeps.generation.decoding.sampling import SamplingRule
    from sweeps.generation.kept_runs import KeptRun
    from sweeps.generation.texts.continuations import ContinuedPrompt

Arguments = argparse.Namespace


def draw(arguments: Arguments, rule: "SamplingRule", runs: "list[KeptRun]") -> None:
    """Have the runs draw images of each --label, and show them as one PNG file."""
    from sweeps.generation.texts.continuations import continuations_document, continue_prompt

    if not (arguments.png or arguments.output or arguments.json):
        raise ConfigError("images are written to files: give --png FILE.png, or -o FILE.json")
    if arguments.prompt is not None or arguments.prompt_file is not None:
        raise ConfigError("--label is the prompt of images; drop it, or drop --prompt")
    found = [
        [
            continue_prompt(
                run,
                label.encode(),
                rule=rule,
                tokens=arguments.tokens,
                samples=arguments.samples,
                seed=arguments.seed,
                device=arguments.device,
                deterministic=arguments.deterministic,
            )
            for run in runs
        ]
        for label in arguments.label or [""]
    ]
    for one in found[0]:
        if one.continuations[0].png is None:
            raise ConfigError(f"run {one.run_id}: its tokens are no images; give --prompt")
    rows = [one for row in found for one in row]
    document = json.dumps(continuations_document(rule, arguments.seed, rows, arguments.tokens))
    if arguments.png:
        _write(found, arguments.label, arguments.png)
    each = counted(arguments.samples, "image")
    text = f"{counted(len(found), 'label')}, {counted(len(runs), 'run')}, {each} each"
    where = arguments.png or arguments.output
    answer(document, lambda: f"{text}: {where}" if where else text, arguments)
    say(f"{rule}{'' if rule.is_greedy else f', seed {arguments.seed}'}")


def _write(found: "list[list[ContinuedPrompt]]", labels: list[str], path: str) -> None:
    from sweeps.data.images.pictures import sheet_of

    cells = [[[part.png or b"" for part in one.continuations] for one in row] for row in found]
    sizes = [one.run.params for one in found[0]]
    heads = [
        one.name if params is None else f"{params:,} parameters"
        for one, params in zip(found[0], sizes, strict=True)
    ]
    content = sheet_of(cells, labels or [""], heads)
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(content)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror})") from error


def options(command: argparse.ArgumentParser) -> None:
    """Of runs whose tokens are images."""
    command.add_argument(
        "--label",
        action="append",
        default=[],
        metavar="TEXT",
        help="of runs of data.source images: what to draw; repeatable, a row each",
    )
    command.add_argument(
        "--png",
        metavar="FILE",
        help="of such runs: one picture of all images, a row a label and a column a run",
    )
