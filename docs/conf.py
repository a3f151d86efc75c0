"""How Sphinx builds these documents: `make docs`. Nothing here or in a page needs a network."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from scaling.version import installed_version  # noqa: E402

project = "scaling"
author = "the authors of scaling-forecast"
version = release = installed_version()
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_gallery.gen_gallery"]
exclude_patterns = ["gallery/*.ipynb", "gallery/*.py", "gallery/*.json", "gallery/searchindex*"]
nitpicky = False

myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]

smartquotes = False  # it would make one dash of the two of an option

# Docstrings mark code with single backticks, and are Markdown rather than reStructuredText.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "ignore_pattern": r"__init__\.py",
    "within_subsection_order": "FileNameSortKey",
    "show_memory": False,
    "min_reported_time": 60,
    "download_all_examples": False,
    "show_signature": False,
    "write_computation_times": False,
    "abort_on_example_error": True,
    "matplotlib_animations": False,
    "image_srcset": ["2x"],
}
suppress_warnings = ["config.cache"]

html_theme = "furo"
html_title = "scaling"
html_static_path = ["static"]
html_css_files = ["narrow.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False


#: Pages whose text is a file at the root of the repository, followed by what their own file holds.
AT_THE_ROOT = {"index": "README.md", "contributing": "CONTRIBUTING.md"}


def with_root_files(app, docname, source):  # noqa: D103
    text = source[0]
    if docname in AT_THE_ROOT:
        own = (ROOT / AT_THE_ROOT[docname]).read_text(encoding="utf-8")
        text = own.replace("](docs/", "](").replace("](examples/", "](../examples/") + text
    source[0] = re.sub(r"\]\(((?:\.\./)*)CONTRIBUTING\.md\)", _to_contributing, text)


def _to_contributing(link):
    up = link[1].removeprefix("../")
    return f"]({up}contributing.md)"


def labelled_cells(app, pagename, templatename, context, doctree):  # noqa: D103
    context["body"] = re.sub(r"<table.*?</table>", _labelled, context.get("body") or "", flags=re.S)


def _labelled(table):
    """A table whose cells say their column: on a phone each row is a block, without a header."""
    heads = [_plain(head) for head in re.findall(r"<th\b.*?</th>", table[0], re.S)]
    names = heads if len(heads) > 2 else []

    def row(found):
        before, *cells = found[0].split("<td")
        for place, cell in enumerate(cells):
            if 0 < place < len(names) and _plain(f"<td{cell}"):
                cells[place] = f' data-label="{names[place]}"{cell}'
        return "<td".join([before, *cells])

    return re.sub(r"<tr.*?</tr>", row, table[0], flags=re.S)


def _plain(html):
    return re.sub("<[^>]*>", "", html).strip()


def escaped(text: str) -> str:
    """A line of a docstring in which asterisks and bars outside code are what they look like."""
    parts = re.split(r"(`+[^`]*`+)", text)
    return "".join(p if p.startswith("`") else re.sub(r"([*|])", r"\\\1", p) for p in parts)


def plain_docstrings(app, what, name, obj, options, lines):  # noqa: D103
    lines[:] = [escaped(line) for line in lines]


def setup(app):  # noqa: D103
    app.connect("source-read", with_root_files)
    app.connect("html-page-context", labelled_cells)
    app.connect("autodoc-process-docstring", plain_docstrings)
