"""The weights of finished models as files: one safetensors file a run, which says what it holds.

A file is named by its run's id, holds each matrix by its name in float32, (in, out), and in its
header all that is needed to build the model again, with a digest of both. Reading one executes
nothing.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from scaling.errors import ConfigError
from sweeps.config.model import ModelConfig
from sweeps.data.documents.atomic import write_atomically
from sweeps.data.documents.tensor_files import (
    SUFFIX,
    TensorFileError,
    tensors_in_bytes,
    tensors_of_file,
)
from sweeps.data.tokens.vocabulary import (
    PairVocabulary,
    SymbolVocabulary,
    Vocabulary,
    vocabulary_from,
)
from sweeps.models.family import ModelOptions, ModelSizes
from sweeps.models.registry import find_family
from sweeps.models.stacked import Layout, StackedWeights
from sweeps.planning.run_plan import RunPlan

_HEADER, _DIGEST = "scaling", "sha256"
_FORMAT = 2


@dataclass(frozen=True, kw_only=True)
class KeptModel:
    """A trained model as its file holds it: a stack of one."""

    model: StackedWeights
    run_id: str
    name: str
    """For people."""
    family: str
    objective: str
    tokenizer: str
    tokenizer_hash: str
    vocabulary: Vocabulary
    path: Path

    @property
    def source_length(self) -> int | None:
        """Tokens that each source had in training; None: it reads none apart, or they differed."""
        varies = isinstance(self.vocabulary, PairVocabulary)
        return None if varies else self.model.source_tokens or None


def weights_path(folder: str | Path, run_id: str) -> Path:
    """Where a folder keeps the weights of a run."""
    return Path(folder) / f"{run_id}{SUFFIX}"


def write_weights(
    folder: str | Path,
    run: RunPlan,
    weights: torch.Tensor,
    layout: Layout,
    vocabulary: Vocabulary | None,
) -> dict[str, str]:
    """Write the weights of a run, (parameters,), with what its tokens stand for (None: they are
    numbers), and give what its record says of them: the file, and the SHA-256 of its content.
    OSError where the disk takes no more; there is no part of a file then."""
    sizes = [rows * columns for rows, columns in layout.values()]
    parts = torch.split(weights.detach().float().cpu(), sizes)
    matrices = {
        name: part.reshape(size).clone()
        for (name, size), part in zip(layout.items(), parts, strict=True)
    }
    words = vocabulary or SymbolVocabulary.numbers(run.data.used_vocab_size or run.data.vocab_size)
    described = {**_description(run), "vocabulary": words.to_document()}
    said = json.dumps(described, sort_keys=True)
    header = {_HEADER: said, _DIGEST: _digest(said, weights.detach().float().cpu())}
    content = tensors_in_bytes(matrices, header)
    path = weights_path(folder, run.run_id).absolute()
    write_atomically(path, content)
    return {"weights_file": str(path), "weights_sha256": hashlib.sha256(content).hexdigest()}


def read_weights(
    path: str | Path, sha256: str | None = None, run_id: str | None = None
) -> KeptModel:
    """The model of a file, ready to compute.

    Raises ConfigError for a file that is missing, cut short or otherwise none of ours, that has
    another SHA-256 or is of another run than those given, whose matrices are not those of the model
    that it describes, or whose content was changed.
    """
    path = Path(path)
    try:
        found = _sha256(path) if sha256 else None
        stated, matrices = tensors_of_file(path)
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror or 'there is no such file'}; weights are kept with "
            "launch.keep_weights: true"
        ) from error
    except TensorFileError as error:
        raise ConfigError(
            f"{path}: cut short, or no file of weights ({error}); copy it anew, or train the run "
            "again"
        ) from error
    try:
        said = json.loads(stated.get(_HEADER, ""))
        model = _built(said)
        kept = KeptModel(
            model=model,
            path=path,
            vocabulary=vocabulary_from(said["vocabulary"]),
            **{name: str(said[name]) for name in _NAMES},
        )
    except (ConfigError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(f"{path}: no weights that this toolkit wrote ({error!r})") from error
    if run_id is not None and kept.run_id != run_id:
        raise ConfigError(f"{path}: the weights of run {kept.run_id}, not of {run_id}")
    _hold(model, matrices, path)
    if stated.get(_DIGEST) != _digest(stated[_HEADER], model.whole_weights()[0]):
        raise ConfigError(f"{path}: damaged (its content has another digest); copy it anew")
    if found != sha256:
        raise ConfigError(
            f"{path}: not the file that the run wrote (its SHA-256 is another one); copy it anew"
        )
    return kept


_NAMES = ("run_id", "name", "family", "objective", "tokenizer", "tokenizer_hash")


def _description(run: RunPlan) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "run_id": run.run_id,
        "name": run.name,
        "family": run.family,
        "objective": run.objective,
        "shape": dataclasses.asdict(run.shape),  # type: ignore[call-overload]
        "options": dataclasses.asdict(run.model_options),
        "tokenizer": run.data.tokenizer,
        "tokenizer_hash": run.data.tokenizer_hash,
    }


def _built(said: Mapping[str, Any]) -> StackedWeights:
    """The untrained model that a header describes; ValueError where there is none such."""
    if said["format"] != _FORMAT:
        raise ValueError(f"format {said['format']}")
    shape, family = said["shape"], find_family(said["family"])
    options = ModelOptions(**said["options"])
    known = {item.name for item in dataclasses.fields(ModelConfig)} & shape.keys()
    config = ModelConfig(family=family.name, **{name: shape[name] for name in known})
    named = ("width", "depth", "vocab_size", "source_tokens")
    sizes = {name: shape[name] for name in named if name in shape}
    if shape.get("encoder_blocks") is not None:
        sizes["encoder_depth"] = shape["encoder_blocks"]
    planned = family.shape(config, ModelSizes(**sizes, view=options.view))
    if _stated(dataclasses.asdict(planned)) != _stated(shape):  # type: ignore[call-overload]
        raise ValueError(f"shape {shape}")
    return family.build(planned, [0], options)


def _stated(shape: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is None, which says nothing: files from before a size was there are whole."""
    return {name: value for name, value in shape.items() if value is not None}


def _hold(model: StackedWeights, matrices: Mapping[str, torch.Tensor], path: Path) -> None:
    """Give a model the matrices, once all are there and of its shapes, float32 and finite."""
    for name, size in model.layout.items():
        found = matrices.get(name)
        if found is None or tuple(found.shape) != size or found.dtype != torch.float32:
            has = "is not there" if found is None else f"is {tuple(found.shape)} {found.dtype}"
            raise ConfigError(f"{path}: {name} {has}; the model has {size} float32: another model")
        if not found.isfinite().all():
            raise ConfigError(f"{path}: {name} holds numbers that are not finite; copy it anew")
    if further := matrices.keys() - model.layout.keys():
        raise ConfigError(f"{path}: {min(further)} is no matrix of its model: another model")
    model.hold(torch.cat([matrices[name].flatten() for name in model.layout])[None])


def _digest(said: str, weights: torch.Tensor) -> str:
    """Of what a file says and of its weights, (parameters,)."""
    return hashlib.sha256(said.encode() + weights.contiguous().numpy().tobytes()).hexdigest()


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
