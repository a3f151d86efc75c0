"""The verb that asks trained models how likely a text is."""

import argparse
import json

from scaling.cli.outputs import answer, say
from scaling.cli.verbs.models.sample import computed, content, models_named, shorter_source
from scaling.errors import ConfigError
from scaling.words import counted

Arguments = argparse.Namespace


def score(arguments: Arguments) -> None:
    """Score a text by the models of RUNs: log-likelihood, perplexity, bits per byte."""
    from sweeps.generation.texts.counts import counted_scores
    from sweeps.generation.texts.scored_texts import score_text, scores_document
    from sweeps.generation.texts.terminal import counts_text, scores_text

    text = content(arguments.text, arguments.file)
    if text is None:
        raise ConfigError("there is no text to score; give it with --text, or a file with --file")
    prompt = content(arguments.prompt, arguments.prompt_file)
    runs = models_named(arguments)
    how = {"device": arguments.device, "deterministic": arguments.deterministic}
    found = [score_text(run, text, prompt=prompt, ends=arguments.end, **how) for run in runs]
    document, counts = scores_document(found), []
    counted_text = content(None, arguments.counts)
    if counted_text is not None:
        first = {
            tuple(one.tokens): (run, one) for run, one in reversed([*zip(runs, found, strict=True)])
        }
        for run, one in reversed(first.values()):  # once for all runs of the same tokens
            counts += counted_scores(run, counted_text, one)
        document["counts"] = [one.to_dict() for one in counts]
    tables = [scores_text(found), *([counts_text(counts)] if counts else [])]
    answer(json.dumps(document), lambda: "\n\n".join(tables), arguments)
    say(f"computed {computed(found[0].device, found[0].deterministic)}")
    for one in found:
        for line in shorter_source(one.run_id, len(one.given_tokens), one.source_length):
            say(line)
    if prompt is None and any(one.given_tokens for one in found):
        say("each run was given the first token of the text (of a sentence its start)")
    if any(one.is_read_otherwise for one in found):
        say("a run's tokenizer makes several of the characters one; that is what was scored")
    if any(one.is_pseudo for one in found):
        say(
            "a masked run scores each token given those on both sides: its pseudo-log-likelihood "
            "is compared with no log-likelihood"
        )
    for one in found:
        if one.least_given:
            say(
                f"{one.run_id}: the text is longer than the context of {one.context}; tokens "
                f"beyond it were given {counted(one.least_given, 'token')} before them, or more"
            )


def text(command: argparse.ArgumentParser) -> None:
    """What is scored."""
    group = command.add_mutually_exclusive_group()
    group.add_argument(
        "--text", metavar="TEXT", help="the text, or tokens parted by blanks as in --prompt"
    )
    group.add_argument("--file", metavar="FILE", help="the same from a file; -: from stdin")
    command.add_argument(
        "--end", action="store_true", help="score the end of the document or sentence too"
    )
    command.add_argument(
        "--counts",
        metavar="FILE",
        help="score it by counts of this text too, n-grams and whole prefixes, for reference",
    )
