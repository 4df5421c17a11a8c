"""Commands of the lab that the front door fetches; each imports its rooms only when it runs."""

import sys
from pathlib import Path
from typing import Any

import click

from engine.shell import SAYS_NO, WRONG_USE, answer, as_json, fail


@click.command()
@click.argument("what", type=click.Choice(["messages", "sim", "coarse", "schedule"]))
@click.option("--days", type=click.IntRange(1, 400), default=20, show_default=True, help="coarse")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="coarse")
@as_json
def bench(what: str, days: int, seed: int, as_json: bool) -> None:
    """Measure what is fast, and what is coarse.

    `messages`: deliveries per second of the stepped runtime. `sim`: steps per second of evcc's
    regulator with the physics, for one home and a batch, compiled (needs smartload[lab]).
    `coarse`: days of two cars and a battery on one-minute weather and by the static map, against
    10 s weather; exit 1 where the minutes are off by more than 2 % or 0.10 a day.
    `schedule`: answers by evcc's optimizer protocol beside PuLP and CBC on the same requests (needs
    smartload[bench]).
    Never leaves this process.

    Example: smartload bench sim --json
    """
    if what == "coarse":
        from sim.coarse import compare, table

        found = compare(days, seed)
        answer(found, table(found).splitlines(), as_json)
        sys.exit(0 if found.holds else SAYS_NO)
    result = _rates(what)
    answer(result, [f"{key:>32}  {value}" for key, value in result.items()], as_json)


def _rates(what: str) -> dict[str, Any]:
    if what == "messages":
        from sim.bench import bench_messages

        return bench_messages()
    if what == "schedule":
        from sim.bench_schedule import bench_schedule

        try:
            return bench_schedule()
        except ImportError:
            fail("PuLP is not installed; pip install 'smartload[bench]'", WRONG_USE)
    from sim.bench_sim import bench_sim

    try:
        return bench_sim()
    except ImportError as error:
        fail(str(error), WRONG_USE)


@click.command()
@click.argument(
    "traces", metavar="TRACE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder for our side of each.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw the one TRACE (.svg or .png).")
@click.option("--verbose", "-v", is_flag=True, help="All that differs, not only below a bar.")
@as_json
def twin(
    traces: tuple[Path, ...], out: Path | None, plot: Path | None, verbose: bool, as_json: bool
) -> None:
    """Compare the pretend evcc with recordings of a real one.

    TRACE is a recording (.jsonl): the same weather, faults and requests go to the pretend evcc.
    A recording is never changed, and nothing outside is reached. Ties that evcc decides by chance
    are drawn up to 40 times. Exit 1: one is below a bar.

    Example: smartload twin recordings/*.jsonl --out build/twin --json
    """
    from engine.progress import bar
    from sim.twin import run
    from sim.twin_trace import TraceError

    try:
        with bar("twin", quiet=as_json) as step:
            report = run(traces, out, plot, step)
    except (TraceError, ValueError, ImportError) as error:
        fail(str(error), WRONG_USE)
    answer(report.value(), report.lines(verbose), as_json)
    sys.exit(0 if report.passed else SAYS_NO)


COMMANDS = {"bench": bench, "twin": twin}
