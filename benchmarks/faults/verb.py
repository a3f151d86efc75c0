"""One verb run inside this process, and the rule that every ending must keep."""

import contextlib
import io
import warnings
from dataclasses import dataclass

from scaling.cli import main


@dataclass(frozen=True)
class Ending:
    """Exit code, both streams, and the exception that a verb let through, warnings included."""

    code: int
    out: str
    err: str
    raised: str = ""

    @property
    def refusals(self) -> list[str]:
        """The lines by which a verb says that it does not answer."""
        return [line for line in self.err.splitlines() if line.startswith("scaling: ")]

    @property
    def fault(self) -> str:
        """How the ending breaks the rule: exit code 0, or 2 and one line; nothing raised."""
        if self.raised:
            return f"raised {self.raised}"
        if self.code not in (0, 2):
            return f"exit code {self.code}"
        if "\x1b" in self.out + self.err:
            return "control characters reach the terminal"
        if self.code == 2 and len(self.refusals) != 1:
            return f"{len(self.refusals)} lines of refusal"
        return ""


def run_verb(*words: str, strict: bool = True) -> Ending:
    """Run `scaling WORDS`; a warning of a library counts as an exception, unless not `strict`, as
    where MLflow writes, which warns of itself."""
    out, err, raised, code = io.StringIO(), io.StringIO(), "", 0
    with warnings.catch_warnings(), contextlib.redirect_stdout(out):
        warnings.simplefilter("error" if strict else "ignore")
        with contextlib.redirect_stderr(err):
            try:
                code = main(list(words))
            except SystemExit as left:
                code = int(left.code or 0)
            except Exception as error:  # what the benchmark looks for
                raised = f"{type(error).__name__}: {str(error)[:200]}"
    return Ending(code, out.getvalue(), err.getvalue(), raised)
