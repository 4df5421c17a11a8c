"""The judge of the table of deaths can be failed, and says which rule it was."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from engine.estate import Bequest
from engine.ledger import Estate, Ledger
from engine.messages import EstateRead
from sim import deaths
from sim.deaths import NotThereError, lived, main, row_of, table
from sim.deaths_home import DEATHS, STATES, Death, State
from sim.deaths_rules import RULES, Cell, Row, Span, broken
from sim.lives import Life, Lives

END_S = 43_200.0


def state(name: str) -> State:
    return next(one for one in STATES if one.name == name)


def death(name: str) -> Death:
    return next(one for one in DEATHS if one.name == name)


def whole(value: str) -> tuple[Span, ...]:
    """It stands all the time."""
    return (Span(value, 0.0, END_S),)


def until(before: str, at_s: float, after: str) -> tuple[Span, ...]:
    """It changes once."""
    return (Span(before, 0.0, at_s), Span(after, at_s, END_S))


def row(**more: Any) -> Row:
    """A home in which all was given back after five seconds, and that nobody came back to."""
    well = Row(
        state="hold",
        death="kill-for-ever",
        stood="battery hold, car now to 80 %",
        unattended_s=None,
        battery=until("hold", 5.0, "normal"),
        mode=until("now", 5.0, "pv"),
        limit_pct=until("80", 5.0, "0"),
        soc_pct=80.0,
        alive_soc_pct=80.0,
        first=(),
        first_battery="",
        usual=frozenset({"batterymode/normal"}),
        needs_s=3600.0,
        ours_on_mode=(),
        taken=(),
        left=(),
        charges=False,
    )
    return replace(well, **more)


ALONE = Cell(state("hold"), death("kill-for-ever"))
POWER = Cell(state("hold"), death("power"))
HUMAN = Cell(state("human-off"), death("kill"))
UNGUARDED = Cell(state("now"), death("guard-for-ever"))


@pytest.mark.parametrize(
    ("rule", "cell", "well", "bad"),
    [
        ("battery_given_back", ALONE, {}, {"battery": until("hold", 120.0, "normal")}),
        ("battery_given_back", ALONE, {}, {"battery": until("normal", 3600.0, "charge")}),
        ("release_comes_first", POWER, {"battery": whole("hold"), "first_battery": "normal"},
         {"battery": whole("hold"), "first_battery": "hold"}),
        ("loadpoint_given_back", ALONE, {}, {"mode": until("now", 60.0, "pv")}),
        ("loadpoint_given_back", ALONE, {}, {"limit_pct": whole("80")}),
        ("loadpoint_given_back", ALONE, {}, {"mode": until("pv", 3600.0, "now")}),
        ("ends_by_itself", UNGUARDED, {"mode": whole("now"), "limit_pct": whole("80")},
         {"mode": whole("now"), "limit_pct": whole("0")}),
        ("ends_by_itself", UNGUARDED, {}, {"charges": True}),
        ("car_is_full", ALONE, {}, {"soc_pct": 70.0}),
        ("human_is_not_overruled", HUMAN, {"mode": whole("off")},
         {"mode": whole("off"), "ours_on_mode": ("mode/pv",)}),
        ("human_is_not_overruled", HUMAN, {"mode": whole("off")},
         {"mode": until("off", 600.0, "now")}),
        ("nothing_is_taken_for_a_humans", ALONE, {}, {"taken": ("battery_mode",)}),
        ("first_cycle_is_expected", POWER, {"first": ("batterymode/normal",)},
         {"first": ("mode/off",)}),
        ("nothing_is_left", ALONE, {}, {"left": ("limit 80 %",)}),
    ],
)  # fmt: skip
def test_each_rule_can_be_broken(
    rule: str, cell: Cell, well: dict[str, Any], bad: dict[str, Any]
) -> None:
    judges = {one.__name__: one for one in RULES}
    assert judges[rule](row(**well), cell)
    assert not judges[rule](row(**bad), cell)


def test_a_row_that_is_well_breaks_no_rule_and_a_broken_one_is_named() -> None:
    assert broken(row(), ALONE) == ()
    assert broken(row(soc_pct=35.0, left=("mode now",)), ALONE) == (
        "car_is_full",
        "nothing_is_left",
    )


# --- a home in which something of ours does not work ----------------------------------------------


def no_guard(*_: object) -> None:
    """Nobody acts."""


def test_without_the_guard_that_should_act_rules_break(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lives, "guard", no_guard)
    now = row_of(lived(state("now"), death("kill-for-ever")))
    assert set(now.broken) == {"loadpoint_given_back", "nothing_is_left"}
    waits = row_of(lived(state("waits"), death("kill-for-ever")))
    assert waits.broken == ("car_is_full",)
    hangs = row_of(lived(state("now"), death("hang-10min")))
    assert hangs.broken == ("loadpoint_given_back",)


def test_a_will_that_forgets_the_battery_breaks_a_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    read = Ledger.read

    def forgetful(ledger: Ledger) -> Estate:
        kept = read(ledger)
        return kept._replace(bequests=_without_battery(kept.bequests))

    monkeypatch.setattr(Ledger, "read", forgetful)
    found = row_of(lived(state("hold"), death("both")))
    assert "battery_given_back" in found.broken


def _without_battery(lines: tuple[Bequest, ...]) -> tuple[Bequest, ...]:
    return tuple(one for one in lines if one.setting != "battery_mode")


def knows_nothing(life: Life, now: datetime) -> None:
    """A controller whose ledger is gone."""
    life._system.publish(EstateRead(now))


@pytest.mark.parametrize(
    ("where", "rule"), [("hold", "release_comes_first"), ("over", "nothing_is_left")]
)
def test_a_next_life_without_its_ledger_breaks_a_rule(
    monkeypatch: pytest.MonkeyPatch, where: str, rule: str
) -> None:
    monkeypatch.setattr(Life, "_read_estate", knows_nothing)
    assert rule in row_of(lived(state(where), death("power"))).broken


# --- a hang ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "starts"), [(30, 1), (80, 2)])
def test_only_a_silence_of_more_than_a_minute_is_followed_by_a_start_as_new(
    monkeypatch: pytest.MonkeyPatch, seconds: int, starts: int
) -> None:
    told: list[datetime] = []
    read = Life._read_estate

    def noted(life: Life, now: datetime) -> None:
        told.append(now)
        read(life, now)

    monkeypatch.setattr(Life, "_read_estate", noted)
    now = state("now")
    lives = Lives(now.scenario(death("kill")))
    life = Life(lives)
    life.live(lives.at(0.02))
    lives.wait_until(lives.clock.now() + timedelta(seconds=seconds))
    life.resume()
    life.die()
    assert len(told) == starts


def test_a_guard_acts_after_ninety_seconds_of_silence_and_stops_when_the_controller_is_back() -> (
    None
):
    hangs = lived(state("now"), death("hang-10min"))
    tick_at = hangs.died_at - timedelta(seconds=4)
    wrote = [one.at for one in hangs.writes(hangs.died_at, hangs.end)]
    assert timedelta(seconds=90) <= wrote[0] - tick_at <= timedelta(seconds=93)


# --- the command ----------------------------------------------------------------------------------


def test_a_state_that_the_plan_does_not_lead_to_is_said() -> None:
    other = state("hold")._replace(battery_pct=20.0)
    with pytest.raises(NotThereError, match="charge"):
        lived(other, death("kill"))


@pytest.mark.parametrize(("left", "code"), [((), 0), (("limit 80 %",), 1)])
def test_the_command_prints_the_table_and_answers_no_where_a_rule_is_broken(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    left: tuple[str, ...],
    code: int,
) -> None:
    found = row(left=left)
    judged = replace(found, broken=broken(found, ALONE))
    monkeypatch.setattr(deaths, "rows", lambda *_: [judged])
    assert main([]) == code
    said = capsys.readouterr().out.splitlines()
    assert said == list(table([judged]))
    assert ("nothing_is_left" in said[-1]) == bool(code)
    assert main(["--json"]) == code
    assert capsys.readouterr().out.startswith('{"rows":[{"state":"hold"')
