"""Numbers with their nouns, as a person writes them."""


def counted(count: int, noun: str, plural: str = "") -> str:
    """``1 run``, ``2 runs``, ``1,200 runs``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {plural or noun + 's'}"
