"""The homes of the table of deaths: what stands when somebody dies, and how they die."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from engine.settings import BatterySettings, CarSettings, Settings, SiteSettings
from engine.values import Control
from sim.scenario import Scenario, Sim, SimBattery, SimCar, SimEvent, SimLoadpoint, SimPrices

ZONE = "Europe/Berlin"
CAR, BOX = "compact", "carport"
TARGET_PCT = 80.0
TICK_S = 10.0
PRICES = (*[0.28] * 2, *[0.08] * 3, 0.28, *[0.30] * 11, *[0.45] * 5, *[0.32] * 2)
"""8 ct from two to five in the night, 45 ct in the evening."""
INSTALLED = timedelta(minutes=3)
"""So long before the first controller comes, evcc's own settings are made, and saved."""


def local(day: int, clock: str) -> datetime:
    """UTC of a local time of that day of January 2026."""
    hour, minute = clock.split(":")
    return datetime(2026, 1, day, int(hour), int(minute), tzinfo=ZoneInfo(ZONE)).astimezone(UTC)


SIX = local(13, "06:00")
"""The departure. The night before it is the one that somebody dies in."""


HAD = "pv"
"""The mode that the user has before anybody of ours is there."""
MODE_PATH = "POST /api/loadpoints/1/mode/"


class State(NamedTuple):
    """A home in which the plan leads to this; `stands` is what stands at `dies_at`.

    `stands`: the battery's external mode, the loadpoint's mode, and whose that mode is.
    `human`: the mode that somebody sets, and how many seconds after the death. `keeps_mode`: evcc
    has no mode in its configuration. `saved`: what stands is older than a minute, so a kill of
    evcc keeps it.
    """

    name: str
    starts_at: datetime
    dies_at: datetime
    stands: tuple[str, str, str]
    battery_pct: float | None = None
    soc_pct: float = 35.0
    keeps_mode: bool = True
    saved: bool = True
    human: tuple[str, float] | None = None

    def scenario(self, death: "Death") -> Scenario:
        """The home, with what happens to evcc at the death."""
        battery = None
        if self.battery_pct is not None:
            battery = SimBattery(capacity_kwh=10, soc_pct=self.battery_pct)
        wish = CarSettings(CAR, target_soc_pct=TARGET_PCT, departure="06:00")
        settings = Settings(
            control=Control.ON,
            tick_s=TICK_S,
            site=SiteSettings(zone=ZONE),
            battery=BatterySettings(),
            cars=(wish,),
        )
        sim = Sim(
            start=self.starts_at - INSTALLED,
            tick_s=TICK_S,
            pv_kwp=0.0,
            battery=battery,
            # with a mode in its configuration evcc comes back with that one, whatever stood
            loadpoints=(SimLoadpoint(BOX, mode="none" if self.keeps_mode else "pv"),),
            cars=(SimCar(CAR, capacity_kwh=60, soc_pct=self.soc_pct, loadpoint=BOX),),
            prices=SimPrices(kind="table", hourly_eur_kwh=PRICES),
            events=tuple(self._events(death)),
        )
        return Scenario("deaths", "A night in which somebody dies", settings, sim)

    def _events(self, death: "Death") -> list[SimEvent]:
        begins = self.starts_at - INSTALLED
        paths = [(1 / 3600, MODE_PATH + HAD)]
        if self.human is not None:
            mode, after_s = self.human
            at = self.dies_at + timedelta(seconds=after_s)
            paths.append(((at - begins) / timedelta(hours=1), MODE_PATH + mode))
        events = [SimEvent(at_h, "human", path=path) for at_h, path in paths]
        if death.evcc:
            at_h = (self.dies_at - begins) / timedelta(hours=1)
            events.append(SimEvent(at_h, death.evcc, hours=death.evcc_down_s / 3600))
        return events


class Death(NamedTuple):
    """Who dies how. `ours`: `kill`, `term`, `hang` or nothing; `guard`: whether it survives.

    `evcc`: the event of the pretend evcc that happens in the same second. `back_s`: when a
    controller is there again (after a hang: the same one); None: never.
    """

    name: str
    title: str
    ours: str = ""
    guard: bool = True
    back_s: float | None = None
    evcc: str = ""
    evcc_down_s: float = 45.0

    @property
    def unattended_s(self) -> float | None:
        """So long no controller acts; None: from then on."""
        return self.back_s if self.ours else 0.0


ALIVE = Death("alive", "nobody dies")
DEATHS = (
    Death("kill", "kill -9, back after 10 s", "kill", back_s=10),
    Death("kill-for-ever", "kill -9, nobody comes back", "kill"),
    Death("term", "SIGTERM, back after 10 s", "term", back_s=10),
    Death("term-for-ever", "SIGTERM, nobody comes back", "term"),
    Death("hang-30s", "SIGSTOP for 30 s", "hang", back_s=30),
    Death("hang-80s", "SIGSTOP for 80 s", "hang", back_s=80),
    Death("hang-10min", "SIGSTOP for 10 min", "hang", back_s=600),
    Death("evcc-term", "evcc restarts in order, 45 s", evcc="evcc_stop"),
    Death("evcc-kill", "evcc is killed, back after 45 s", evcc="evcc_kill"),
    Death("both", "controller and evcc killed; evcc back after 45 s", "kill", evcc="evcc_kill"),
    Death("both-back", "the same, controller back after 3 min", "kill", True, 180, "evcc_kill"),
    Death("power", "power cut: evcc back after 2 min, controller after 3 min", "kill", False, 180,
          "evcc_kill", 120),
    Death("power-for-ever", "power cut: evcc back after 2 min, none of ours", "kill", False, None,
          "evcc_kill", 120),
    Death("guard", "controller and guard killed, back after 10 min", "kill", False, 600),
    Death("guard-for-ever", "controller and guard killed, nobody comes back", "kill", False),
)  # fmt: skip

# four seconds after a tick, as deaths are
_EARLY, _NIGHT = local(12, "22:40"), local(13, "02:40")
_FOUR = timedelta(seconds=4)
_FRESH, _OVER = local(13, "02:10") + timedelta(seconds=24), local(13, "04:53")
STATES = (
    State("hold", local(13, "02:10"), _NIGHT + _FOUR, ("hold", "now", "smartload"), 99.0),
    State("charge", local(13, "02:10"), _NIGHT + _FOUR, ("charge", "now", "smartload"), 20.0),
    State("now", local(13, "02:10"), _NIGHT + _FOUR, ("", "now", "smartload")),
    State("now-configured", local(13, "02:10"), _NIGHT + _FOUR, ("", "now", "smartload"),
          keeps_mode=False),
    State("waits", local(12, "22:10"), _EARLY + _FOUR, ("", HAD, "smartload"), 60.0),
    State("human-off", local(13, "02:10"), _NIGHT + _FOUR, ("charge", "off", "human"), 20.0,
          human=("off", -300)),
    State("human-now", local(12, "22:10"), _EARLY + _FOUR, ("", "now", "human"), 60.0,
          human=("now", -300)),
    State("human-late", local(13, "02:10"), _NIGHT + _FOUR, ("charge", "now", "smartload"), 20.0,
          human=("minpv", 150)),
    # a kill of evcc loses what was set within its last minute
    State("fresh", local(13, "02:10"), _FRESH, ("charge", "now", "smartload"), 20.0,
          saved=False),
    State("over", local(13, "02:10"), _OVER + timedelta(seconds=34), ("", HAD, "smartload")),
)  # fmt: skip
