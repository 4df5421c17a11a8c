"""Writer and battery keeper with a ledger: what is sent is on disk before, nothing is forgotten."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.clock import VirtualClock
from engine.estate import Bequest, Written
from engine.evcc import BatteryKeeper, EvccWriter
from engine.evcc_json import site_from
from engine.ledger import Estate, Ledger
from engine.messages import (
    BatteryModeConfirmed,
    BatteryModeFailed,
    BatteryModeStands,
    EstateRead,
    EvccRead,
    HandsOff,
    Order,
    OrderConfirmed,
    OrderFailed,
    StopAsked,
    WillMade,
)
from engine.transport import Answer, TransportError
from engine.values import BatteryMode, Why
from tests.make_evcc_ports import (
    SITE,
    STATE,
    T0,
    WHY,
    ScriptedTransport,
    WatchdogEvcc,
    after,
    ok,
)

WILL = WillMade(T0, (Bequest("mode", WHY, "carport", value="pv"),))


def order(value: str = "now", why: Why = WHY) -> Order:
    return Order(T0, 7, "carport", "mode", value, why)


class OnDisk(ScriptedTransport):
    """Notes what the ledger held when each request came."""

    def __init__(self, ledger: Ledger, default: Any = None) -> None:
        super().__init__(default)
        self.ledger = ledger
        self.held: list[Estate] = []

    def request(self, method: str, path: str, body: bytes = b"") -> Answer:
        self.held.append(self.ledger.read())
        return super().request(method, path, body)


# --- the writer -----------------------------------------------------------------------------------


def writer(ledger: Ledger, default: Any = None) -> tuple[EvccWriter, OnDisk]:
    evcc = OnDisk(ledger, default)
    port = EvccWriter(evcc, VirtualClock(T0), ledger)
    assert list(port.on(EvccRead(T0, SITE))) == []
    return port, evcc


def test_inv_49_an_order_and_the_will_are_on_disk_before_it_is_sent() -> None:
    ledger = Ledger()
    port, evcc = writer(ledger, ok("now"))
    assert list(port.on(WILL)) == []
    (said,) = port.on(order())
    assert isinstance(said, OrderConfirmed)
    assert evcc.held == [Estate((Written("mode", "now", T0, "carport"),), WILL.bequests)]
    assert ledger.read().written == (Written("mode", "now", T0, "carport", confirmed=True),)


def test_a_lost_answer_leaves_the_intention_a_refusal_does_not() -> None:
    ledger = Ledger()
    port, evcc = writer(ledger, TransportError("lost"))
    list(port.on(order("now")))
    assert ledger.read().written == (Written("mode", "now", T0, "carport"),)
    evcc.default = Answer(400, b"")
    list(port.on(order("pv")))
    assert ledger.read().written == (Written("mode", "now", T0, "carport"),)


def full(folder: Path) -> Ledger:
    """A ledger whose disk is full."""
    ledger = Ledger(folder / "ledger.db")
    (pages,) = ledger._db.execute("PRAGMA page_count").fetchone()
    ledger._db.execute(f"PRAGMA max_page_count={pages}")
    ledger._db.execute("PRAGMA query_only=1")
    return ledger


def test_with_a_full_disk_nothing_is_sent_but_what_is_given_back(tmp_path: Path) -> None:
    port, evcc = writer(full(tmp_path), ok("now"))
    (said,) = port.on(order())
    assert isinstance(said, OrderFailed)
    assert "not sent, not on disk" in said.reason
    assert "ledger.db" in said.reason
    assert evcc.asked == []
    evcc.default = ok("pv")
    (said,) = port.on(order("pv", Why("restore_user")))
    assert isinstance(said, OrderConfirmed)


def test_without_its_will_on_disk_nothing_is_sent(tmp_path: Path) -> None:
    ledger = full(tmp_path)
    port, evcc = writer(ledger, ok("now"))
    list(port.on(WILL))
    ledger._db.execute("PRAGMA query_only=0")
    (said,) = port.on(order())
    assert isinstance(said, OrderFailed)
    assert "the will is not on disk" in said.reason
    assert evcc.asked == []
    list(port.on(WILL))
    (said,) = port.on(order())
    assert isinstance(said, OrderConfirmed)


def test_on_hands_off_the_will_on_disk_is_left_to_those_who_carry_it_out() -> None:
    ledger = Ledger()
    port, evcc = writer(ledger, ok("now"))
    list(port.on(WILL))
    list(port.on(order()))
    evcc.asked.clear()
    assert list(port.on(HandsOff(T0, WHY))) == []
    (said,) = port.on(order("pv", Why("restore_user")))
    assert isinstance(said, OrderFailed)
    list(port.on(WillMade(after(1), ())))
    assert ledger.read().bequests == WILL.bequests
    assert evcc.asked == []


# --- the battery keeper ---------------------------------------------------------------------------


def stands(mode: str | None) -> BatteryModeStands:
    return BatteryModeStands(T0, BatteryMode(mode) if mode else None, WHY)


class Keeping:
    """A keeper with a ledger, in virtual time, before evcc's watchdog."""

    def __init__(self, ledger: Ledger | None = None, evcc: Any = None) -> None:
        self.clock = VirtualClock(T0)
        self.evcc: Any = evcc or WatchdogEvcc(self.clock)
        self.ledger = ledger or Ledger()
        self.keeper = BatteryKeeper(self.evcc, self.clock, self.ledger)
        self.said: list[Any] = []
        self.hear(EvccRead(T0, SITE))

    def hear(self, message: Any) -> None:
        self.said += self.keeper.on(message)

    def wait(self, until_s: float, mode: str | None = None, *, ticks: bool = True) -> None:
        at_s = (self.clock.now() - T0).total_seconds()
        while at_s < until_s:
            at_s = min(until_s, at_s + 1)
            self.clock.move_to(after(at_s))
            due = self.keeper.next_wake()
            if due is not None and due <= self.clock.now():
                self.said += self.keeper.wake(due)
            if ticks and at_s % 10 == 0:
                self.hear(stands(mode))
            if isinstance(self.evcc, WatchdogEvcc):
                self.evcc.run(self.clock.now())

    def modes(self) -> list[str]:
        return [mode for _, mode in self.evcc.posts]

    def left(self) -> list[tuple[str | float, bool]]:
        return [(one.value, one.confirmed) for one in self.ledger.read().written]

    def read(self, mode: str, external: str = "") -> None:
        """A reading that shows these two."""
        shown = STATE.replace(b'"batteryMode":"normal"', f'"batteryMode":"{mode}",'
                              f'"batteryModeExternal":"{external}"'.encode())  # fmt: skip
        self.hear(EvccRead(self.clock.now(), site_from(shown)))


def test_a_mode_is_on_disk_before_it_is_posted_and_a_renewal_writes_nothing() -> None:
    ledger = Ledger()
    evcc = OnDisk(ledger, ok(2))
    home = Keeping(ledger, evcc)
    home.hear(stands("hold"))
    assert evcc.held[0].written == (Written("battery_mode", "hold", T0),)
    assert home.left() == [("hold", True)]
    home.wait(65, "hold")
    assert len(evcc.held) >= 4
    assert ledger.read().written[0].at == T0
    evcc.default = ok(0)
    evcc.reply("POST /api/batterymode/normal", ok(1))
    home.hear(stands(None))
    assert home.left() == [("hold", True), ("", False)]
    home.wait(120)
    home.read("normal")  # a cycle of evcc has told the inverter
    assert home.left() == [("", True)]


def test_with_a_full_disk_no_mode_is_posted_but_a_release_is(tmp_path: Path) -> None:
    ledger = full(tmp_path)
    home = Keeping(ledger)
    home.hear(stands("hold"))
    assert isinstance(home.said[0], BatteryModeFailed)
    assert "not on disk" in home.said[0].reason
    assert home.modes() == []
    ledger._db.execute("PRAGMA query_only=0")
    home.wait(20, "hold")
    assert home.modes()[0] == "hold"
    ledger._db.execute("PRAGMA query_only=1")
    home.hear(StopAsked(T0))
    assert home.modes()[-2:] == ["normal", "unknown"]


@pytest.mark.parametrize("confirmed", [True, False])
@pytest.mark.parametrize("next_mode", [None, "charge", "silence"])
def test_what_an_earlier_controller_left_is_released_first(
    confirmed: bool, next_mode: str | None
) -> None:
    """evcc was killed too: it knows of nothing, the inverter holds (evcc-api.md §4)."""
    home = Keeping()
    home.evcc.inverter = "hold"
    home.ledger.intend("battery_mode", "", "hold", after(-600))
    if confirmed:
        home.ledger.confirm("battery_mode", "", "hold", after(-600))
    home.hear(EstateRead(T0, *home.ledger.read()))
    if next_mode == "silence":
        home.wait(100, ticks=False)
        assert home.modes() == ["normal", "unknown"]
    else:
        home.hear(stands(next_mode))
        assert home.modes() == ["normal", "unknown"]
        assert ("", False) in home.left()
        home.wait(100, next_mode)
        assert (home.modes()[2:3] == []) == (next_mode is None)
    assert home.evcc.inverter == ("charge" if next_mode == "charge" else "normal")
    assert isinstance(home.said[0], BatteryModeConfirmed)
    assert home.said[0].mode is None


def test_the_same_mode_again_needs_no_release_before() -> None:
    home = Keeping()
    home.ledger.confirm("battery_mode", "", "hold", after(-600))
    home.hear(EstateRead(T0, *home.ledger.read()))
    home.hear(stands("hold"))
    home.wait(60, "hold")
    assert "normal" not in home.modes()
    assert home.modes()[-1] == "hold"


def test_a_debt_that_evcc_does_not_take_is_paid_later() -> None:
    home = Keeping(evcc=ScriptedTransport(TransportError("refused")))
    home.ledger.confirm("battery_mode", "", "charge", after(-600))
    home.hear(EstateRead(T0, *home.ledger.read()))
    home.wait(35)
    home.evcc.default = ok(1)
    home.wait(60)
    assert home.evcc.asked[-2:] == ["POST /api/batterymode/normal", "DELETE /api/batterymode"]
    done = len(home.evcc.asked)
    home.wait(200)
    assert len(home.evcc.asked) == done
    home.read("normal")
    assert home.left() == [("", True)]


def test_a_release_that_was_carried_out_already_is_no_debt() -> None:
    home = Keeping()
    home.ledger.confirm("battery_mode", "", "", after(-10))
    home.hear(EstateRead(T0, *home.ledger.read()))
    home.wait(100)
    assert home.modes() == []


def test_after_a_restart_of_evcc_what_was_released_is_released_again() -> None:
    home = Keeping()
    home.hear(stands("charge"))
    home.wait(31, "charge")
    home.hear(stands(None))
    home.evcc.restart()  # before the cycle that would have told the inverter
    home.wait(60)
    home.read("unknown")
    assert home.evcc.inverter == "charge"
    home.wait(90)
    home.read("unknown")
    home.wait(150)
    assert home.evcc.inverter == "normal"
    home.read("normal")
    done = len(home.modes())
    home.evcc.restart()
    home.wait(300)
    home.read("unknown")
    assert len(home.modes()) == done  # the inverter was told since, as the reading showed


def test_after_a_restart_of_evcc_what_stands_is_posted_again_at_once() -> None:
    home = Keeping()
    home.hear(stands("hold"))
    home.wait(41, "hold")
    home.evcc.restart()
    home.wait(52, "hold", ticks=False)
    home.read("unknown")
    assert home.evcc.posts[-1] == (52.0, "hold")
    assert home.evcc.holes == 0


def test_the_keeper_writes_the_will_too_until_hands_off() -> None:
    home = Keeping()
    home.hear(WILL)
    assert home.ledger.read().bequests == WILL.bequests
    home.hear(HandsOff(T0, WHY))
    home.hear(msgspec.structs.replace(WILL, at=after(1), bequests=()))
    assert home.ledger.read().bequests == WILL.bequests
