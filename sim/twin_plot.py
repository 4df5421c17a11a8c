"""A recording and our side in one picture. The only place that needs matplotlib."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sim.twin_series import NO_STATE, Edge, changes, requests_of
from sim.twin_trace import Trace

SUFFIXES = (".svg", ".png")
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#000000")
"""Okabe and Ito's, told apart by the colour-blind."""
STYLES: tuple[dict[str, Any], ...] = ({"lw": 4.0, "alpha": 0.4}, {"lw": 1.2, "ls": (0, (5, 2))})
"""Of the recording, and of our side on it."""
WIDTH_IN, PANEL_IN = 11.0, 1.9


class Curve(NamedTuple):
    """A key in a panel; `scale` makes the panel's unit of it."""

    key: str
    label: str
    scale: float = 1.0


class Panel(NamedTuple):
    """One strip of the picture. With `words` the values are named on the axis."""

    unit: str
    curves: tuple[Curve, ...]
    words: tuple[str, ...] = ()


BATTERY_MODES = ("unknown", "normal", "hold", "charge", "holdcharge")


def may_draw(file: Path) -> None:
    """Raises ValueError for a file name that says no format, ImportError without matplotlib."""
    if file.suffix not in SUFFIXES:
        raise ValueError(f"{file}: a picture ends in {' or '.join(SUFFIXES)}")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise ImportError(
            "drawing needs matplotlib, which is not installed: pip install 'smartload[lab]'"
        ) from None


def panels_of(trace: Trace) -> list[Panel]:
    """What is worth seeing of this house."""
    boxes = range(1, len(trace.setup.loadpoints) + 1)
    battery = trace.setup.battery is not None
    named = [f"lp{n}" if len(boxes) > 1 else "car" for n in boxes]
    power = [Curve("dev.pv_w", "PV", 1e-3), Curve("dev.grid_w", "grid", 1e-3)]
    power += [Curve(f"dev.lp{n}_w", name, 1e-3) for n, name in zip(boxes, named, strict=True)]
    power += [Curve("dev.battery_w", "battery", 1e-3)] * battery
    power += [Curve("dev.load_w", "house", 1e-3)]
    found = [Panel("kW", tuple(power))]
    for n in boxes:
        prefix = f"lp{n} " if len(boxes) > 1 else ""
        found.append(
            Panel(
                f"{prefix}A, phases",
                (
                    Curve(f"lp{n}.offeredCurrent", "offered (A)"),
                    Curve(f"lp{n}.phasesActive", "phases"),
                    Curve(f"lp{n}.charging", "charging"),
                ),
            )
        )
    if battery:
        found.append(Panel("battery %", (Curve("dev.battery_soc_pct", "SoC"),)))
        found.append(
            Panel(
                "battery mode",
                (Curve("batteryMode", "evcc"), Curve("dev.battery_mode", "inverter")),
                BATTERY_MODES,
            )
        )
    cars = tuple(Curve(f"dev.car.{name}_pct", name) for name in trace.setup.cars)
    return [*found, Panel("car %", cars)]


def draw(recorded: Trace, ours: Trace, file: Path) -> None:
    """Draw both sides to an SVG or PNG file. Raises as `may_draw` does, and OSError.

    Recorded: a broad pale line; ours: a thin dashed one on it. The same sides give the same SVG.
    """
    may_draw(file)
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = panels_of(recorded)
    keys = tuple(curve.key for panel in panels for curve in panel.curves)
    sides = changes(recorded, keys), changes(ours, keys)
    with mpl.rc_context({"svg.hashsalt": "smartload", "font.size": 9.0}):
        figure = Figure(figsize=(WIDTH_IN, PANEL_IN * len(panels) + 1.0), layout="constrained")
        FigureCanvasAgg(figure)
        axes: Any = figure.subplots(
            len(panels), 1, sharex=True, squeeze=False,
            height_ratios=[2.0, *[1.0] * (len(panels) - 1)],
        )[:, 0]  # fmt: skip
        for axis, panel in zip(axes, panels, strict=True):
            _panel(axis, panel, sides, recorded.end_s)
        _requests(axes, recorded)
        axes[-1].set_xlabel("seconds since evcc's start")
        axes[-1].set_xlim(0, recorded.end_s)
        figure.suptitle(f"{recorded.header.scenario}: recorded (broad, pale), ours (thin, dashed)")
        metadata = {"Date": None} if file.suffix == ".svg" else {"Software": None}
        figure.savefig(file, dpi=110, metadata=metadata)


def _panel(axis: Any, panel: Panel, sides: Sequence[dict[str, list[Edge]]], end_s: float) -> None:
    """One strip: each key of both sides in one colour; the legend names our line."""
    for n, curve in enumerate(panel.curves):
        for side, style in zip(sides, STYLES, strict=True):
            steps = [*side[curve.key], *(Edge(end_s, last.value) for last in side[curve.key][-1:])]
            axis.step(
                [step.t for step in steps],
                [_height(step.value, panel, curve.scale) for step in steps],
                where="post",
                color=COLOURS[n % len(COLOURS)],
                label=None if "alpha" in style else curve.label,
                **style,
            )
    if panel.words:
        axis.set_yticks(range(len(panel.words)), panel.words)
        axis.set_ylim(-0.4, len(panel.words) - 0.6)
    axis.set_ylabel(panel.unit)
    axis.grid(axis="y", lw=0.4, alpha=0.5)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)


def _height(value: Any, panel: Panel, scale: float) -> float:
    """Where a value is drawn; not a number: a gap."""
    if value is None or value == NO_STATE:
        return float("nan")
    if isinstance(value, str):
        return float(panel.words.index(value)) if value in panel.words else float("nan")
    return float(value) * scale


def _requests(axes: Any, trace: Trace) -> None:
    """Requests as ticks along the time axis of the lowest strip."""
    times = [t for t, request in requests_of(trace) if request.method != "GET"]
    if times:
        axes[-1].plot(
            times, [0.0] * len(times), ls="", marker="|", ms=10, mew=1.2, color="black",
            transform=axes[-1].get_xaxis_transform(), clip_on=False, label="requests",
        )  # fmt: skip
        axes[-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
