"""What to say of a key that a config does not know: where it lies, or what was meant."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sweeps.config.rules.section import Section


@dataclass(frozen=True)
class _Known:
    """A field of the config's tree."""

    name: str
    key: str
    """The whole key, with the variant that has it where not all have."""
    joined: str
    """Its name after its part's: what a flat config would call it; none at the top."""


def unknown_key(
    name: object, value: object, kind: type[Section], place: str, root: type[Section]
) -> str:
    """One line on a key that the section of this kind at `place` does not have.

    Named, in this order: why this variant does not use it; where else in the tree of `root` it
    lies; where the settings below it lie; the nearest known key.
    """
    name, label = str(name), f"{place}.{name}" if place else str(name)
    if unused := kind.not_used(name):
        return f"{label} {unused}"
    tree = [known for known in _tree(root, "") if known.key != label]
    start = f'unknown key "{label}"; '
    if not name.strip():
        return f"{start}a key is never empty"
    if name.isdigit():
        return f"{start}items of a list have no keys; give the whole list"
    if elsewhere := _whole_keys(tree, name):
        return f"{start}it is {elsewhere}"
    if renamed := difflib.get_close_matches(name, {k.joined for k in tree}, n=1, cutoff=0.9):
        return start + "it is " + " or ".join(k.key for k in tree if k.joined == renamed[0])
    siblings = list(kind.field_types())
    for key in [str(key) for key in value] if isinstance(value, Mapping) else []:
        if elsewhere := kind.key(key) if key in siblings else _whole_keys(tree, key):
            return f"{start}its {key} is {elsewhere}"
    return start + nearest(name, siblings)


def nearest(name: str, known: Iterable[str]) -> str:
    """What to say of a word that is none of these: the one that was meant, or all of them."""
    words = list(known)
    if near := difflib.get_close_matches(name, words, n=1, cutoff=0.4):
        return f'did you mean "{near[0]}"?'
    return f"known: {', '.join(words)}"


def _whole_keys(tree: list[_Known], name: str) -> str:
    return " or ".join(dict.fromkeys(known.key for known in tree if known.name == name))


def _tree(kind: type[Section], place: str) -> Iterator[_Known]:
    """Every field below; a list of sections is not entered, since no key leads to one of them."""
    variants = kind.variants()
    for variant, member in variants.items():
        note = f" ({member.tag} {variant})" if len(variants) > 1 else ""
        for name, held in member.field_types().items():
            key = f"{place}.{name}" if place else name
            part = place.split(".")[-1]
            yield _Known(name, key + note, f"{part}_{name}" if part else "")
            if isinstance(held, type) and issubclass(held, Section):
                yield from _tree(held, key)
            for inner in member.open_keys.get(name, ()):
                yield _Known(inner, f"{key}.{inner}{note}", f"{name}_{inner}")
