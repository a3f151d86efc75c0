"""What budgets are spent on, as a viewer says it: the flags of `scaling allocate` as fields."""

from collections.abc import Callable
from typing import Any

import streamlit as st

from analysis.dashboard.page import Page
from analysis.dashboard.state import Field, number_field, text_field
from analysis.decisions.money import Hardware
from scaling.inputs.amounts import duration, memory, price
from scaling.tables.cells.numbers import number


def amount_field(name: str, reader: Callable[[str], Any]) -> Field:
    """A text that ``reader`` understands, or none; the address keeps it as it was written."""

    def read(text: str) -> str:
        if text:
            reader(text)
        return text

    return Field(name=name, read=read, default="")


FIELDS = (
    amount_field("price", price),
    number_field("mfu", 1e-3, 1.0),
    text_field("device"),
    amount_field("peak", number),
    amount_field("power", number),
    number_field("devices", 1, 10_000_000, whole=True),
    amount_field("deadline", duration),
    amount_field("memory", memory),
    amount_field("bytes", number),
)
_TEXTS = (
    ("price", "Price of a device hour", "2.5USD/h"),
    ("device", "Device", "H100"),
    ("deadline", "Must have ended in", "10d"),
    ("memory", "Memory of one device", "80GB"),
    ("peak", "Peak of another device, FLOP/s", "9.89e14"),
    ("power", "Watts of one device", "as its board draws"),
    ("bytes", "Bytes a parameter", "20"),
)


def hardware(page: Page) -> Hardware | None:
    """What the fields say; None where they say nothing. Raises ForecastError where no such devices
    can be."""
    state = page.state
    read: dict[str, tuple[Callable[[str], Any], str]] = {
        "price": (price, state["price"]),
        "peak_flops": (number, state["peak"]),
        "power_watts": (number, state["power"]),
        "deadline": (duration, state["deadline"]),
        "device_memory": (memory, state["memory"]),
        "bytes_per_param": (number, state["bytes"]),
    }
    stated: dict[str, Any] = {name: how(text) for name, (how, text) in read.items() if text}
    stated |= {name: state[name] for name in ("mfu", "devices") if state[name] is not None}
    stated |= {"device": state["device"].strip()} if state["device"].strip() else {}
    return Hardware(**stated) if stated else None


def show_fields(page: Page) -> None:
    """The widgets of the fields, folded away until they say something."""
    said = any(page.state[field.name] not in ("", None) for field in FIELDS)
    with st.expander("Devices and prices", expanded=said, icon=":material/memory:"):
        columns = st.columns(3)
        columns[0].number_input(
            "Share of the peak that training reaches (MFU)",
            0.001,
            1.0,
            step=0.05,
            placeholder="as the runs measured",
            **page.bind("mfu"),
        )
        columns[1].number_input("Devices", 1, step=1, **page.bind("devices"))
        for number_of, (name, label, example) in enumerate(_TEXTS, start=2):
            columns[number_of % 3].text_input(label, placeholder=example, **page.bind(name))
