"""Files of named tensors, and what they say of themselves: safetensors, whose reading executes
nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

SUFFIX = ".safetensors"


class TensorFileError(Exception):
    """A file that is cut short, or none of tensors; the message says what is wrong."""


def tensors_in_bytes(
    tensors: Mapping[str, torch.Tensor], stated: Mapping[str, str] | None = None
) -> bytes:
    """The content of a file with these tensors and statements; equal ones give equal bytes."""
    from safetensors.torch import save

    return save(dict(tensors), metadata=None if stated is None else dict(stated))


def tensors_from_bytes(content: bytes) -> dict[str, torch.Tensor]:
    """The tensors of such a content; TensorFileError where it is none."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(content)
    except SafetensorError as error:
        raise TensorFileError(str(error)) from error


def tensors_of_file(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    """What a file states, and its tensors; TensorFileError, or OSError where it cannot be read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            stated = file.metadata() or {}
            return stated, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise TensorFileError(str(error)) from error
