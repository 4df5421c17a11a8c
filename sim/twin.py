"""The twin: recordings of a real evcc, played to the pretend one and compared."""

from collections.abc import Callable, Sequence
from math import inf
from pathlib import Path
from typing import Any

import msgspec

from sim.evcc_luck import Luck
from sim.twin_compare import Comparison, Moment, bar_of, compare, shown
from sim.twin_play import play
from sim.twin_series import is_critical
from sim.twin_trace import Trace, read_trace, write_trace

DRAWS = 40
"""A delay that is a multiple of the cycle ends in one cycle or the next, at random: as many
draws of these ties are tried (`evcc-regulator.md` §8)."""


AT_ONCE_S = 1.5


class TraceReport(msgspec.Struct, frozen=True):
    """One recording: its best draw, and how many it took to find it."""

    name: str
    passed: bool
    draws: int
    seeds: tuple[tuple[float, int], ...]
    """From so many seconds on, that seed."""
    found: Comparison
    ignored: tuple[str, ...] = ()

    def value(self) -> dict[str, Any]:
        """As JSON has it."""
        one = self.found
        return {
            "passed": self.passed,
            "agree": one.agree,
            "strict": one.strict,
            "edges": one.edges,
            "energy": one.energy,
            "worst": one.worst,
            "draws": self.draws,
            "seeds": self.seeds,
            "seconds": one.seconds,
            "below": one.below,
            "requests": one.requests,
            "ignored": self.ignored,
            "differences": one.differences,
            "odd_edges": one.odd_edges,
        }

    def line(self, width: int = 0) -> str:
        """The recording in one line: the worst key of each group, edges, energy, draws."""
        one, parts = self.found, []
        for critical in (True, False):
            group = {key: one.agree[key] for key in one.agree if is_critical(key) is critical}
            if group:
                worst = min(group, key=lambda key: group[key])
                parts.append(f"{100 * group[worst]:6.2f} % {worst:<20}")
        edges = one.edges
        parts.append(f"edges {edges.recorded - edges.missing}/{edges.recorded} +{edges.extra}")
        apart = max(
            (abs(energy.ours_kwh - energy.recorded_kwh) for energy in one.energy.values()),
            default=0.0,
        )
        parts.append(f"energy ±{apart:.3f} kWh")
        parts.append(f"draws {self.draws}")
        verdict = "ok" if self.passed else f"below: {', '.join(one.below)}"
        return f"{self.name:<{width}}  {'  '.join(parts)}  {verdict}"

    def details(self, verbose: bool) -> list[str]:
        """The worst moment with both sides; all that differs when `verbose`."""
        one, lines = self.found, []
        if self.ignored:
            lines.append(f"  not understood and left out: {', '.join(self.ignored)}")
        if one.worst is not None:
            lines.append(f"  worst: {_told(one.worst)}")
        if verbose:
            lines += [f"  {_told(moment)}" for moment in one.differences]
        if verbose or "edges" in one.below:
            lines += [
                f"  edge at {edge.t:.2f} s only {edge.side}: {edge.key} = {shown(edge.value)}"
                for edge in one.odd_edges
            ]
        for name, energy in one.energy.items():
            if verbose or name in one.below:
                lines.append(
                    f"  {name}: {energy.recorded_kwh:.3f} kWh recorded, {energy.ours_kwh:.3f} ours"
                )
        lines += [
            f"  at {odd.t:.2f} s {odd.request}: {odd.recorded} recorded, {odd.ours} ours"
            for odd in one.requests.different
        ]
        return lines


class Report(msgspec.Struct, frozen=True):
    """All recordings."""

    traces: tuple[TraceReport, ...]

    @property
    def passed(self) -> bool:
        """Whether every recording is within its bars."""
        return all(one.passed for one in self.traces)

    def value(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"traces": {one.name: one.value() for one in self.traces}, "passed": self.passed}

    def lines(self, verbose: bool = False) -> list[str]:
        """For people: a line per recording, then what is to be said of those below a bar."""
        width = max(len(one.name) for one in self.traces)
        found = [one.line(width) for one in self.traces]
        for one in self.traces:
            tell = verbose or not one.passed or one.ignored
            details = one.details(verbose) if tell else []
            if details:
                found += ["", f"{one.name} (draw {one.draws})", *details]
        return found


def _told(moment: Moment) -> str:
    """A stretch of disagreement in words."""
    last = f" to {moment.t + moment.seconds - 1}" if moment.seconds > 1 else ""
    excused = f" (excused; bar {100 * bar_of(moment.key):g} %)" if moment.excused else ""
    return (
        f"{moment.t}{last} s {moment.key}: {shown(moment.recorded)} recorded,"
        f" {shown(moment.ours)} ours{excused}"
    )


def best_of(trace: Trace, draws: int = DRAWS) -> tuple[TraceReport, Trace]:
    """The best draw of the ties, and our side of it. Raises TraceError.

    The best misses the fewest bars, then differs least, to the second; a draw with every write at
    its recorded time is the last. After the first quarter a draw keeps the luck of the one that
    went on longest without a write at another time, up to there.
    """
    best: tuple[TraceReport, Trace] | None = None
    longest = 0.0, Luck([(0.0, 0)])
    for seed in range(draws):
        luck = Luck([(0.0, seed)])
        if seed >= draws // 4 and seed > 0:
            luck = longest[1].until(longest[0], seed)
        ours = play(trace, luck)
        apart_s = first_apart_s(trace, ours)
        longest = max(longest, (apart_s, luck), key=lambda one: one[0])
        found = compare(trace, ours)
        report = TraceReport(
            trace.path.stem, not found.below, seed + 1, luck.seeds, found, trace.ignored
        )
        if best is None or _order(found) < _order(best[0].found):
            best = report, ours
        if report.passed and apart_s == inf:
            break
    assert best is not None
    return msgspec.structs.replace(best[0], draws=seed + 1), best[1]


def _order(found: Comparison) -> tuple[tuple[int, int], float]:
    """The less, the better: bars missed, seconds that differ, also those that are excused."""
    return found.rank, -sum(found.strict.values())


def first_apart_s(recorded: Trace, ours: Trace) -> float:
    """Half a cycle before the first write that only one side has at that time; inf: none."""
    sides = [
        [(line.t, line.evcc_write) for line in trace.lines if line.evcc_write is not None]
        for trace in (recorded, ours)
    ]
    apart_s = [
        t
        for k in (0, 1)
        for t, write in sides[k]
        if t <= recorded.end_s
        if not any(abs(t - other) < AT_ONCE_S and write == told for other, told in sides[1 - k])
    ]
    return max(0.0, min(apart_s, default=inf) - recorded.setup.interval_s / 2)


def run(
    paths: Sequence[Path],
    out: Path | None = None,
    plot: Path | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> Report:
    """Compare recordings with the pretend evcc.

    `out`: a folder for our sides, under the recordings' own names. `plot`: a picture of the one
    recording. Raises TraceError when a recording cannot be used, ValueError when they do not go
    together, ImportError (ModuleNotFoundError) when there is nothing to draw with.
    """
    traces = [read_trace(path) for path in paths]
    _go_together(traces, out, plot)
    if plot is not None:
        from sim.twin_plot import draw, may_draw

        may_draw(plot)
    reports = []
    for n, trace in enumerate(traces, start=1):
        report, ours = best_of(trace)
        reports.append(report)
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            write_trace(ours, out / trace.path.name)
        if plot is not None:
            draw(trace, ours, plot)
        progress(n / len(traces))
    return Report(tuple(reports))


def _go_together(traces: list[Trace], out: Path | None, plot: Path | None) -> None:
    """Raises ValueError, with what to do, when the result would be ambiguous."""
    stems = [trace.path.stem for trace in traces]
    for stem in stems:
        if stems.count(stem) > 1:
            raise ValueError(f"{stems.count(stem)} recordings are called {stem}; give one of them")
    if plot is not None and len(traces) != 1:
        raise ValueError(f"--plot draws one recording, not {len(traces)}; give the one to draw")
    for trace in traces:
        if out is not None and (out / trace.path.name).resolve() == trace.path.resolve():
            raise ValueError(f"--out {out} holds the recording {trace.path.name}; give another")
