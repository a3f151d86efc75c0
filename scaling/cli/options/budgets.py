"""Budgets as people give them (FLOP, or 10x the largest run), and what they are paid with."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from scaling.cli.options.kinds import amount, given_number
from scaling.cli.outputs import say
from scaling.errors import ConfigError
from scaling.inputs import amounts
from scaling.inputs.amounts import Multiple, duration, memory, price

if TYPE_CHECKING:
    from analysis.decisions.money import Hardware
    from scaling.records import Records

budget = amount(amounts.budget, several="1e21 1e22")


def in_flops(budgets: Sequence[float | Multiple], records: "Records") -> list[float]:
    """The budgets in FLOP; what a multiple comes to is said. Raises ConfigError where no run
    tells, and RecordError as `analysis.tuning.screening.screen` does."""
    if not any(isinstance(asked, Multiple) for asked in budgets):
        return [asked for asked in budgets if not isinstance(asked, Multiple)]
    from analysis.tuning.screening import screen

    used = screen(records).with_values("train_flops")
    if not len(used):
        raise ConfigError(f"{records.source}: no usable run, of which a budget is a multiple")
    largest, found = float(used.column("train_flops").max()), []
    for asked in budgets:
        flops = asked.factor * largest if isinstance(asked, Multiple) else asked
        if isinstance(asked, Multiple):
            say(f"{asked.factor:g}x the largest run, of {largest:.4g} FLOP: {flops:.4g} FLOP")
        found.append(flops)
    return found


def hardware(command: argparse.ArgumentParser) -> None:
    """What a budget is spent on: devices, their speed, price and memory."""
    number = given_number
    for flag, metavar, read, text in (
        (
            "--mfu",
            "SHARE",
            given_number,
            "of its peak that a device reaches (default: as runs measured)",
        ),
        ("--device", "NAME", str, "what is computed on, for its peak and power: H100, A100 ..."),
        ("--peak-flops", "R", number, "dense FLOP a second of a device that we do not know"),
        (
            "--power",
            "WATTS",
            given_number,
            "of one device (default: the most that its board draws)",
        ),
        ("--devices", "K", number, "how many devices there are"),
        ("--deadline", "TIME", amount(duration), "when the run must have ended: 36h, 10d"),
        ("--device-memory", "SIZE", amount(memory), "of one device, 80GB; with --devices a limit"),
        ("--bytes-per-param", "B", number, "weights, gradients and optimizer state (20)"),
    ):
        command.add_argument(flag, metavar=metavar, type=read, help=text)
    text = "of an hour of one device: 2.5/h, 2.5USD/h; the table then has money"
    command.add_argument(
        "--price", metavar="PRICE", type=amount(price), action="append", default=[], help=text
    )


def asked_hardware(arguments: argparse.Namespace) -> "Hardware | None":
    """What the flags of `hardware` say; None where they say nothing. Raises ConfigError for two
    prices, and where a number of devices is no whole one."""
    from analysis.decisions.money import Hardware

    prices = arguments.price
    currencies = sorted({one.currency or "no currency" for one in prices})
    if len(currencies) > 1:
        raise ConfigError(
            f"--price in {' and in '.join(currencies)}; give one price in one currency"
        )
    if len(prices) > 1:
        raise ConfigError("--price is given twice; a plan has one price of a device hour")
    given = {
        name: getattr(arguments, name)
        for name in ("mfu", "device", "peak_flops", "devices", "deadline", "device_memory")
    }
    given |= {"power_watts": arguments.power, "bytes_per_param": arguments.bytes_per_param}
    given |= {"price": prices[0] if prices else None}
    stated = {name: value for name, value in given.items() if value is not None}
    if not stated:
        return None
    count = stated.get("devices")
    if count is not None:
        if not float(count).is_integer():
            raise ConfigError(f"--devices {count:g}: give a whole number")
        stated["devices"] = int(count)
    return Hardware(**stated)
