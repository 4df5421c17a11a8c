"""The page's data say what is not obeyed, and what the last will holds."""

from msgspec.structs import replace

from engine.clock import VirtualClock
from engine.estate import Bequest
from engine.messages import StateChanged, WillMade
from engine.values import Ownership, Why
from tests.make_status import NOW, make_state
from web.feed import Window
from web.health import problems
from web.status import status


def test_status_says_what_is_not_obeyed_and_what_is_willed() -> None:
    window = Window(VirtualClock(NOW))
    stuck = Ownership(
        "battery_mode", "evcc", NOW, None, Why("battery_not_obeyed", (("mode", "hold"),))
    )
    made = make_state(rates_revision=0, plan_revision=0)
    state = replace(made, in_control=(stuck, *made.in_control[1:]))
    will = (
        Bequest("battery_mode", Why("restore_user")),
        Bequest("mode", Why("restore_user"), loadpoint="carport", value="pv"),
    )
    for message in (StateChanged(NOW, state), WillMade(NOW, will)):
        list(window.on(message))
    found = status(window.snapshot, NOW)
    assert [one["setting"] for one in found["not_obeyed"]] == ["battery_mode"]
    assert found["not_obeyed"][0]["why"]["code"] == "battery_not_obeyed"
    assert [(one["setting"], one["value"]) for one in found["will"]] == [
        ("battery_mode", ""),
        ("mode", "pv"),
    ]
    assert found["will"][1]["why"]["en"]
    list(window.on(WillMade(NOW, ())))
    assert status(window.snapshot, NOW)["will"] == []


def test_health_tells_of_a_guard_or_ledger_in_trouble() -> None:
    def found(guard: dict[str, object], ledger: str = "") -> list[str]:
        vitals = {"guard": guard, "ledger": ledger}
        return problems(Window(VirtualClock(NOW)).snapshot, NOW, vitals)

    assert found({"needed": False, "pid": None, "problem": "none needed"}) == []
    assert found({"needed": True, "pid": 7, "problem": ""}) == []
    assert found({"needed": True, "pid": None, "problem": "no process"}) == ["guard_troubled"]
    assert found({"needed": True, "pid": 7, "problem": ""}, "disk full") == ["ledger_troubled"]
