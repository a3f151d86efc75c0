"""How forms grow: each step adds a term, or makes one of its terms richer."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations

import numpy as np

from analysis.discovery.forms.factors import Factor
from analysis.discovery.forms.form import Bowl, Form, Term
from analysis.discovery.forms.table import Table

MOST_TERMS = 6
MOST_FACTORS = 4
_LEAST_SLICES = 3
_PASSES = "epoch"  # in the name of what counts how often data were seen
_DISTINCT = ("unique", "distinct")  # in the name of what counts each token once


def templates(table: Table) -> Iterator[Form]:
    """Forms to begin with: the floor; a sum of a power of every input; and where inputs have an
    optimum between their ends, that sum over the others with a bowl for each of these."""
    yield Form()
    optimal = [i for i in table.scales if has_interior_optimum(table, i)]
    others = [i for i in table.scales if i not in optimal]
    if len(table.scales) > 1:
        yield Form(tuple(Term((_power(i),)) for i in table.scales))
    if optimal:
        powers = tuple(Term((_power(i),)) for i in others)
        yield Form((*powers, *(Term((), Bowl(i)) for i in optimal)))
        yield Form((*powers, *(Term((), Bowl(i, tuple(others))) for i in optimal)))


def has_interior_optimum(table: Table, i: int) -> bool:
    """Whether, at equal other inputs, the best of three values or more of an input lies between its
    ends more often than not."""
    rest = np.delete(table.inputs, i, axis=1)
    key = np.column_stack([table.group, *(np.round(np.log(np.abs(x) + 1e-300), 3) for x in rest.T)])
    _, slices = np.unique(key, axis=0, return_inverse=True)
    inside = tried = 0
    for number in range(int(slices.max()) + 1):
        own = np.flatnonzero(slices.reshape(-1) == number)
        x = table.inputs[own, i]
        if len(np.unique(x)) < 3:
            continue
        best = x[table.y[own].argmin()]
        tried += 1
        inside += bool(x.min() < best < x.max())
    return tried >= _LEAST_SLICES and inside > tried / 2


def grown(form: Form, table: Table) -> Iterator[Form]:
    """Every form one step from this one."""
    if len(form.terms) < MOST_TERMS:
        for term in _new_terms(form, table):
            yield Form((*form.terms, term))
    for place, term in enumerate(form.terms):
        for richer in _richer(term, table):
            terms = list(form.terms)
            terms[place] = richer
            yield Form(tuple(terms))
    yield from _coupled(form)


def counts_distinct(table: Table, j: int, i: int) -> bool:
    """Whether an input counts the distinct ones of what another counts: by its name, and nowhere
    more than the other. Without a name a model smaller than its data would look so."""
    named = any(word in table.names[j].lower() for word in _DISTINCT)
    return named and bool((table.inputs[:, j] <= table.inputs[:, i] * (1 + 1e-9)).all())


def _power(i: int) -> Factor:
    return Factor("power", (i,))


def _new_terms(form: Form, table: Table) -> Iterator[Term]:
    have = [term.key for term in form.terms]
    new = [Term((_power(i),)) for i in table.scales]
    if shares := table.of_role("proportion"):
        new.append(Term((Factor("mixture", shares),)))
    new += [Term((Factor("share", (i,)),)) for i in _offset(table)]
    new += [Term((), Bowl(i)) for i in table.scales]
    for term in new:
        if have.count(term.key) < (2 if term.bowl is None else 1):
            yield term


def _offset(table: Table) -> tuple[int, ...]:
    """The inputs that a constant is added to before a power is taken: they may be zero."""
    return (*table.of_role("proportion"), *table.of_role("offset"))


def _richer(term: Term, table: Table) -> Iterator[Term]:
    powers = {f.inputs[0]: f for f in term.factors if f.kind == "power"}
    touched = {i for f in term.factors for i in f.inputs}
    if len(term.factors) < MOST_FACTORS:
        for i in table.scales:
            if i not in touched and (term.bowl is None or term.bowl.of != i):
                yield replace(term, factors=(*term.factors, _power(i)))
                if powers and term.bowl is None:
                    yield replace(term, factors=(*term.factors, Factor("boosted", (i,))))
        shares = table.of_role("proportion")
        if shares and not any(f.kind == "mixture" for f in term.factors):
            yield replace(term, factors=(*term.factors, Factor("mixture", shares)))
        for i in _offset(table):
            if not any(f.kind == "share" and f.inputs == (i,) for f in term.factors):
                yield replace(term, factors=(*term.factors, Factor("share", (i,))))
        for i, j in permutations(powers, 2):
            if i < j and not any(f.kind == "cross" for f in term.factors):
                yield replace(term, factors=(*term.factors, Factor("cross", (i, j))))
    for i, factor in powers.items():
        rest = tuple(f for f in term.factors if f is not factor)
        for kind in ("shifted", "saturated"):
            yield replace(term, factors=(*rest, Factor(kind, (i,))))
        for j in table.scales:
            if j == i:
                continue
            if (table.inputs[:, j] >= 1).all():
                yield replace(term, factors=(*rest, Factor("effective", (i, j))))
            yield replace(term, factors=(*rest, Factor("varying", (i, j))))
            if counts_distinct(table, j, i):
                yield replace(term, factors=(*rest, Factor("repeated", (i, j))))
            if _PASSES in table.names[j].lower():
                yield replace(term, factors=(*rest, Factor("passed", (i, j))))
    if term.bowl is not None:
        for j in table.scales:
            if j != term.bowl.of and j not in term.bowl.moved_by:
                moved = tuple(sorted((*term.bowl.moved_by, j)))
                yield replace(term, bowl=replace(term.bowl, moved_by=moved))
        if not term.bowl.tilted:
            yield replace(term, bowl=replace(term.bowl, tilted=True))


def _coupled(form: Form) -> Iterator[Form]:
    """Two terms that are powers of one input each, as one power of their sum."""
    alone = [
        (place, term.factors[0].inputs[0])
        for place, term in enumerate(form.terms)
        if term.bowl is None and len(term.factors) == 1 and term.factors[0].kind == "power"
    ]
    for (p, i), (q, j) in permutations(alone, 2):
        if i < j:
            rest = tuple(t for k, t in enumerate(form.terms) if k not in (p, q))
            yield Form((*rest, Term((Factor("coupled", (i, j)),))))
