"""`python -m bench [PART ...] [--quick]`: every part, or those named; prints tables, writes build/bench.json."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

from bench import first_token, ingest, retrieval, start, streaming
from bench.programs import ROOT

Row = Sequence[Any]


def table(head: Row, rows: Sequence[Row]) -> str:
    """Columns, the first one to the left, the others to the right."""
    cells = [[_shown(cell) for cell in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(
            [cells_of[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(cells_of[1:], widths[1:]))]  # noqa: B905
        )
        for cells_of in cells
    )


def _shown(cell: Any) -> str:
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 100 else f"{cell:.3g}"
    return "-" if cell is None else str(cell)


def ratio(one: float | None, other: float | None) -> float | None:
    """One by the other, where both are known."""
    return one / other if one is not None and other else None


def against(name: str, goal: float, value: float | None, *, most: bool = False) -> dict[str, Any]:
    """A figure that has a goal: `value` is to be at least `goal`, or at most."""
    reached = value is not None and (value <= goal if most else value >= goal)
    return {"figure": name, "goal": f"{'<=' if most else '>='} {goal:.3g}", "value": value, "reached": reached}


def streams(door: str, quick: bool) -> tuple[Any, str, list[dict[str, Any]]]:
    """Parts `ws` and `gradio`."""
    if door == "ws":
        runs = [(0.0, 1, 300), (0.0, 8, 300), (0.0, 32, 300), (0.0, 128, 100), (50.0, 1, 100), (50.0, 128, 250)]
        runs = [(0.0, 1, 200), (0.0, 32, 200), (50.0, 128, 100)] if quick else runs
    else:
        runs = [(0.0, 1, 300), (0.0, 32, 300), (50.0, 32, 150)]
        runs = [(0.0, 32, 200)] if quick else runs
    found = streaming.measure(door, runs)
    figures = (
        "tokens_per_second",
        "first_token_median",
        "first_token_p99",
        "stream_seconds",
        "cpu_per_1000",
        "memory_mb",
    )
    rows = []
    for row in found:
        theirs, ours = row["theirs"], row["ours"]
        for name in figures:
            label = f"{row['engine']} x {row['streams']}: {name}"
            rows.append([label, theirs[name], ours[name], ratio(ours[name], theirs[name])])
        label = f"{row['engine']} x {row['streams']}: wrong tokens"
        rows.append([label, theirs["wrong_tokens"], ours["wrong_tokens"], None])
    other = "article" if door == "ws" else "naive"
    text = table(["engine (tokens a second) x streams", other, "ours", "ours / " + other], rows)
    goals = []
    wrong = sum(row["ours"]["wrong_tokens"] for row in found)
    many = next(row for row in found if row["engine"] == "unlimited" and row["streams"] == 32)
    speed = ratio(many["ours"]["tokens_per_second"], many["theirs"]["tokens_per_second"])
    if door == "ws":
        goals.append(against("ws, 32 streams: tokens a second / the article's", 3, speed))
        first = ratio(many["ours"]["first_token_median"], many["theirs"]["first_token_median"])
        goals.append(against("ws, 32 streams: first token, median / the article's", 1 / 3, first, most=True))
        slow = next(row for row in found if row["engine"] == 50.0 and row["streams"] == 128)
        kept = slow["tokens"] / slow["ours"]["stream_seconds"] / 50  # from a stream's first token to its last
        goals.append(against("ws, 128 streams of 50 tokens a second: share kept up with", 0.95, kept))
    else:
        goals.append(against("gradio_client, 32 streams: tokens a second / the naive page's", 5, speed))
        first = ratio(many["ours"]["first_token_median"], many["theirs"]["first_token_median"])
        goals.append(
            against("gradio_client, 32 streams: first token, median / the naive page's", 0.7, first, most=True)
        )
    goals.append(against(f"{door}: tokens lost, doubled or swapped", 0, float(wrong), most=True))
    return found, text, goals


def starts(quick: bool) -> tuple[Any, str, list[dict[str, Any]]]:
    """Part `start`."""
    found = start.measure(1 if quick else 5)
    text = table(["seconds", ""], [[name, value] for name, value in found.items()])
    return (
        found,
        text,
        [
            against("warm start to the page, seconds", found["warm_page_limit"], found["warm_page"], most=True),
            against("warm start to the first token, seconds", 4.5, found["warm_first_token"], most=True),
            against(
                f"memory while nobody asks, {start.MODELS[-1]}, MB",
                1200,
                found[f"idle_mb_{start.MODELS[-1]}"],
                most=True,
            ),
        ],
    )


def ingests(quick: bool) -> tuple[Any, str, list[dict[str, Any]]]:
    """Part `ingest`."""
    found = ingest.measure([1, 50] if quick else [1, 50, 500])
    names = ("pages", "chunks", "seconds", "chunks_per_second", "bare_model", "unchanged", "memory_peak_mb")
    rows = [[*(row[name] for name in names), row["chunks_per_second"] / row["bare_model"]] for row in found]
    text = table([*names, "ours / bare"], rows)
    many = [row for row in found if row["pages"] >= 50]
    rates = [
        against(
            f"ingest of {row['pages']} pages: rate / bare model's", 0.9, row["chunks_per_second"] / row["bare_model"]
        )
        for row in many
    ]
    again = against("unchanged second run / first", 0.02, many[0]["unchanged"] / many[0]["seconds"], most=True)
    return found, text, [*rates, again]


def retrievals(quick: bool) -> tuple[Any, str, list[dict[str, Any]]]:
    """Part `retrieval`."""
    found = retrieval.measure([1000, 10_000] if quick else [1000, 10_000, 100_000])
    text = table(list(found[0]), [list(row.values()) for row in found])
    goals = [
        against(f"retrieval at {row['chunks']:,} chunks: median, ms", most, row["median_ms"], most=True)
        for row in found
        if (most := {1000: 2, 100_000: 15}.get(row["chunks"]))
    ]
    return found, text, goals


def first_tokens(quick: bool) -> tuple[Any, str, list[dict[str, Any]]]:
    """Part `first-token`."""
    found = first_token.measure(4 if quick else 12)
    theirs, ours = found["theirs"], found["ours"]
    rows = [[name, theirs[name], ours[name], ratio(ours[name], theirs[name])] for name in theirs]
    text = table(["embedded model", "article's prompt", "ours", "ours / article's"], rows)
    sooner = theirs["first_token"] / ours["first_token"]
    return (
        found,
        text,
        [
            against("embedded first token: times sooner than with the article's prompt", 3, sooner),
            against("passages: hit@4 / dense retrieval's", 1, ratio(ours["hit@4"], theirs["hit@4"])),
        ],
    )


PARTS: dict[str, Callable[[bool], tuple[Any, str, list[dict[str, Any]]]]] = {
    "ws": lambda quick: streams("ws", quick),
    "gradio": lambda quick: streams("gradio", quick),
    "start": starts,
    "ingest": ingests,
    "retrieval": retrievals,
    "first-token": first_tokens,
}


def main() -> int:
    """Run the parts; exit code 0 whether or not goals are reached: this measures, tests judge."""
    parser = argparse.ArgumentParser("python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="less of everything: some four minutes")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "bench.json", metavar="FILE")
    flags = parser.parse_args()
    if unknown := set(flags.parts) - PARTS.keys():
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there is {', '.join(PARTS)}")
    told: dict[str, Any] = {"python": platform.python_version(), "cores": os.cpu_count(), "quick": flags.quick}
    goals: list[dict[str, Any]] = []
    for name in flags.parts or PARTS:
        began = time.monotonic()
        figures, text, reached = PARTS[name](flags.quick)
        told[name] = figures
        goals += reached
        print(f"\n{name} ({time.monotonic() - began:.0f} s)\n{text}", flush=True)
        told["goals"] = goals
        flags.json.parent.mkdir(parents=True, exist_ok=True)
        flags.json.write_text(json.dumps(told, indent=1), encoding="utf-8")
    rows = [[goal["figure"], goal["goal"], goal["value"], "yes" if goal["reached"] else "no"] for goal in goals]
    print("\n" + table(["to be shown", "goal", "here", "reached"], rows))
    print(f"\nAll figures are in {flags.json}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
