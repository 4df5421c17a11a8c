"""The user's word for `smartload check --write`: say what will be done, ask, do it, keep it."""

import sys
from pathlib import Path
from typing import NoReturn

from msgspec.structs import replace

from engine.check import Found, look, with_report
from engine.check_may import intentions
from engine.check_write import Report, Say, try_out_live
from engine.clock import WallClock
from engine.config import Config
from engine.config_edit import EditError, diff, edited, read_exactly, replace_file
from engine.evcc_http import HttpTransport
from engine.findings import ConfigError
from engine.live import DataFolder
from engine.settings import Settings
from engine.shell import INTERRUPTED, SAYS_NO, UNREACHABLE, WRONG_USE, answer, fail
from engine.values import Site


class NoWordError(Exception):
    """Nothing was written: nobody could be asked, or the answer was no. Says which.

    `could_ask`: somebody was asked.
    """

    def __init__(self, text: str, could_ask: bool) -> None:
        super().__init__(text)
        self.could_ask = could_ask


def check_and_end(
    config: Config, file: Path, data: Path, *, write: bool, yes: bool, as_json: bool
) -> NoReturn:
    """`smartload check`, to its exit code. With `write` the data folder's lock is taken: no
    controller may be at work beside it (AlreadyRunningError).
    """
    found, site = look(config)
    stopped = False
    if write and site is not None:
        try:
            with DataFolder(data):
                found, stopped = write_with_word(config, file, found, site, yes=yes, say=_say)
        except NoWordError as error:
            fail(f"{error}", SAYS_NO if error.could_ask else WRONG_USE)
    answer(found, found.lines(), as_json)
    if site is None:
        sys.exit(UNREACHABLE)
    sys.exit(INTERRUPTED if stopped else SAYS_NO if found.problems else 0)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def write_with_word(
    config: Config,
    file: Path,
    found: Found,
    site: Site,
    *,
    yes: bool,
    say: Say,
    clock: WallClock | None = None,
) -> tuple[Found, bool]:
    """Try each setting on evcc and keep in `file` what was learnt; True: the user ended it early.

    Without `yes` the user is asked on the terminal, for the trial and for the change of the file.
    Raises NoWordError.
    """
    say("This is tried on evcc, one after the other, and given back:")
    for line in intentions(site, config.settings):
        say(f"  {line}")
    if site.optimizer_controls:
        raise NoWordError("evcc's own optimizer is in control: nothing is written beside it", True)
    if not yes:
        if not sys.stdin.isatty():
            raise NoWordError("--write needs your word: answer on a terminal, or add --yes", False)
        if not _agreed("Try it now?"):
            raise NoWordError("nothing was written", True)
    evcc = config.evcc
    transport = HttpTransport(evcc.url, evcc.password, evcc.timeout_s, evcc.headers)
    try:
        report = try_out_live(transport, clock or WallClock(), config.settings, say)
    finally:
        transport.close()
    found = with_report(found, report)
    problem = "" if report.stopped else keep(file, config.settings, report, yes=yes, say=say)
    if problem:
        found = replace(found, problems=(*found.problems, problem))
    return found, report.stopped


def keep(file: Path, settings: Settings, report: Report, *, yes: bool, say: Say) -> str:
    """Write what was learnt into the settings file, its other lines untouched, after showing it.

    The old file stays as `NAME.bak`. What hindered it, or empty.
    """
    changes = report.changes(settings)
    if not changes:
        say(f"{file} needs no change")
        return ""
    try:
        old = read_exactly(file)
        new = edited(old, "battery", changes)
        say(diff(old, new, file.name))
        if not yes and not _agreed(f"Change {file} so?"):
            say("not changed")
            return ""
        kept = replace_file(file, new)
    except (EditError, ConfigError, UnicodeDecodeError, OSError) as error:
        wanted = ", ".join(f"{key}: {value}" for key, value in changes.items())
        return f"{file} was not changed ({error}); learnt for `battery`: {wanted}"
    say(f"{file} changed; the old one is {kept}")
    return ""


def _agreed(question: str) -> bool:
    """The answer on the terminal; no answer is a no. Asked on standard error: stdout is JSON."""
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().casefold() in ("y", "yes", "j", "ja")
