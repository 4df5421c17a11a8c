"""All that a decision of the actuator rests on. Pure."""

from datetime import datetime

from actors.fuse import Fuse, Limit
from actors.proof import Proofs
from actors.script import Line, Script
from engine.settings import Settings
from engine.values import Loadpoint, Site, Turn, Utc, Value, Why

EVCC, SMARTLOAD, HUMAN, OPTIMIZER = "evcc", "smartload", "human", "evcc_optimizer"


class Unmetered(Value, frozen=True):
    """A meter that plans rest on has failed. `exports`: what evcc goes on reading is a surplus."""

    why: Why
    exports: bool = False


class Situation(Value, frozen=True):
    """All that a decision rests on. `no_line` says why the plan of `made_at` asks for nothing.

    `blind`: nothing new may be decided (INV-110, INV-112). `unmetered`: only departures are kept;
    where nobody measures the import it is unknown in `site`. `idle`: somebody else is in control.
    `back_at`: when evcc was last seen again after silence. `proofs`: what power has shown. `fuse`:
    what is granted; `circuits`: evcc's own limits that all power flows through.
    """

    now: Utc
    settings: Settings
    site: Site | None
    turns: tuple[Turn, ...] = ()
    made_at: Utc | None = None
    back_at: Utc | None = None
    line: Line | None = None
    no_line: Why = Why("no_plan")
    blind: Why | None = None
    unmetered: Unmetered | None = None
    idle: Why | None = None
    import_eur_kwh: float | None = None
    grid_failed: bool = False
    proofs: Proofs = Proofs()
    fuse: Fuse = Fuse()
    circuits: tuple[Limit, ...] = ()


def line_of(script: Script | None, now: datetime) -> tuple[Line | None, Why]:
    """The line of the plan to act on; without one, why there is none (INV-185)."""
    if script is None:
        return None, Why("no_plan")
    if script.rung == "evcc":
        return None, Why("evcc_alone")
    line = script.line_at(now)
    if line is None or script.too_old(now):
        age_min = round(script.age(now).total_seconds() / 60)
        return None, Why("plan_too_old", (("age_min", age_min),))
    return line, line.why


def blind_of(settings: Settings, measured_at: datetime | None, now: datetime) -> Why | None:
    """Why nothing may be decided on the newest reading (INV-110, INV-112), or None."""
    if measured_at is None:
        return Why("no_reading")
    age = now - measured_at
    if age > settings.oldest_reading:
        return Why("reading_too_old", (("age_s", round(age.total_seconds())),))
    return None


def turn_of(view: Situation, lp: Loadpoint) -> Turn | None:
    """Whose turn it is at this loadpoint."""
    name = lp.name.casefold()
    return next((turn for turn in view.turns if turn.loadpoint.casefold() == name), None)
