"""How fast a device computes: as it is stated, or as the runs that were timed measured it."""

from dataclasses import dataclass

import numpy as np

from scaling.compute import board_power_watts, peak_flops_per_second
from scaling.errors import ForecastError
from scaling.records import Records
from scaling.tables.notes import printable
from scaling.words import counted

ASSUMED_DEVICE = "H100"  # where neither a device nor its peak is known


@dataclass(frozen=True, kw_only=True)
class Assumption:
    """One number that an answer takes for granted."""

    name: str
    value: float | str
    text: str  # a sentence without a full stop: the number, and where it is from

    @property
    def number(self) -> float:
        """The value of one that is a number."""
        return float(self.value)


@dataclass(frozen=True, kw_only=True)
class Speed:
    """FLOP a second of one device, by model size."""

    rates: tuple[tuple[float, float], ...]  # (params, FLOP/s), rising in params; one where stated
    device: str | None
    assumed: tuple[Assumption, ...]

    def at(self, params: float | None) -> float:
        """The rate at a model size: interpolated in the logarithms between measured sizes, and kept
        beyond them; without a size that of the largest."""
        sizes, rates = np.log(np.array(self.rates).T)
        return float(
            np.exp(rates[-1] if params is None else np.interp(np.log(params), sizes, rates))
        )


def stated_speed(
    records: Records, mfu: float, device: str | None, peak_flops: float | None
) -> Speed:
    """The speed at a share of the device's peak: of the device that is named, else of the one that
    the runs name, else of an H100. Raises ForecastError for a device that the table does not know.
    """
    if not 0 < mfu <= 1:
        raise ForecastError(
            f"a model FLOP utilisation (MFU) of {mfu:g}: give a share of the peak, such as .4"
        )
    on = device or _of_runs(records)
    if peak_flops is not None:
        peak, of = peak_flops, "as stated"
    else:
        if on is None or (device is None and peak_flops_per_second(on) is None):
            on, of = ASSUMED_DEVICE, "assumed, since no device is named"
        else:
            of = "as stated" if device else "which the runs name"
        known = peak_flops_per_second(on)
        if known is None:
            raise ForecastError(
                f'the peak of a device "{printable(on)}" is not known; give it (--peak-flops)'
            )
        peak, of = known, f"dense bf16 of one {on}, {of}"
    if not (np.isfinite(peak) and peak > 0):
        raise ForecastError(f"a peak of {peak:g} FLOP/s; give a finite number above zero")
    assumed = (
        Assumption(name="mfu", value=mfu, text=f"MFU {mfu:g}, as stated, at every size"),
        Assumption(name="peak_flops", value=peak, text=f"peak {peak:.4g} FLOP/s, {of}"),
    )
    return Speed(rates=((1.0, mfu * peak),), device=on, assumed=assumed)


def measured_speed(records: Records, device: str | None) -> Speed | None:
    """The speed of the runs that have device times, the median of each size, on ``device`` or on
    the one that most of them ran on; None where no run has one."""
    found = _measured(records, device)
    if not found:
        return None
    chosen = max(found, key=lambda name: (sum(map(len, found[name].values())), name))
    by_size = found[chosen]
    rates = tuple((n, float(np.median(rate))) for n, rate in sorted(by_size.items()))
    runs = sum(map(len, by_size.values()))
    low, high = min(r for _, r in rates), max(r for _, r in rates)
    on = f" on {printable(chosen)}" if chosen else ""
    text = (
        f"{low:.3g} to {high:.3g} FLOP/s of one device, as {counted(runs, 'run')} measured{on}, "
        f"the largest of {rates[-1][0]:.3g} parameters; larger models keep its rate"
    )
    others = [printable(name or "an unnamed device") for name in found if name != chosen]
    if others:
        text += f"; not counted: runs on {', '.join(others)}"
    named = "flops_per_second"
    assumed = (Assumption(name=named, value=rates[-1][1], text=text),)
    return Speed(rates=rates, device=chosen or None, assumed=assumed)


def _measured(records: Records, device: str | None) -> dict[str, dict[float, list[float]]]:
    """FLOP a second of finished runs: by device, then by size."""
    if any(name not in records for name in ("device_seconds", "train_flops", "params")):
        return {}
    runs = records.finished
    names = ("params", "train_flops", "device_seconds")
    params, flops, seconds = (runs.column(name) for name in names)
    if "marginal_flops" in runs.table:  # of a decay branch, what it added to its trunk
        marginal = runs.column("marginal_flops")
        flops = np.where(np.isfinite(marginal), marginal, flops)
    on = _devices(runs)
    found: dict[str, dict[float, list[float]]] = {}
    for n, c, s, name in zip(params, flops, seconds, on, strict=True):
        if np.isfinite([n, c, s]).all() and min(n, c, s) > 0 and _is(name, device):
            found.setdefault(name, {}).setdefault(float(n), []).append(float(c / s))
    return found


def _is(name: str, device: str | None) -> bool:
    """Whether a device of the table is the one asked for, if one is."""
    if device is None:
        return True
    words = name.upper().replace("-", " ").split()
    return all(word in words for word in device.upper().replace("-", " ").split())


def _devices(records: Records) -> list[str]:
    if "device" not in records.table:
        return [""] * len(records)
    return [str(name) if isinstance(name, str) else "" for name in records.table["device"]]


def _of_runs(records: Records) -> str | None:
    """The one device of the runs; None where they name none, or several."""
    found = {name for name in _devices(records) if name}
    return found.pop() if len(found) == 1 else None


def power_of(device: str | None, stated: float | None) -> Assumption | None:
    """The watts of one device: as stated, or the most that its board draws; None where unknown."""
    watts = stated if stated is not None else board_power_watts(device or "")
    if watts is None:
        return None
    if not (np.isfinite(watts) and watts > 0):
        raise ForecastError(f"a power of {watts:g} W; give a finite number above zero")
    of = "as stated" if stated is not None else f"the most that one {device} draws"
    text = f"{watts:g} W a device, {of}; hosts, network and cooling are not counted"
    return Assumption(name="power_watts", value=watts, text=text)
