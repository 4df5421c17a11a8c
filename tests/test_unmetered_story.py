"""A meter that stands still over night, and a car that has to be ready at six: both runtimes."""

from datetime import datetime
from typing import Any

import pytest

from engine.messages import Order
from engine.settings import CarSettings
from engine.values import HomeState
from sim import evcc_cycle
from sim.scenario import Scenario, SimCar
from tests.make_ring import Story, home, local, told

RUNTIMES = pytest.mark.parametrize("runtime", ["steps", "threads"])
EVENING, FREEZES = local("2026-01-13", "21:30"), local("2026-01-13", "23:00")
SIX = local("2026-01-14", "06:00")
THREE_TO_FIVE = (*[0.30] * 3, *[0.08] * 2, *[0.30] * 12, *[0.45] * 5, *[0.30] * 2)


def freeze_grid(monkeypatch: pytest.MonkeyPatch, since: datetime) -> None:
    """From then on evcc reads the same number from its grid meter, whatever flows."""
    real, kept = evcc_cycle.regulator.read, [0.0]

    def read(site: Any, *others: Any) -> None:
        real(site, *others)
        if site.priced_at is not None and site.priced_at >= since:
            site.grid_w = kept[0]
        else:
            kept[0] = site.grid_w

    monkeypatch.setattr(evcc_cycle.regulator, "read", read)


def night(**more: Any) -> Scenario:
    """40 % at nine in the evening, 80 % wanted at six."""
    return home(
        EVENING,
        wishes=(CarSettings(name="compact", target_soc_pct=80, departure="06:00"),),
        cars=(SimCar(name="compact", capacity_kwh=50, soc_pct=40, loadpoint="carport"),),
        tick_s=60.0,
        **more,
    )


def at(story: Story, when: datetime) -> HomeState:
    page = story.frame(when).page
    assert page.state is not None
    return page.state


@RUNTIMES
def test_inv_112_a_car_is_full_at_six_though_the_grid_meter_froze_at_eleven(
    runtime: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    freeze_grid(monkeypatch, FREEZES)
    story = told(night(hourly=THREE_TO_FIVE), runtime, 8.6 / 24)
    state = at(story, local("2026-01-14", "00:00"))
    assert [one.name for one in state.failed_meters] == ["grid"]
    # until it has to start it waits, and says so
    (owned,) = [one for one in state.in_control if one.setting == "loadpoint:carport:mode"]
    assert (owned.owner, owned.why.code) == ("smartload", "car_waits_unmetered")
    start = local("2026-01-14", "03:00")
    assert story.frame(start).cars_pct["compact"] == 40
    assert story.frame(SIX).cars_pct["compact"] >= 79.5
    # nothing else is decided on it
    found, late = local("2026-01-13", "23:15"), start
    assert [one.made_at for one in story.plans() if found < one.made_at < late] == []
    modes = [one for one in story.told.said(Order) if one.setting == "mode"]
    assert [(one.value, one.why.code) for one in modes][:1] == [("now", "car_deadline_unmetered")]
    assert [one.value for one in modes] == ["now", "pv"]
