"""Where a law comes from: one source, as a sentence for people and as BibTeX for papers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Reference:
    """One publication. ``authors`` are "First Last" each, or "others" as in BibTeX."""

    key: str
    authors: tuple[str, ...]
    title: str
    year: int
    arxiv: str = ""

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "Reference":
        """The reference whose fields a JSON document holds."""
        return cls(**{**document, "authors": tuple(document["authors"])})

    @property
    def citation(self) -> str:
        """Authors year, title, arXiv id: one line to read."""
        names = [name.rsplit(" ", 1)[-1] for name in self.authors]
        who = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
        if len(names) > 4 or "others" in names:
            who = f"{names[0]} et al."
        parts = [f"{who} {self.year}", self.title, *([f"arXiv:{self.arxiv}"] if self.arxiv else [])]
        return ", ".join(parts)

    @property
    def bibtex(self) -> str:
        """The entry of a .bib file."""
        fields = {
            "author": " and ".join(self.authors),
            "title": f"{{{self.title}}}",
            "year": str(self.year),
        }
        if self.arxiv:
            fields |= {"eprint": self.arxiv, "archivePrefix": "arXiv"}
        lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
        return "\n".join([f"@misc{{{self.key},", *lines, "}"])
