"""YAML that cannot do harm: bounded in size and depth, one meaning for each number.

YAML 1.1 as PyYAML reads it takes 010 for eight, 1:30 for ninety, 3e10 for text and the last of two
equal keys; a few hundred bytes of aliases hold more values than memory does.
"""

import re
from typing import Any

import yaml

from scaling.errors import ConfigError
from scaling.tables.notes import printable

MOST_BYTES = 1_000_000
MOST_VALUES = 100_000
MOST_NESTING = 20
MOST_CHARACTERS = 10_000  # of one text
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def load_yaml(text: str) -> object:
    """What a YAML text holds: mappings, lists, text, numbers, booleans and None.

    Raises ConfigError, in one line with the place where there is one, for text that is no YAML,
    equal keys in one mapping, control characters, and what is beyond the bounds of this file.
    """
    if len(text) > MOST_BYTES:
        raise ConfigError(f"more than {MOST_BYTES:,} characters; a config is a few pages of YAML")
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _check_size(node)
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        raise ConfigError(f"{_problem(error)}; mend the YAML") from error
    except (ValueError, AttributeError, KeyError) as error:  # "!!int x": PyYAML lets them through
        raise ConfigError("a value is not what its !!tag says; mend the YAML") from error


class _Loader(yaml.SafeLoader):
    """The safe loader with numbers of one meaning, and without dates: they are text."""

    def __init__(self, text: str) -> None:
        """Begin at the outermost value."""
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """One value with all that it holds."""
        if self._depth > MOST_NESTING:
            event: Any = self.peek_event()  # type: ignore[no-untyped-call]
            mark = event.start_mark
            raise yaml.MarkedYAMLError(
                problem=f"nested more than {MOST_NESTING} deep", problem_mark=mark
            )
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


_Loader.yaml_implicit_resolvers = {
    letter: [
        (tag, form) for tag, form in forms if tag.rsplit(":", 1)[1] in ("null", "bool", "merge")
    ]
    for letter, forms in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9][0-9_]*$"), list("-+0123456789")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^([-+]?([0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)([eE][-+]?[0-9]+)?"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$"
    ),
    list("-+0123456789."),
)


def _whole(loader: _Loader, node: yaml.ScalarNode) -> int:
    if len(node.value) > 400:
        raise yaml.MarkedYAMLError(
            problem=f"a number of {len(node.value):,} digits", problem_mark=node.start_mark
        )
    return int(node.value.replace("_", ""))


_Loader.add_constructor("tag:yaml.org,2002:int", _whole)


def _check_size(root: yaml.Node) -> None:
    """Refuse a value that holds itself, or more values than any config, or equal keys twice."""
    sizes: dict[int, int | None] = {}

    def size(node: yaml.Node) -> int:
        if id(node) in sizes:
            known = sizes[id(node)]
            if known is None:
                raise _at(node, "it holds itself")
            return known
        sizes[id(node)] = None
        held: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            _check_keys(node)
            held = [one for pair in node.value for one in pair]
        elif isinstance(node, yaml.SequenceNode):
            held = node.value
        else:
            _check_text(node)
        total = 1 + sum(map(size, held))
        if total > MOST_VALUES:
            raise _at(node, f"more than {MOST_VALUES:,} values, aliases counted as what they name")
        sizes[id(node)] = total
        return total

    size(root)


def _check_keys(node: yaml.MappingNode) -> None:
    seen: set[str] = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode) and not key.tag.endswith(":merge"):
            if key.value in seen:
                raise _at(key, f'the key "{printable(key.value)}" is there twice')
            seen.add(key.value)


def _check_text(node: yaml.Node) -> None:
    if len(node.value) > MOST_CHARACTERS:
        raise _at(node, f"a text of {len(node.value):,} characters")
    if found := _UNPRINTABLE.search(node.value):
        raise _at(node, f"the character U+{ord(found[0]):04X}, which is no text")


def _at(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


def _problem(error: Any) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    told = getattr(error, "problem", None) or getattr(error, "reason", None)
    return where + (told or str(error).splitlines()[0])
