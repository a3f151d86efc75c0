"""Memory of a device that runs out, and is given back."""

import gc

import torch

#: How libraries say that they could not have memory, in errors of no type of their own.
_SAID = ("ALLOC_FAILED", "out of memory")


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an error says that a device's memory does not suffice: PyTorch's allocator has a type
    for it, cuBLAS and cuDNN have words."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _SAID)


def free_memory() -> None:
    """Give back what nobody refers to any more: objects that refer to each other, too, and what
    PyTorch keeps for later."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
