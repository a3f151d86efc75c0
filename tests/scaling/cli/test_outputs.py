"""Facts about documents: they look as JSON does with an indent, and hold no number that is none."""

import json

import pytest

from scaling.cli.outputs import indented

DOCUMENT = {
    "numbers": [1, 2.5, -1e-300, True, None],
    "words": ["ü", 'a "b"', "line\nline"],
    "nested": [[1, 2], {"a": [], "b": {}}, "c", [{"d": 0.1}]],
    "none": None,
    "plain": "text",
}


@pytest.mark.parametrize("document", [DOCUMENT, [DOCUMENT, DOCUMENT], [], {}, [1.0], "text"])
def test_a_document_is_indented_as_the_standard_library_indents_it(document):
    assert indented(document) == json.dumps(document, indent=1)


@pytest.mark.parametrize("value", [float("nan"), [1.0, float("inf")], {"a": [[float("nan")]]}])
def test_a_number_that_is_not_finite_is_no_json(value):
    with pytest.raises(ValueError, match="JSON compliant"):
        indented(value)
