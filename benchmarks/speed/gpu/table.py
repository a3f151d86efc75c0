"""What a GPU showed beside what was hoped for, as lines of text."""

from collections.abc import Callable
from typing import Any


def table(rows: list[dict[str, Any]]) -> str:
    """What was measured beside what was hoped for, as lines of text."""
    machine = next((row for row in rows if row["what"] == "machine"), {})
    lines = [f"{machine.get('name', 'no device')}, torch {machine.get('torch', '?')}", ""]
    lines += _section("stages that did not end well", rows, _has_ended_badly, _stage_line)
    lines += _section("right?", rows, _is_check, _check_line)
    lines += _section("model FLOP utilisation", rows, lambda row: "mfu" in row, _speed_line)
    lines += _section("packs", rows, lambda row: row["what"] == "pack", _pack_line)
    lines += _section("seams", rows, lambda row: "plain_ms" in row, _seam_line)
    lines += _section("data", rows, lambda row: "in_turn_ms" in row, _data_line)
    lines += _section("ceilings", rows, _is_ceiling, _ceiling_line)
    lines += _section("memory", rows, lambda row: "peak_bytes" in row, _memory_line)
    lines += _section("failed", rows, lambda row: "failed" in row, lambda row: row["failed"][:90])
    lines += _section("left out", rows, lambda row: "left_out" in row, lambda row: row["left_out"])
    return "\n".join(lines)


def _section(
    title: str,
    rows: list[dict[str, Any]],
    belongs: Callable[[dict[str, Any]], bool],
    said: Callable[[dict[str, Any]], str],
) -> list[str]:
    found = [f"  {row['stage']:9} {row['what']:44} {said(row)}" for row in rows if belongs(row)]
    return [title, *found, ""] if found else []


def _has_ended_badly(row: dict[str, Any]) -> bool:
    return bool(row.get("code"))


def _stage_line(row: dict[str, Any]) -> str:
    return f"{row['code']} after {row['seconds']:.0f} s"


def _is_ceiling(row: dict[str, Any]) -> bool:
    return row["what"] in ("copy", "product") and "failed" not in row


def _ceiling_line(row: dict[str, Any]) -> str:
    if "bytes_per_second" in row:
        return f"{row['bytes_per_second'] / 1e12:.2f} TB/s"
    return f"{row['flops_per_second'] / 1e12:.0f} TFLOP/s"


def _seam_line(row: dict[str, Any]) -> str:
    gain = row["plain_ms"] / row["fused_ms"]
    return f"{row['fused_ms']:.2f} ms as one kernel, {gain:.2f}x as fast as its twin"


def _data_line(row: dict[str, Any]) -> str:
    gain = row["in_turn_ms"] / row["in_blocks_ms"]
    return f"{row['in_blocks_ms']:.1f} ms a chunk in blocks, {gain:.1f}x as fast as in turn"


def _is_check(row: dict[str, Any]) -> bool:
    return "ok" in row


def _check_line(row: dict[str, Any]) -> str:
    gap = f"  gap {row['gap']:.2g}, at most {row['most']:g}" if "gap" in row else ""
    return ("yes" if row["ok"] else "NO") + gap


def _speed_line(row: dict[str, Any]) -> str:
    share = "unknown peak" if row["mfu"] is None else f"{row['mfu']:6.1%}"
    goal = "" if row.get("goal") is None else f" (goal {row['goal']:.0%})"
    return f"{share}{goal}  {row['step_ms']:.2f} ms a step"


def _pack_line(row: dict[str, Any]) -> str:
    return (
        f"{row['replicas']} of {row['model']}: {row['over_graphed']:.1f}x a recorded single run "
        f"(goal {row['goal_graphed']:g}), {row['over_ungraphed']:.1f}x one that is not "
        f"(goal {row['goal_ungraphed']:g})"
    )


def _memory_line(row: dict[str, Any]) -> str:
    return f"{row['peak_bytes'] / 1e9:.1f} GB at most"
