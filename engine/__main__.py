"""The front door: one small function per command; every room is imported only when needed."""

import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from engine.shell import (
    INTERRUPTED,
    SAYS_NO,
    UNREACHABLE,
    WRONG_USE,
    answer,
    as_json,
    config_file,
    config_option,
    data_option,
    fail,
    problems,
)

ENDING = (signal.SIGTERM, signal.SIGINT)

a_port = click.IntRange(1, 65535)
FROM_THE_LAB = ("bench", "replay", "twin")


class Door(click.Group):
    """The group of commands: Ctrl-C ends with 130, a file that cannot be used with its name.

    Some commands live in the lab and are fetched when they are asked for.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *FROM_THE_LAB])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in FROM_THE_LAB:
            return super().get_command(ctx, cmd_name)
        from sim import commands

        return commands.COMMANDS[cmd_name]

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            fail("interrupted", INTERRUPTED)
        except OSError as error:  # of a file; others are defects
            if error.filename is None:
                raise
            fail(f"{error.filename} cannot be used: {error.strerror}", WRONG_USE)


@click.group(cls=Door, context_settings={"auto_envvar_prefix": "SMARTLOAD"})
@click.version_option(package_name="smartload")
def main() -> None:
    """SmartLoad plans house battery and cars beside evcc, acts through evcc only, and says why.

    Exit codes: 0 good, 1 ran and the answer is no, 2 wrong use, 3 outside world not reachable,
    130 interrupted.
    """


# --- the controller ------------------------------------------------------------------------------


@main.command()
@config_option
@data_option
@click.option("--control", type=click.Choice(["off", "watch", "on"]), help="Overrides the file.")
@click.option("--port", type=a_port, help="Port of the page (default: the file's, else 8099).")
@click.option("--guard-silence", type=click.FloatRange(1), default=90.0, hidden=True)
def run(
    config: Path | None,
    data: Path | None,
    control: str | None,
    port: int | None,
    guard_silence: float,
) -> None:
    """Run the live controller. Starts in `watch`: decides and shows everything, writes nothing.

    Never talks to inverters, cars or tariffs of its own accord: evcc is the only actor. A guard
    process beside it gives everything back to evcc when the controller dies or hangs.

    Example: smartload run --config smartload.yaml --control on
    """
    from msgspec.structs import replace

    from engine.clock import WallClock
    from engine.config import ConfigError, find_data_dir, findings_text, load
    from engine.home_ports import Reach
    from engine.logs import set_up
    from engine.values import Control

    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)  # threads inherit it; `live` waits for them
    file = config_file(config)
    try:
        read = load(file)
    except ConfigError as error:
        click.echo(problems(error), err=True)
        if port is not None:
            error_page(error.findings, port)
        sys.exit(WRONG_USE)
    set_up(read.log_level)
    settings = replace(read.settings, control=Control(control)) if control else read.settings
    if read.warnings:
        click.echo(findings_text(read.warnings, str(file)), err=True)
    folder = find_data_dir(data, configured=read.data_dir)
    address = (read.web.host, port or read.web.port)
    live(settings, Reach.of(read), WallClock(), folder, address, guard_silence_s=guard_silence)


def error_page(findings: Any, port: int) -> None:
    """Critical findings, and a page was asked for: nothing but one that names them (INV-146)."""
    from web.errors import create_error_app

    server = page_on("127.0.0.1", port, create_error_app(findings))
    click.echo(f"the same on {server.url}; correct the file and start again", err=True)
    signal.sigwait(ENDING)
    server.stop()


def page_on(host: str, port: int, app: Any) -> Any:
    """The server of `app`, or an end that says why it cannot listen there."""
    from web.server import PortInUseError, serve

    try:
        return serve(app, host, port)
    except PortInUseError as error:
        fail(f"{error}; give another port with --port (or web.host and web.port)", WRONG_USE)


def live(
    settings: Any,
    reach: Any,
    clock: Any,
    folder: Path,
    address: tuple[str, int],
    *,
    guard_silence_s: float | None = None,
) -> None:
    """Everyone at home on threads, with the page, until SIGTERM or Ctrl-C.

    With a guard process that acts after `guard_silence_s`; None: evcc ends with this process.
    """
    from actors import cast
    from engine.heirs import Heirs
    from engine.home_ports import ports_of
    from engine.journal import Journal, live_header
    from engine.ledger import LedgerError
    from engine.live import DataFolder, Live
    from engine.logs import Log
    from web.app import create_app
    from web.feed import Window
    from web.optimize import OptimizerDesk

    with ExitStack() as stack:
        stack.enter_context(DataFolder(folder))
        journal = Journal(folder / "journal.db", live_header(settings), live=True, hashing=False)
        window = Window(clock)
        if guard_silence_s is None:
            heirs = Heirs.in_memory(reach.transport, clock)
        else:
            try:
                heirs = Heirs.guarded(reach, settings, clock, folder, guard_silence_s)
            except LedgerError as error:
                fail(f"{error}; nothing is done without it", WRONG_USE)
        ports = ports_of(reach, settings, clock, folder, heirs.ledger)
        desk = OptimizerDesk(clock)
        minds = [*cast(), *ports, window, Log(), desk]
        controller = Live(settings, minds, clock, journal, heirs)
        for source in reach.sources(controller.system.publish, clock):
            controller.add(source)
        desk.tell = controller.system.publish
        server = page_on(*address, create_app(window, clock, controller.health, desk))
        stack.callback(server.stop)
        click.echo(f"SmartLoad ({settings.control}) on {server.url}", err=True)
        controller.start()
        stack.callback(controller.stop)
        signal.sigwait(ENDING)


@main.command()
@click.option("--port", type=a_port, default=8099, show_default=True, help="Port of the page.")
@click.option("--evcc-port", type=a_port, default=7070, show_default=True, help="Pretend evcc.")
@click.option("--speed", type=click.FloatRange(1, 600), default=60.0, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@data_option
def demo(port: int, evcc_port: int, speed: float, seed: int, data: Path | None) -> None:
    """A pretend home, the controller and the page; no hardware.

    Starts in control (`on`). Never reaches anything but this machine.

    Example: smartload demo --speed 60
    """
    import tempfile

    from engine.clock import WallClock
    from engine.evcc_http import HttpTransport
    from engine.home_ports import Reach
    from engine.logs import set_up
    from sim.demo import pretend_now

    set_up("warning")
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)  # threads inherit it; `live` waits for them
    clock = WallClock(speed)
    with ExitStack() as stack:
        folder = data or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        try:
            settings, server = pretend_now(clock, speed, seed, evcc_port)
        except OSError as error:
            fail(f"the pretend evcc cannot listen on port {evcc_port}: {error.strerror}; give "
                 "another with --evcc-port", WRONG_USE)  # fmt: skip
        server.start()
        stack.callback(server.stop)
        click.echo(f"pretend evcc on {server.url}, its clock {speed:g} times as fast", err=True)
        reach = Reach(lambda: HttpTransport(server.url), server.url)
        live(settings, reach, clock, folder, ("127.0.0.1", port))


@main.command()
@config_option
@data_option
@click.option("--write", is_flag=True, help="Try each owned setting on evcc, give it back, learn.")
@click.option("--yes", is_flag=True, help="With --write: do not ask.")
@as_json
def check(config: Path | None, data: Path | None, write: bool, yes: bool, as_json: bool) -> None:
    """Validate the configuration, reach evcc and cars.

    Says what it finds. Never writes to evcc without --write. Exit 1: problems; 2: bad configuration
    or nobody to ask; 3: evcc not reachable; 130: stopped.

    Example: smartload check --config smartload.yaml --json
    """
    from engine.check_word import check_and_end
    from engine.config import ConfigError, find_data_dir, load

    file = config_file(config)
    try:
        read = load(file)
    except ConfigError as error:
        fail(problems(error), WRONG_USE)
    folder = find_data_dir(data, configured=read.data_dir)
    check_and_end(read, file, folder, write=write, yes=yes, as_json=as_json)


@main.command()
@click.argument("car")
@click.argument("soc_pct", type=click.FloatRange(0, 100))
@data_option
def soc(car: str, soc_pct: float, data: Path | None) -> None:
    """Tell the SoC of a car with `source: manual`.

    Never asks the car or evcc: the number goes to a file that the controller reads.

    Example: smartload soc Zoe 55
    """
    from datetime import UTC, datetime

    from engine.cars import write_manual_soc
    from engine.config import find_data_dir

    file = find_data_dir(data) / "manual_soc.json"
    write_manual_soc(file, car, soc_pct, datetime.now(UTC))
    click.echo(f"{car}: {soc_pct:g} % noted in {file}")


@main.command("serve-optimizer")
@click.option("--port", type=a_port, default=7050, show_default=True)
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Who may ask: 127.0.0.1 is this machine."
)
def serve_optimizer(port: int, host: str) -> None:
    """Answer evcc's optimizer protocol, and do nothing else.

    For evcc's OPTIMIZER_URI. Never reaches anything outside, keeps nothing of what it is asked, and
    looks at no Authorization header. Ends with Ctrl-C.

    Example: smartload serve-optimizer --port 7050
    """
    from actors.schedule_server import ScheduleServer
    from engine.clock import WallClock
    from engine.logs import set_up
    from engine.threads import ThreadSystem
    from web.optimize import OptimizerDesk, create_optimizer_app

    set_up("warning")
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)  # threads inherit it
    clock = WallClock()
    system, desk = ThreadSystem(clock), OptimizerDesk(clock)
    desk.tell = system.publish
    server = page_on(host, port, create_optimizer_app(desk))
    system.enter([ScheduleServer(), desk])
    desk.warm_up()
    click.echo(f"OPTIMIZER_URI={server.url}", err=True)
    signal.sigwait(ENDING)
    server.stop()
    system.stop()


# --- the lab -------------------------------------------------------------------------------------


@main.command()
@click.argument("scenario")
@click.option("--days", type=click.FloatRange(min=0, min_open=True), help="Default: the file's.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--journal", type=click.Path(path_type=Path), help="Keep the journal (SQLite).")
@as_json
def simulate(
    scenario: str, days: float | None, seed: int, journal: Path | None, as_json: bool
) -> None:
    """Run a scenario under virtual time, every actor at home.

    SCENARIO is a name or a YAML file. Never leaves this process. Same seed, same `journal_sha256`.
    Ctrl-C prints what was run so far.

    Example: smartload simulate winter-week --days 7 --seed 1 --json
    """
    import sqlite3

    from msgspec.structs import asdict

    from engine.config import ConfigError
    from engine.progress import bar, interruptible
    from sim.run import simulate as simulate_home
    from sim.scenario import end_of
    from sim.scenario_files import load_scenario

    try:
        story = load_scenario(scenario)
    except ConfigError as error:
        fail(problems(error), WRONG_USE)
    start, end = story.sim.start, end_of(story.sim, days)
    with bar(scenario, quiet=as_json) as step, interruptible() as interrupted:
        try:
            result = simulate_home(
                story,
                days=days,
                seed=seed,
                journal=journal,
                progress=lambda at: step((at - start) / (end - start)),
                stop=interrupted,
            )
        except sqlite3.OperationalError as error:
            fail(f"{journal} cannot be used: {error}", WRONG_USE)
        answer(result, [f"{key:>16}  {value}" for key, value in asdict(result).items()], as_json)
        if interrupted():
            fail(f"interrupted after {result.days:.3f} days", INTERRUPTED)


@main.command()
@click.argument("journal", type=click.Path(path_type=Path))
@click.option("--jsonl", type=click.Path(path_type=Path), required=True, help="File to write.")
def export(journal: Path, jsonl: Path) -> None:
    """Write all that a journal heard and said as JSON Lines.

    Never changes the journal.

    Example: smartload export day.db --jsonl day.jsonl
    """
    from engine.journal import JournalError, header_of, lines_of
    from engine.journal import export as export_journal

    try:
        header_of(next(lines_of(journal), b""))  # before anything is written
        count = export_journal(journal, jsonl)
    except JournalError as error:
        fail(f"{journal}: {f'{error}'.removeprefix(f'{journal}: ')}", WRONG_USE)
    click.echo(f"{count} handled messages written to {jsonl}")


@main.command()
@click.option("--url", default="http://127.0.0.1:8099", show_default=True, help="The page.")
@click.option("--at", "at_time", help="Local time HH:MM, or an ISO time: that slot of the plan.")
@click.option("--car", help="Only this car.")
@click.option("--language", type=click.Choice(["de", "en"]), default="en", show_default=True)
def why(url: str, at_time: str | None, car: str | None, language: str) -> None:
    """Say what is done now (or is planned), and why.

    Asks a running controller's page. Never changes anything.

    Example: smartload why --at 03:15 --car Zoe
    """
    from engine.why import WhyError, explain

    try:
        click.echo("\n".join(explain(url, at_time, car, language)))
    except WhyError as error:
        fail(str(error), UNREACHABLE if error.unreachable else SAYS_NO)


if __name__ == "__main__":
    main()
