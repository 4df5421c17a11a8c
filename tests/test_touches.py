"""People who touch evcc at any second: days that pass, and a judge that is not fooled."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from actors import cast
from actors.actuator import Actuator, Heard, Said
from engine.actor import Actor
from engine.messages import Order, OwnershipChanged, StateChanged
from engine.values import Why
from sim.touches import judged, main, touch
from sim.touches_day import Day, Told
from sim.touches_home import touched_home
from sim.touches_judge import FALSE, NOT_SHOWN, OVERWRITTEN, Judge
from sim.touches_truth import ASSIGNED, CONNECTED, EVCC, HUMAN, OURS, Change, Read

T0 = datetime(2026, 3, 2, 18, tzinfo=UTC)
BOX, MODE, LIMIT = "carport", "loadpoint:carport:mode", "loadpoint:carport:limit_soc"
END_S = 3600.0


def after(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def change(at_s: float, who: str, before: Any, value: Any, setting: str = "mode") -> Change:
    return Change(after(at_s), BOX, setting, before, value, who)


def judge(
    *changes: Change,
    owners: Iterable[tuple[float, str, str]] = (),
    needs: Iterable[tuple[float, float]] = (),
    plugged: bool = True,
    starts: Iterable[float] = (),
) -> list[tuple[str, str]]:
    """What the judge finds, with the cause: readings each minute, all that was said by second."""
    reads = [
        Read(after(at_s), sum(one.at <= after(at_s) for one in changes))
        for at_s in range(0, int(END_S), 60)
    ]
    told = Told(
        owners=[(after(at_s), {name: owner}) for at_s, name, owner in owners],
        needs=[(after(at_s), {BOX: kwh}) for at_s, kwh in needs],
    )
    where = frozenset({BOX}) if plugged else frozenset[str]()
    began = [after(at_s) for at_s in starts]
    found = Judge(1, Day(changes, reads, began, told, after(END_S), where)).cases()
    return [(case.kind, case.cause) for case in found]


SHOWN = [(60.0, MODE, HUMAN)]
OFF = change(30, HUMAN, "pv", "off")


# --- the judge ------------------------------------------------------------------------------------


def test_a_touch_that_is_shown_and_left_alone_is_well() -> None:
    assert judge(OFF, owners=SHOWN) == []


def test_a_touch_has_to_be_shown_within_two_readings() -> None:
    assert judge(OFF, owners=[(120.5, MODE, HUMAN)]) == []
    assert judge(OFF, owners=[(180.5, MODE, HUMAN)]) == [(NOT_SHOWN, "alone")]
    assert judge(OFF) == [(NOT_SHOWN, "alone")]


def test_nobody_is_missed_who_was_gone_before_two_readings() -> None:
    assert judge(OFF, change(100, HUMAN, "off", "pv")) == []
    assert judge(OFF, change(100, EVCC, "off", "pv")) == []
    assert judge(OFF, change(100, EVCC, True, False, CONNECTED)) == []


def test_a_mode_must_not_be_overwritten_before_unplug_or_target() -> None:
    ours, left = change(900, OURS, "off", "pv"), change(800, EVCC, True, False, CONNECTED)
    assert judge(OFF, ours, owners=SHOWN) == [(OVERWRITTEN, "alone")]
    assert judge(OFF, left, ours, owners=SHOWN) == []
    needs = [(0.0, 5.0), (600.0, 0.0)]
    assert judge(OFF, ours, owners=SHOWN, needs=needs) == [(OVERWRITTEN, "alone")]
    now, ours = change(30, HUMAN, "pv", "now"), change(900, OURS, "now", "pv")
    assert judge(now, ours, owners=SHOWN, needs=needs) == []
    assert judge(now, ours, owners=SHOWN, needs=[(0.0, 0.0)]) == [(OVERWRITTEN, "alone")]
    assert judge(now, ours, owners=SHOWN, needs=[(0.0, 5.0)]) == [(OVERWRITTEN, "alone")]


def test_a_write_within_two_seconds_could_not_know() -> None:
    assert judge(OFF, change(32, OURS, "off", "pv")) == []
    assert judge(OFF, change(33, OURS, "off", "pv")) == [(OVERWRITTEN, "written before a reading")]


def test_setting_a_mode_back_gives_the_control_back() -> None:
    undone, ours = change(300, HUMAN, "off", "pv"), change(900, OURS, "pv", "now")
    assert judge(OFF, undone, ours, owners=[*SHOWN, (301.0, MODE, OURS)]) == []
    assert judge(OFF, change(300, HUMAN, "off", "now"), owners=[*SHOWN, (301.0, MODE, OURS)]) == [
        (NOT_SHOWN, "alone")
    ]


def test_a_touch_after_the_car_got_what_it_needed_is_a_first_one_again() -> None:
    """What stood before it is what stands now, not what stood before a word that has ended."""
    first, later = change(30, HUMAN, "now", "pv"), change(900, HUMAN, "pv", "minpv")
    undone, needs = change(1200, HUMAN, "minpv", "pv"), [(0.0, 5.0), (600.0, 0.0)]
    owners = [*SHOWN, (600.0, MODE, OURS), (960.0, MODE, HUMAN), (1201.0, MODE, OURS)]
    assert judge(first, later, undone, owners=owners, needs=needs) == []
    # unmet, the first word goes on: `pv` is one of theirs, and is not given back
    unmet = [(0.0, 5.0)]
    assert judge(first, later, undone, owners=owners, needs=unmet) == [(NOT_SHOWN, "alone")]
    off = change(30, HUMAN, "now", "off"), change(900, HUMAN, "off", "minpv")
    undone = change(1200, HUMAN, "minpv", "off")
    assert judge(*off, undone, owners=owners, needs=needs) == [(NOT_SHOWN, "alone")]


def test_a_mode_of_evccs_that_no_reading_showed_begins_nothing_new() -> None:
    first, undone = change(30, HUMAN, "pv", "minpv"), change(1200, HUMAN, "minpv", "pv")
    owners = [*SHOWN, (1201.0, MODE, OURS)]
    lost, again = change(610, EVCC, "minpv", "off"), change(640, HUMAN, "off", "minpv")
    assert judge(first, lost, again, undone, owners=owners) == []
    lost = change(590, EVCC, "minpv", "off")  # the reading at 600 s shows it
    assert judge(first, lost, again, undone, owners=owners) == [(NOT_SHOWN, "alone")]


def test_a_touch_without_a_car_binds_nobody() -> None:
    assert judge(OFF, plugged=False) == []
    came = change(400, EVCC, False, True, CONNECTED)
    assert judge(OFF, came, change(900, OURS, "off", "pv")) == []


def test_what_is_set_without_a_car_and_set_back_with_one_is_no_word() -> None:
    without, back = change(10, HUMAN, "off", "pv"), change(40, HUMAN, "pv", "off")
    came, ours = change(30, EVCC, False, True, CONNECTED), change(900, OURS, "off", "pv")
    assert judge(without, came, back, ours, owners=SHOWN) == []
    # the car's own mode came in between: what follows it is a word
    brought = change(30, EVCC, "pv", "now")
    again = change(40, HUMAN, "now", "off")
    said = judge(without, brought, came, again, ours, owners=SHOWN)
    assert said == [(OVERWRITTEN, "near a plug")]


def test_who_chooses_another_vehicle_leaves_its_mode_by_their_word() -> None:
    brought, came = change(10, EVCC, "off", "minpv"), change(10, EVCC, False, True, CONNECTED)
    chosen = change(30, HUMAN, "car-1", "car-2", "vehicle")
    assert judge(brought, came, chosen, owners=SHOWN) == []
    # nor is what they set then: it gives back what stood before
    back = change(900, HUMAN, "minpv", "off")
    owners = [*SHOWN, (901.0, MODE, OURS)]
    assert judge(brought, came, chosen, back, owners=owners) == []
    none = change(30, HUMAN, "car-1", "", "vehicle")
    assert judge(brought, came, none, owners=SHOWN) == []
    late = change(70, HUMAN, "car-1", "car-2", "vehicle")
    assert [kind for kind, _ in judge(brought, came, owners=SHOWN)] == [FALSE]
    assert [kind for kind, _ in judge(brought, came, late, owners=SHOWN)] == [FALSE]


def test_an_unplugging_ends_a_word_that_a_need_would_end() -> None:
    """What was said of the car before is not what a human found with the next one."""
    old, left = change(10, HUMAN, "pv", "minpv"), change(70, EVCC, True, False, CONNECTED)
    set_off, came = change(130, HUMAN, "minpv", "off"), change(140, EVCC, False, True, CONNECTED)
    back, ours = change(900, HUMAN, "off", "minpv"), change(1300, OURS, "minpv", "pv")
    owners = [*SHOWN, (120.0, MODE, EVCC), (180.0, MODE, HUMAN), (901.0, MODE, OURS)]
    needs = [(0.0, 5.0), (600.0, 0.0)]
    assert judge(old, left, set_off, came, back, ours, owners=owners, needs=needs) == []


def test_a_default_that_a_human_hid_at_an_unplugging_may_come_as_a_surprise() -> None:
    left, hidden = change(10, EVCC, True, False, CONNECTED), change(30, HUMAN, "pv", "now")
    came, start = change(310, EVCC, False, True, CONNECTED), change(900, EVCC, "now", "pv")
    owners = [(960.0, MODE, HUMAN)]
    assert judge(left, hidden, came, start, owners=owners, starts=(900.0,)) == []
    shown = change(90, HUMAN, "pv", "now")
    late = judge(left, shown, came, start, owners=owners, starts=(900.0,))
    assert [kind for kind, _ in late] == [FALSE]


def test_what_evcc_sets_at_a_start_and_a_human_takes_back_was_never_there() -> None:
    start, back = change(610, EVCC, "pv", "off"), change(640, HUMAN, "off", "pv")
    assert judge(start, back) == []
    # with a reading between them it was there: to set that back is a word
    late = change(670, HUMAN, "off", "pv")
    assert judge(start, late) == [(NOT_SHOWN, "alone")]


def test_a_word_that_a_start_has_hidden_changes_nothing() -> None:
    """`off` stood, and stands: of the `pv` between two readings nobody knows."""
    hidden, start = change(610, HUMAN, "off", "pv"), change(630, EVCC, "pv", "off")
    again = [(0.0, MODE, HUMAN), (300.0, MODE, EVCC), (660.0, MODE, HUMAN)]
    assert judge(OFF, hidden, start, owners=[*SHOWN, *again[1:]]) == []
    back = change(900, HUMAN, "off", "pv"), change(1200, OURS, "pv", "now")
    owners = [*SHOWN, *again[1:], (901.0, MODE, OURS)]
    assert judge(OFF, hidden, start, *back, owners=owners) == []


def test_a_limit_is_never_loosened_and_one_that_replaces_ours_never_touched() -> None:
    theirs = change(30, HUMAN, 0.0, 60.0, "limit_soc")
    tighter, looser = (change(900, OURS, 60.0, pct, "limit_soc") for pct in (50.0, 80.0))
    none = change(950, OURS, 50.0, 0.0, "limit_soc")
    assert judge(theirs, tighter) == []
    assert judge(theirs, looser) == [(OVERWRITTEN, "alone")]
    assert judge(theirs, tighter, none) == [(OVERWRITTEN, "near a write of ours")]
    ours = change(10, OURS, 0.0, 80.0, "limit_soc")
    theirs = change(30, HUMAN, 80.0, 60.0, "limit_soc")
    owners = [(11.0, LIMIT, OURS), (60.0, LIMIT, HUMAN)]
    assert judge(ours, theirs, owners=owners) == []
    assert judge(ours, theirs, owners=owners[:1]) == [(NOT_SHOWN, "near a write of ours")]
    assert judge(ours, theirs, tighter, owners=owners) == [(OVERWRITTEN, "near a write of ours")]


@pytest.mark.parametrize(("who", "setting"), [(OURS, MODE), (EVCC, MODE), (OURS, LIMIT)])
def test_nobody_but_a_human_is_a_human(who: str, setting: str) -> None:
    kind = setting.rsplit(":", 1)[-1]
    values = ("pv", "now") if kind == "mode" else (0.0, 60.0)
    before, value = values
    found = judge(change(30, who, before, value, kind), owners=[(60.0, setting, HUMAN)])
    assert [case for case, _ in found] == [FALSE]


def test_a_human_who_assigns_a_vehicle_with_a_mode_may_be_taken_for_one() -> None:
    assert judge(change(30, ASSIGNED, "pv", "now"), owners=SHOWN) == []
    assert judge(change(30, ASSIGNED, "pv", "now")) == []


def test_what_evcc_takes_back_before_a_reading_changes_nobodys_word() -> None:
    """A start sets the default for some seconds, then the car's own mode, as it was."""
    restart = change(605, EVCC, "off", "pv"), change(635, EVCC, "pv", "off")
    again = [(0.0, MODE, HUMAN), (300.0, MODE, EVCC), (660.0, MODE, HUMAN)]
    assert judge(*restart, owners=again) == []
    assert judge(OFF, *restart, owners=[*SHOWN, *again[1:]]) == []
    # what a human set back between two readings is a human's
    theirs = change(605, EVCC, "pv", "off"), change(635, HUMAN, "off", "pv")
    assert judge(*theirs, owners=[(660.0, MODE, HUMAN)]) == []
    # a reading between them shows that it was evcc
    late = change(605, EVCC, "off", "pv"), change(665, EVCC, "pv", "off")
    assert judge(*late, owners=[*again[:2], (720.0, MODE, HUMAN)]) == [(FALSE, "alone")]


def test_what_was_found_at_the_start_is_the_users_word() -> None:
    assert judge(owners=[(0.0, MODE, HUMAN)]) == []


# --- whole days -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 4, 6, 7])
def test_hours_of_touches_pass(seed: int) -> None:
    judge = judged(seed, 0.25)
    assert judge.cases() == []
    assert judge.touches > 0
    assert any(one.who == OURS for one in judge.day.changes)


def test_the_same_seed_is_the_same_day() -> None:
    assert touched_home(7, 1.0) == touched_home(7, 1.0) != touched_home(8, 1.0)
    one, other = judged(1, 0.05), judged(1, 0.05)
    assert (one.day.changes, one.day.reads, one.day.told) == (
        other.day.changes,
        other.day.reads,
        other.day.told,
    )


class Ruthless(Actuator):
    """Sets every loadpoint to `now` with each reading, whoever set something else."""

    def on(self, message: Heard) -> Iterator[Said]:
        yield from super().on(message)
        if isinstance(message, StateChanged) and message.state.site is not None:
            for point in message.state.site.loadpoints:
                yield Order(message.at, 10**6, point.name, "mode", "now", Why("test"))


class Suspicious(Actuator):
    """Takes everybody for a human."""

    def on(self, message: Heard) -> Iterator[Said]:
        for said in super().on(message):
            if isinstance(said, OwnershipChanged):
                owners = tuple(replace(one, owner=HUMAN) for one in said.in_control)
                yield replace(said, in_control=owners)
            else:
                yield said


class Blind(Actuator):
    """Shows no human ever."""

    def on(self, message: Heard) -> Iterator[Said]:
        for said in super().on(message):
            if isinstance(said, OwnershipChanged):
                owners = tuple(replace(one, owner=OURS) for one in said.in_control)
                yield replace(said, in_control=owners)
            else:
                yield said


@pytest.mark.parametrize(
    ("wrong", "kind"), [(Ruthless, OVERWRITTEN), (Suspicious, FALSE), (Blind, NOT_SHOWN)]
)
def test_a_wrong_controller_is_caught(wrong: type[Actuator], kind: str) -> None:
    def minds() -> Iterable[Actor[Any, Any]]:
        return [wrong() if isinstance(mind, Actuator) else mind for mind in cast()]

    result = touch([1], 0.25, minds)
    assert {case.kind for case in result.cases} >= {kind}
    assert result.missed + result.false_overrides == sum(result.causes.values()) > 0
    case = next(case for case in result.cases if case.kind == kind)
    assert case.command == "python -m sim.touches --seed 1 --days 0.25"


def test_the_command_says_how_it_went(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seed", "1", "--homes", "2", "--days", "0.05"]) == 0
    assert '"false_overrides": 0' in capsys.readouterr().out
