"""Commands of the lab that the front door fetches; each imports its rooms only when it runs."""

import sys
from pathlib import Path
from typing import Any

import click

from engine.shell import SAYS_NO, WRONG_USE, answer, as_json, fail


@click.command()
@click.argument("what", type=click.Choice(["messages", "sim", "coarse", "schedule", "plan"]))
@click.option("--days", type=click.IntRange(1, 400), default=20, show_default=True, help="coarse")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="coarse")
@click.option("--dump", type=click.Path(file_okay=False, path_type=Path), help="plan: a folder.")
@as_json
def bench(what: str, days: int, seed: int, dump: Path | None, as_json: bool) -> None:
    """Measure what is fast, and what is coarse.

    `messages`: deliveries per second of the stepped runtime. `sim`: steps per second of evcc's
    regulator with the physics, for one home and a batch, compiled (needs smartload[lab]).
    `coarse`: days of two cars and a battery on one-minute weather and by the static map, against
    10 s weather; exit 1 where the minutes are off by more than 2 % or 0.10 a day.
    `schedule`: answers by evcc's optimizer protocol beside PuLP and CBC on the same requests (needs
    smartload[bench]).
    `plan`: plans beside raw HiGHS, cvxpy and one whole MILP on the same data (some minutes);
    --dump writes each MILP (.mps) with the cost of our plan beside it (.json).
    Never leaves this process.

    Example: smartload bench sim --json
    """
    if what == "coarse":
        from sim.coarse import compare, table

        found = compare(days, seed)
        answer(found, table(found).splitlines(), as_json)
        sys.exit(0 if found.holds else SAYS_NO)
    result = _rates(what, dump)
    answer(result, [f"{key:>32}  {value}" for key, value in result.items()], as_json)


def _rates(what: str, dump: Path | None) -> dict[str, Any]:
    if what == "plan":
        from sim.bench_plan import bench_plan

        return bench_plan(dump)
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


@click.command()
@click.argument("journal", type=click.Path(path_type=Path))
@click.option("--from", "since", help="ISO time (UTC where no zone is given): compare from here.")
@click.option("--to", "until", help="ISO time: stop after it.")
@click.option("--actor", help="Only this actor.")
@as_json
def replay(
    journal: Path, since: str | None, until: str | None, actor: str | None, as_json: bool
) -> None:
    """Feed actors what they heard; they must say the same.

    JOURNAL is a .db or an exported .jsonl; it is never changed, and nothing outside is reached.
    Exit 1 when anything diverged, with the first divergence.

    Example: smartload replay day.jsonl --json
    """
    from engine.journal import JournalError
    from sim.replay import replay as replay_file

    try:
        report = replay_file(journal, since=since, until=until, actor=actor)
    except JournalError as error:
        fail(f"{journal}: {f'{error}'.removeprefix(f'{journal}: ')}", WRONG_USE)
    lines = [f"{report.heard} heard, {report.said} said, {report.diverged} diverged"]
    if report.first_divergence is not None:
        first = report.first_divergence
        lines += [f"first: n={first.n} {first.at} {first.actor}", f"  heard    {first.heard!r}"]
        lines += [f"  recorded {first.recorded!r}", f"  replayed {first.replayed!r}"]
    answer(report, lines, as_json)
    sys.exit(SAYS_NO if report.diverged else 0)


COMMANDS = {"bench": bench, "replay": replay, "twin": twin}
