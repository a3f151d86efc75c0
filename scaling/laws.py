"""Scaling laws as values: each law is a frozen dataclass of its constants.

Glossary, one symbol, one meaning, everywhere in the project:

    N  params         trainable parameters
    D  tokens         training tokens seen
    U  unique_tokens  distinct training tokens
    C  train_flops    FLOP spent on training
    L  loss           validation cross-entropy, nats per token
    E, c              floor: the loss that no scale removes, nats per token

Constants are floats, or arrays of draws: the truth of a test, a best fit and a whole bootstrap
share one type. ``law.loss(...)`` has the shape of the constants followed by the shape of the
inputs. A new law is one dataclass and one entry in `LAWS`.
"""

from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from scaling.arrays import FloatArray
from scaling.errors import FitError

Constant = float | FloatArray


class Law:
    """What all laws share. A law says its name, the columns it reads and its formula."""

    name: ClassVar[str]
    inputs: ClassVar[tuple[str, ...]]
    #: constants in which the loss is linear once all the others are known
    linear: ClassVar[tuple[str, ...]]
    #: constants that are searched on a log scale, since they cannot be negative
    positive: ClassVar[tuple[str, ...]]
    #: the constant that is the loss no scale removes
    floor: ClassVar[str]

    @staticmethod
    def formula(*inputs_then_constants: Any) -> Any:
        """The law as plain arithmetic: inputs first, then constants in field order."""
        raise NotImplementedError

    def loss(self, *inputs: npt.ArrayLike, **named: npt.ArrayLike) -> FloatArray:
        """Predicted loss in nats per token, shape: constants, then inputs.

        Inputs come in the order of ``inputs`` or by name: ``law.loss(params=7e9, tokens=1e12)``.
        """
        given = dict(zip(self.inputs, inputs, strict=False)) | named
        if set(given) != set(self.inputs) or len(inputs) + len(named) != len(self.inputs):
            raise TypeError(f"{self.name} takes {', '.join(self.inputs)}; got {', '.join(given)}")
        arrays = [np.asarray(given[name], dtype=np.float64) for name in self.inputs]
        rank = np.broadcast(*arrays).ndim
        spread = [_before_inputs(value, rank) for value in self.constants().values()]
        return np.asarray(self.formula(*arrays, *spread), dtype=np.float64)

    @classmethod
    def constant_names(cls) -> tuple[str, ...]:
        """The names of the constants, in field order."""
        return tuple(f.name for f in fields(cls))  # type: ignore[arg-type]

    def constants(self) -> dict[str, Constant]:
        """The constants by name, in field order."""
        return {name: getattr(self, name) for name in self.constant_names()}

    def derived(self) -> dict[str, Constant]:
        """Numbers that follow from the constants alone, such as the optimal-size exponent."""
        return {}


def _before_inputs(constant: Constant, rank: int) -> FloatArray:
    """The constant with ``rank`` axes of length one behind its own."""
    array = np.asarray(constant)
    return array.reshape(array.shape + (1,) * rank)


def _softplus(u: Any) -> Any:
    """log(1 + exp(u)) without overflow; also for complex u, which derivatives use."""
    large = u.real > 0
    return np.where(large, u, 0) + np.log1p(np.exp(np.where(large, -u, u)))


@dataclass(frozen=True)
class PowerLaw(Law):
    """One power of compute above a floor, the form used to predict GPT-4's final loss.

        L(C) = a C**b + c,   b < 0

    OpenAI 2023, "GPT-4 Technical Report", arXiv:2303.08774. Unit of a: nats per token times
    FLOP**-b. Here: any column can stand for C.
    """

    a: Constant
    b: Constant
    c: Constant
    name: ClassVar[str] = "power_law"
    inputs: ClassVar[tuple[str, ...]] = ("train_flops",)
    linear: ClassVar[tuple[str, ...]] = ("a", "c")
    positive: ClassVar[tuple[str, ...]] = ("a", "c")
    floor: ClassVar[str] = "c"

    @staticmethod
    def formula(x: Any, a: Any, b: Any, c: Any) -> Any:
        """a x**b + c."""
        return a * x**b + c


@dataclass(frozen=True)
class ShiftedPowerLaw(Law):
    """A power law that bends at small scale.

        L(C) = a (C + s)**b + c,   b < 0, s >= 0 in the unit of C

    Alabdulmohsin, Neyshabur and Zhai 2022, "Revisiting Neural Scaling Laws in Language and
    Vision", arXiv:2209.06640 (their M3).
    """

    a: Constant
    b: Constant
    c: Constant
    s: Constant
    name: ClassVar[str] = "shifted_power_law"
    inputs: ClassVar[tuple[str, ...]] = ("train_flops",)
    linear: ClassVar[tuple[str, ...]] = ("a", "c")
    positive: ClassVar[tuple[str, ...]] = ("a", "c", "s")
    floor: ClassVar[str] = "c"

    @staticmethod
    def formula(x: Any, a: Any, b: Any, c: Any, s: Any) -> Any:
        """a (x + s)**b + c."""
        return a * (x + s) ** b + c


@dataclass(frozen=True)
class M4(Law):
    """A law between a floor c and a ceiling L0, the loss of an untrained model.

        (L - c) / (L0 - L)**k = a x**b,   b < 0, k > 0

    Alabdulmohsin, Neyshabur and Zhai 2022, "Revisiting Neural Scaling Laws in Language and
    Vision", arXiv:2209.06640 (their M4, with k for their alpha). L is the only root between c
    and L0.
    """

    a: Constant
    b: Constant
    c: Constant
    L0: Constant
    k: Constant
    name: ClassVar[str] = "m4"
    inputs: ClassVar[tuple[str, ...]] = ("train_flops",)
    linear: ClassVar[tuple[str, ...]] = ()
    positive: ClassVar[tuple[str, ...]] = ("a", "c", "L0", "k")
    floor: ClassVar[str] = "c"

    @staticmethod
    def formula(x: Any, a: Any, b: Any, c: Any, L0: Any, k: Any) -> Any:  # noqa: N803
        """The root L, by Newton's method on the logit of (L - c) / (L0 - c)."""
        span = L0 - c
        # with L = c + span * logistic(u): k softplus(u) - softplus(-u) = t, monotone and of one
        # curvature in u, so Newton's method from either asymptote cannot miss
        t = np.log(a) + b * np.log(x) - (1 - k) * np.log(span)
        real_t, real_k = np.real(t), np.real(k)
        u = np.where(real_t < 0, real_t, real_t / real_k)
        for _ in range(8):
            u = u - _m4_newton(u, real_t, real_k)
        if np.iscomplexobj(t):  # a complex step carries exact derivatives through the root
            u = u - _m4_newton(u.astype(np.complex128), t, k)
        return c + span / (1 + np.exp(-np.where(np.real(u) < -700, -700, u)))


def _m4_newton(u: Any, t: Any, k: Any) -> Any:
    """One Newton step towards k softplus(u) - softplus(-u) = t."""
    above = _softplus(u)  # and softplus(-u) = softplus(u) - u
    share = np.exp(u - above)
    return ((k - 1) * above + u - t) / (1 - share + k * share)


@dataclass(frozen=True)
class BrokenPowerLaw(Law):
    """A power law whose exponent changes once, smoothly, from c0 to c0 + c1 around x = d1.

        L(x) = a + b x**-c0 (1 + (x / d1)**(1 / f1))**(-c1 f1)

    a is the floor, f1 the width of the break in ln x. Caballero, Gupta, Rish and Krueger 2022,
    "Broken Neural Scaling Laws", arXiv:2210.14891.
    """

    a: Constant
    b: Constant
    c0: Constant
    c1: Constant
    d1: Constant
    f1: Constant
    name: ClassVar[str] = "broken_power_law"
    inputs: ClassVar[tuple[str, ...]] = ("train_flops",)
    linear: ClassVar[tuple[str, ...]] = ("a", "b")
    positive: ClassVar[tuple[str, ...]] = ("a", "b", "d1", "f1")
    floor: ClassVar[str] = "a"

    @staticmethod
    def formula(x: Any, a: Any, b: Any, c0: Any, *breaks: Any) -> Any:
        """The floor plus a power times one factor for each (c, d, f) in ``breaks``."""
        log_x = np.log(x)
        log_power = -c0 * log_x
        for c, d, f in zip(breaks[::3], breaks[1::3], breaks[2::3], strict=True):
            log_power = log_power - c * f * _softplus((log_x - np.log(d)) / f)
        return a + b * np.exp(log_power)


@dataclass(frozen=True)
class TwiceBrokenPowerLaw(BrokenPowerLaw):
    """The broken power law with a second break, around x = d2. See `BrokenPowerLaw`."""

    c2: Constant
    d2: Constant
    f2: Constant
    name: ClassVar[str] = "broken_power_law_2"
    positive: ClassVar[tuple[str, ...]] = ("a", "b", "d1", "f1", "d2", "f2")


class _TwoInputLaw(Law):
    """Laws in N and D whose compute-optimal split at C = 6 N D has a closed form."""

    inputs: ClassVar[tuple[str, ...]] = ("params", "tokens")

    def _balance(self) -> tuple[Any, Any, Any]:
        """(alpha, beta, r): the optimum has alpha N**-alpha = r beta D**-beta."""
        raise NotImplementedError

    def optimal_params(self, train_flops: npt.ArrayLike) -> FloatArray:
        """Model size that minimises the loss when ``train_flops = 6 * params * tokens``."""
        flops = np.asarray(train_flops, dtype=np.float64)
        alpha, beta, ratio = (_before_inputs(v, flops.ndim) for v in self._balance())
        scale = (alpha / (beta * ratio)) ** (1 / (alpha + beta))
        return np.asarray(scale * (flops / 6) ** (beta / (alpha + beta)))

    def optimal_tokens(self, train_flops: npt.ArrayLike) -> FloatArray:
        """Training tokens at the same optimum: ``train_flops / (6 * optimal_params)``."""
        flops = np.asarray(train_flops, dtype=np.float64)
        return np.asarray(flops / (6 * self.optimal_params(flops)))

    def derived(self) -> dict[str, Constant]:
        """The exponents with which optimal size and optimal tokens grow with compute."""
        alpha, beta, _ = self._balance()
        size = beta / (alpha + beta)
        return {"optimal_params_exponent": size, "optimal_tokens_exponent": 1 - size}


@dataclass(frozen=True)
class Chinchilla(_TwoInputLaw):
    """A floor plus one power law in model size and one in data.

        L(N, D) = E + A N**-alpha + B D**-beta

    Hoffmann et al. 2022, "Training Compute-Optimal Large Language Models", arXiv:2203.15556
    (their Approach 3).
    """

    E: Constant
    A: Constant
    B: Constant
    alpha: Constant
    beta: Constant
    name: ClassVar[str] = "chinchilla"
    linear: ClassVar[tuple[str, ...]] = ("E", "A", "B")
    positive: ClassVar[tuple[str, ...]] = ("E", "A", "B")
    floor: ClassVar[str] = "E"

    @staticmethod
    def formula(n: Any, d: Any, E: Any, A: Any, B: Any, alpha: Any, beta: Any) -> Any:  # noqa: N803
        """E + A n**-alpha + B d**-beta."""
        return E + A * n**-alpha + B * d**-beta

    def _balance(self) -> tuple[Any, Any, Any]:
        return self.alpha, self.beta, np.asarray(self.B) / self.A


@dataclass(frozen=True)
class Skaling(_TwoInputLaw):
    """A law in which model size and data interact: their powers add before the outer power.

        L(N, D) = E + A (N**-alpha + R D**-beta)**k

    k = 1 is Chinchilla; E = 0 and beta = 1 give the joint law of Kaplan et al. 2020, "Scaling
    Laws for Neural Language Models", arXiv:2001.08361. Here it has a floor, and both exponents
    are free.
    """

    E: Constant
    A: Constant
    R: Constant
    alpha: Constant
    beta: Constant
    k: Constant
    name: ClassVar[str] = "skaling"
    linear: ClassVar[tuple[str, ...]] = ("E", "A")
    positive: ClassVar[tuple[str, ...]] = ("E", "A", "R", "k")
    floor: ClassVar[str] = "E"

    @staticmethod
    def formula(n: Any, d: Any, E: Any, A: Any, R: Any, alpha: Any, beta: Any, k: Any) -> Any:  # noqa: N803
        """E + A (n**-alpha + R d**-beta)**k."""
        return E + A * (n**-alpha + R * d**-beta) ** k

    def _balance(self) -> tuple[Any, Any, Any]:
        return self.alpha, self.beta, self.R


@dataclass(frozen=True)
class Overtraining(_TwoInputLaw):
    """Chinchilla with one exponent for size and data, so D/N is optimal at every budget.

        L(N, D) = E + A N**-alpha + B D**-alpha

    Gadre et al. 2024, "Language models scale reliably with over-training and on downstream
    tasks", arXiv:2403.08540. They write it in compute C = 6 N D and ratio M = D / N, as
    E + (a M**eta + b M**-eta) C**-eta; here eta = alpha / 2, a = A 6**eta and b = B 6**eta.
    """

    E: Constant
    A: Constant
    B: Constant
    alpha: Constant
    name: ClassVar[str] = "overtraining"
    linear: ClassVar[tuple[str, ...]] = ("E", "A", "B")
    positive: ClassVar[tuple[str, ...]] = ("E", "A", "B")
    floor: ClassVar[str] = "E"

    @staticmethod
    def formula(n: Any, d: Any, E: Any, A: Any, B: Any, alpha: Any) -> Any:  # noqa: N803
        """E + A n**-alpha + B d**-alpha."""
        return E + A * n**-alpha + B * d**-alpha

    def _balance(self) -> tuple[Any, Any, Any]:
        return self.alpha, self.alpha, np.asarray(self.B) / self.A

    def derived(self) -> dict[str, Constant]:
        """The tokens per parameter that this law holds to be optimal at every budget."""
        return {"optimal_tokens_per_param": (np.asarray(self.B) / self.A) ** (1 / self.alpha)}


@dataclass(frozen=True)
class DataConstrained(Law):
    """Chinchilla in which repeated tokens, and parameters beyond what the data feed, fade.

        L(N, D, U) = E + A N'**-alpha + B D'**-beta
        D' = U + U r_d (1 - exp(-(D/U - 1) / r_d))
        N' = V + V r_n (1 - exp(-(N/V - 1) / r_n)),   V = min(N, optimal size for U tokens)

    r_d and r_n (pure numbers) say after how many repeats the value of data and of excess
    parameters has decayed. With D <= U and N <= V it is Chinchilla. Muennighoff et al. 2023,
    "Scaling Data-Constrained Language Models", arXiv:2305.16264.
    """

    E: Constant
    A: Constant
    B: Constant
    alpha: Constant
    beta: Constant
    r_d: Constant
    r_n: Constant
    name: ClassVar[str] = "data_constrained"
    inputs: ClassVar[tuple[str, ...]] = ("params", "tokens", "unique_tokens")
    linear: ClassVar[tuple[str, ...]] = ()
    positive: ClassVar[tuple[str, ...]] = ("E", "A", "B", "alpha", "beta", "r_d", "r_n")
    floor: ClassVar[str] = "E"

    @staticmethod
    def formula(n: Any, d: Any, u: Any, E: Any, A: Any, B: Any, *rest: Any) -> Any:  # noqa: N803
        """E + A n'**-alpha + B d'**-beta with faded n' and d'."""
        alpha, beta, r_d, r_n = rest
        unique = np.minimum(u, d)
        log_g = np.log(alpha * A / (beta * B)) / (alpha + beta)
        # the size for which D = unique tokens is compute-optimal: (D G)**(beta/alpha) G
        fed = np.exp((np.log(unique) + log_g) * beta / alpha + log_g)
        useful = np.where(np.real(fed) < n, fed, n)
        faded_n = useful * (1 + r_n * -np.expm1(-(n / useful - 1) / r_n))
        faded_d = unique * (1 + r_d * -np.expm1(-(d / unique - 1) / r_d))
        return E + A * faded_n**-alpha + B * faded_d**-beta

    def derived(self) -> dict[str, Constant]:
        """The exponents of the compute-optimal split while data are fresh."""
        return self.with_fresh_data().derived()

    def with_fresh_data(self) -> Chinchilla:
        """The Chinchilla law that holds while no token is repeated."""
        return Chinchilla(E=self.E, A=self.A, B=self.B, alpha=self.alpha, beta=self.beta)


@dataclass(frozen=True)
class ShapeLaw(Law):
    """Width, depth and data as separate variables.

        L(w, l, D) = E + A w**-alpha + G l**-gamma + B D**-beta

    w is the width, l the number of layers. McLeish et al. 2025, "Gemstones: A Model Suite for
    Multi-Faceted Scaling Laws", arXiv:2502.06857.
    """

    E: Constant
    A: Constant
    G: Constant
    B: Constant
    alpha: Constant
    gamma: Constant
    beta: Constant
    name: ClassVar[str] = "shape_law"
    inputs: ClassVar[tuple[str, ...]] = ("width", "depth", "tokens")
    linear: ClassVar[tuple[str, ...]] = ("E", "A", "G", "B")
    positive: ClassVar[tuple[str, ...]] = ("E", "A", "G", "B")
    floor: ClassVar[str] = "E"

    @staticmethod
    def formula(w: Any, depth: Any, d: Any, E: Any, A: Any, G: Any, B: Any, *rest: Any) -> Any:  # noqa: N803
        """E + A w**-alpha + G depth**-gamma + B d**-beta."""
        alpha, gamma, beta = rest
        return E + A * w**-alpha + G * depth**-gamma + B * d**-beta


LAWS: dict[str, type[Law]] = {
    "power_law": PowerLaw,
    "shifted_power_law": ShiftedPowerLaw,
    "m4": M4,
    "broken_power_law": BrokenPowerLaw,
    "broken_power_law_2": TwiceBrokenPowerLaw,
    "chinchilla": Chinchilla,
    "skaling": Skaling,
    "overtraining": Overtraining,
    "data_constrained": DataConstrained,
    "shape_law": ShapeLaw,
}


def law_named(name: "str | type[Law]") -> type[Law]:
    """The law of this name (or the class itself). Raises FitError naming the known ones."""
    if isinstance(name, type):
        return name
    if name not in LAWS:
        raise FitError(f'unknown law "{name}"; the laws are {", ".join(LAWS)}')
    return LAWS[name]
