"""The columns of the records table: names, kinds, units, and other people's spellings of them.

Labels of figures, tables and messages come from here, so that an axis cannot drift from the code.
"""

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["size", "loss", "number", "flag", "text"]


@dataclass(frozen=True)
class Column:
    """One column: what it holds, in which unit, and how a figure labels it."""

    meaning: str
    kind: Kind = "number"
    label: str = ""
    aliases: tuple[str, ...] = ()


COLUMNS: dict[str, Column] = {
    # identity
    "run_id": Column(
        "identity of the run: a hash of what was planned", "text", aliases=("run id", "run_uuid")
    ),
    "sweep": Column("the sweep that the run belongs to", "text"),
    "status": Column(
        "finished, diverged, failed, interrupted, settled or running", "text", aliases=("state",)
    ),
    "held_out": Column("hidden from fits by the plan: it is there to be predicted", "flag"),
    # the four quantities that laws speak of
    "params": Column(
        "N: every trainable parameter",
        "size",
        "parameters N",
        ("N", "model_size", "parameter_count", "param_count", "params_count", "num_parameters")
        + ("nparams", "numparams", "nparameters"),
    ),
    "tokens": Column(
        "D: training tokens seen, so far where the run has not finished",
        "size",
        "training tokens D",
        ("D", "token_count", "tokens_trained", "tokens_seen", "data_tokens")
        + ("ntokens", "numtokens"),
    ),
    "train_flops": Column(
        "C: FLOP spent on training the final model, so far where the run has not finished",
        "size",
        "training compute C (FLOP)",
        ("C", "training_flop", "training_flops", "train_compute", "training_compute"),
    ),
    "loss": Column(
        "L: validation cross-entropy, nats per token",
        "loss",
        "validation loss L (nats per token)",
        ("L", "val_loss", "validation_loss", "final_loss", "eval_loss", "test_loss", "valid_loss")
        + ("dev_loss", "final_val_loss", "validation_final_loss", "best_val_loss"),
    ),
    "loss_kind": Column("what loss is; blank: cross-entropy in nats per token", "text"),
    "loss_stderr": Column("standard error of loss over the validation set, nats per token"),
    "bits_per_byte": Column(
        "loss in bits per byte of raw text", "number", "bits per byte", ("bpb", "val_bpb")
    ),
    "bits_per_dimension": Column(
        "loss of images by their grey levels, exact bits a pixel: nothing is lost",
        "number",
        "bits per dimension",
    ),
    "bits_per_code": Column(
        "loss of images by the codes of an autoencoder, bits a code: no likelihood of pixels",
        "number",
        "bits per code",
    ),
    "reconstruction_error": Column(
        "of images as codes: share of the variance of the pixels of the validation set that they "
        "lose, whatever the model"
    ),
    "codebook_use": Column(
        "of images as codes: share of the codebook that occurs in the validation set"
    ),
    "codebook_perplexity": Column(
        "of images as codes: exp of the entropy of those of the validation set; evenly used, so "
        "many codes would have the same"
    ),
    # counts behind params and tokens
    "entropy": Column(
        "nats per token that no model can beat, known exactly of a generated source "
        "(`data.source: markov`, `grammar` ...): hold the floor there with --fix E=entropy"
    ),
    "excess_loss": Column("loss above the entropy of its source, nats per token"),
    "sequence_entropy": Column("nats per sequence of a source of whole sentences, known exactly"),
    "sequence_targets": Column("targets per sequence on the average, padding not counted"),
    "params_embedding": Column("parameters of the input embedding"),
    "params_head": Column("parameters of the output head"),
    "params_encoder": Column(
        "parameters of the encoder's blocks", "size", "parameters of the encoder's blocks"
    ),
    "params_decoder": Column(
        "parameters of the decoder's blocks, where there is an encoder beside them",
        "size",
        "parameters of the decoder's blocks",
    ),
    "params_active": Column(
        "parameters that a token uses, of a model with experts",
        label="parameters that a token uses",
        aliases=("active_params", "active_parameters"),
    ),
    "params_non_vocab": Column("parameters without those of the vocabulary"),
    "params_vocab": Column("parameters of the vocabulary: of embedding and head"),
    "experts": Column("experts of a layer, one where there are none", aliases=("num_experts",)),
    "granularity": Column("width of the feed-forward layer over that of one expert"),
    "copies": Column("copies of the model that work side by side on shared parameters"),
    "density": Column("share of the weights that are not zero, 1 - sparsity"),
    "unique_tokens": Column(
        "distinct training tokens; tokens / unique_tokens = epochs",
        "size",
        aliases=("dataset_tokens",),
    ),
    # what was planned; what was spent stands above
    "planned_tokens": Column("training tokens that the run was planned to see"),
    "planned_train_flops": Column("FLOP that its training was planned to take"),
    "planned_steps": Column("optimizer steps that it was planned to take"),
    # shape
    "width": Column("residual stream width", "number", "width"),
    "depth": Column("layers; of an encoder-decoder those of the decoder", "number", "depth"),
    "encoder_depth": Column(
        "layers of the encoder, where there is one", "number", "depth of the encoder"
    ),
    "heads": Column("attention heads"),
    "context": Column("tokens per sequence"),
    "vocab_size": Column("size of the vocabulary"),
    # training
    "batch_tokens": Column("tokens per optimizer step"),
    "steps": Column("optimizer steps taken, so far where the run has not finished"),
    "learning_rate": Column(
        "peak learning rate of the hidden matrices", aliases=("lr", "peak_lr", "max_lr")
    ),
    "learning_rate_capped": Column("whether the recipe's largest rate was the limit", "flag"),
    "warmup_tokens": Column("tokens of linear warm-up"),
    "decay_tokens": Column("tokens at the end over which the learning rate falls to zero"),
    "schedule": Column("shape of the learning rate over the run", "text"),
    "cooled_down": Column("whether the learning rate ended near zero", "flag"),
    "trunk": Column("the run that a decay branch shares its past with", "text"),
    "seed": Column(
        "seed of initialisation and data order", aliases=("random_seed", "rng_seed", "seed_id")
    ),
    "family": Column("model family and version", "text", aliases=("model_family",)),
    "objective": Column("training objective", "text"),
    "mask_share": Column("share of the tokens that a masked objective hides and asks for"),
    "source_tokens": Column(
        "tokens of a block that a conditional objective gives and does not ask"
    ),
    "target_tokens": Column(
        "training tokens that the loss was of; fewer than tokens where some do not count"
    ),
    "data": Column(
        "name or hash of the training data",
        "text",
        aliases=("train_dataset", "training_dataset", "training_data", "dataset", "dataset_name")
        + ("corpus", "data_source", "training_corpus", "train_corpus", "data_mix", "mixture")
        + ("train_set", "training_set", "pretraining_data", "pretraining_dataset", "data_name")
        + ("language", "lang", "sprache", "domain", "modality", "data_version", "dataset_version")
        + ("corpus_name", "train_data", "data_path", "dataset_path", "dataset_id", "datensatz")
        + ("korpus", "subset", "mix"),
    ),
    "eval_hash": Column(
        "hash of the validation set",
        "text",
        aliases=(
            "eval_dataset",
            "eval_set",
            "val_set",
            "validation_set",
            "val_dataset",
            "test_set",
            *("eval_data", "eval_domain", "eval_split", "eval_task", "benchmark", "task", "split"),
        ),
    ),
    "tokenizer_hash": Column(
        "hash of the tokenizer", "text", aliases=("tokenizer", "tokenizer_name")
    ),
    "recipe": Column("named, versioned rules that set the hyper-parameters", "text"),
    # health of the training; `scaling.extra_columns.rung_health` says what fits make of it
    "health": Column(
        "what the learning-rate check of the run's shape found: ok, soft, edge or cap", "text"
    ),
    "lr_offset": Column("ln of the best learning rate over the rule's"),
    "lr_curvature": Column("second derivative of the loss in ln learning rate, nats"),
    "lr_gap": Column("loss that the rule costs against the best learning rate, relative"),
    "lr_gap_stderr": Column("standard error of lr_gap from the validation sequences"),
    "recipe_arms": Column(
        "losses of the run under other recipes, as a check of the recipe wrote them (JSON)", "text"
    ),
    "tuning_gap": Column(
        "loss that the recipe costs against the best found, relative; where it is not given, as "
        "recipe_arms tell it, else lr_gap"
    ),
    "tuning_gap_stderr": Column("standard error of tuning_gap"),
    "clipped_share": Column("share of the steps after warm-up whose gradient was scaled down"),
    "spikes": Column("jumps of the training loss above what the 50 steps before explain"),
    # of runs that were stopped because their outcome was settled; no fit reads these
    "forecast_loss": Column("final loss that a settled run was heading for, nats per token"),
    "forecast_low": Column("low end of the 90% interval of forecast_loss"),
    "forecast_high": Column("high end of the 90% interval of forecast_loss"),
    "share_done": Column("share of its planned steps that a settled run had done"),
    # what went wrong
    "reason": Column("why the run failed, diverged, was stopped, or is excluded", "text"),
    "has_traceback": Column("whether the store keeps the traceback of an error of ours", "flag"),
    "tries": Column("how often it was begun: a run that was interrupted goes on in another try"),
    # what was kept
    "weights_file": Column("where the weights of the run are kept", "text"),
    "weights_sha256": Column("SHA-256 of that file", "text"),
    # cost
    "replicas": Column("runs that were trained in one stack with it, itself among them"),
    "marginal_flops": Column(
        "FLOP that the run added: train_flops without what a shorter branch of its trunk paid"
    ),
    "started_at": Column(
        "when its training began; a time without a zone is UTC",
        "text",
        aliases=("start_time", "started", "created_at", "created", "start_date"),
    ),
    "ended_at": Column(
        "when its training ended",
        "text",
        aliases=("end_time", "ended", "finished_at", "completed_at", "end_date"),
    ),
    "wall_seconds": Column("seconds of training, on the clock; of the whole stack it shared"),
    "device": Column("what it ran on", "text"),
    "device_seconds": Column("its share of wall_seconds in the stack it was trained in"),
    "mfu": Column("model FLOP utilisation against the device's dense peak, 0 to 1"),
}

#: A single law may only be fitted to runs that agree in these.
MUST_AGREE = (
    *("tokenizer_hash", "eval_hash", "data", "objective", "loss_kind"),
    *("mask_share", "source_tokens"),
)


def label(column: str) -> str:
    """The axis label of a column; a column we do not know is its own label."""
    known = COLUMNS.get(column)
    return known.label or column if known else column


#: Kinds of loss that are cross-entropies in nats per token; "" is a table that does not say.
NATS_PER_TOKEN = ("", "cross_entropy", "nats_per_token", "log_perplexity")
#: The column of a loss in bits, by its kind: those of codes and of what codes stand for never meet.
BITS = {"nats_per_dimension": "bits_per_dimension", "nats_per_code": "bits_per_code"}
#: The kind of a loss whose column's name does not say what it is: it has no unit anywhere.
UNSTATED_KIND = "unstated"


def loss_label(kind: str) -> str:
    """The axis label of a loss of this ``loss_kind``."""
    if kind == UNSTATED_KIND:
        return "loss L"
    return label("loss") if kind in NATS_PER_TOKEN else f"loss L ({kind.replace('_', ' ')})"


def loss_unit(kind: str) -> str:
    """What stands behind a value of a loss of this ``loss_kind``: its unit, or what it is; with
    nothing where nobody knows."""
    if kind == UNSTATED_KIND:
        return ""
    return "nats per token" if kind in NATS_PER_TOKEN else f"({kind.replace('_', ' ')})"


def with_loss_unit(value: str, kind: str) -> str:
    """A loss, already written, with its unit behind it where that is known."""
    return f"{value} {loss_unit(kind)}".rstrip()


def canonical_name(spelling: str) -> str | None:
    """Our name for a column of somebody else's table, or None where we know of none.

    A single letter must match in case (``D`` is tokens, ``d`` is anybody's guess); longer
    spellings match whatever their case, blanks, dots and underscores. Blanks around either do not
    count.
    """
    spelling = spelling.strip()
    if spelling in COLUMNS:
        return spelling
    return _SPELLINGS.get(spelling if len(spelling) == 1 else _flat(spelling))


def _flat(spelling: str) -> str:
    return re.sub(r"[^a-z0-9]", "", spelling.lower())


_SPELLINGS = {
    spelling if len(spelling) == 1 else _flat(spelling): name
    for name, column in COLUMNS.items()
    for spelling in (*column.aliases, name)
}
