"""The ports that read and write evcc, over scripted transports and virtual time."""

import msgspec
import pytest

from engine.clock import VirtualClock
from engine.evcc import EvccReader, EvccWriter
from engine.evcc_json import site_from
from engine.messages import (
    EvccRead,
    EvccReadDue,
    EvccSilent,
    HandsOff,
    Order,
    OrderConfirmed,
    OrderFailed,
)
from engine.transport import Answer, TransportError
from engine.values import Tariff, Why
from tests.make_evcc_ports import SITE, STATE, T0, WHY, ScriptedTransport, after, ok

RATES = b'{"rates":[{"start":"2026-01-01T12:00:00Z","end":"2026-01-01T12:15:00Z","value":0.3}]}'

# --- reading -------------------------------------------------------------------------------------


def reader() -> tuple[EvccReader, ScriptedTransport]:
    transport = ScriptedTransport()
    return EvccReader(transport, VirtualClock(T0)), transport


def test_a_reading_brings_the_state_and_the_tariffs_asked_for() -> None:
    port, evcc = reader()
    evcc.reply("GET /api/state", Answer(200, STATE))
    evcc.reply("GET /api/tariff/grid", Answer(200, RATES))
    (said,) = port.on(EvccReadDue(T0, ("grid",)))
    assert isinstance(said, EvccRead)
    assert said.site == SITE
    assert [tariff.usage for tariff in said.tariffs] == ["grid"]
    assert said.tariffs[0].rates is not None
    assert list(port.on(EvccReadDue(T0))) == [EvccRead(T0, SITE)]
    assert evcc.asked == ["GET /api/state", "GET /api/tariff/grid", "GET /api/state"]


def test_inv_61_a_read_without_answer_is_tried_once_more() -> None:
    port, evcc = reader()
    evcc.reply("GET /api/state", TransportError("reset"), Answer(200, STATE))
    assert list(port.on(EvccReadDue(T0))) == [EvccRead(T0, SITE)]
    evcc.reply("GET /api/state", TransportError("reset"))
    evcc.asked.clear()
    assert list(port.on(EvccReadDue(T0, ("grid",)))) == [EvccSilent(T0, "reset")]
    assert evcc.asked == ["GET /api/state"] * 2


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(404, b"404 page not found"), "HTTP 404: 404 page not found"),
        (Answer(401, b"Unauthorized"), "HTTP 401: Unauthorized"),
        (Answer(503, b'{"error":"busy"}'), "HTTP 503: busy"),
        (Answer(200, b""), "empty answer"),
        (Answer(200, b'{"apiReady":false}'), "evcc is starting"),
    ],
)
def test_an_answer_that_is_no_state_is_silence_and_not_asked_again(
    answer: Answer, reason: str
) -> None:
    port, evcc = reader()
    evcc.reply("GET /api/state", answer)
    assert list(port.on(EvccReadDue(T0, ("grid",)))) == [EvccSilent(T0, reason)]
    assert evcc.asked == ["GET /api/state"]


def test_a_tariff_that_fails_does_not_spoil_the_reading() -> None:
    port, evcc = reader()
    evcc.reply("GET /api/state", Answer(200, STATE))
    evcc.reply("GET /api/tariff/grid", Answer(404, b'{"error":"not available"}'))
    evcc.reply("GET /api/tariff/solar", Answer(200, RATES))
    (said,) = port.on(EvccReadDue(T0, ("grid", "solar")))
    assert isinstance(said, EvccRead)
    assert said.tariffs[0] == Tariff("grid", None, "HTTP 404: not available")
    assert said.tariffs[1].rates is not None


def test_inv_186_only_the_first_silent_tariff_is_waited_for() -> None:
    port, evcc = reader()
    evcc.reply("GET /api/state", Answer(200, STATE))
    evcc.reply("GET /api/tariff/grid", TransportError("no answer within 10 s"))
    (said,) = port.on(EvccReadDue(T0, ("grid", "feedin", "solar")))
    assert isinstance(said, EvccRead)
    assert [(t.usage, t.rates, t.reason) for t in said.tariffs] == [
        (usage, None, "no answer within 10 s") for usage in ("grid", "feedin", "solar")
    ]
    assert evcc.asked == ["GET /api/state", "GET /api/tariff/grid"]


# --- writing -------------------------------------------------------------------------------------


def order(value: str | float = "now", loadpoint: str = "carport", setting: str = "mode") -> Order:
    return Order(T0, 7, loadpoint, setting, value, WHY)


def writer(read: bool = True) -> tuple[EvccWriter, ScriptedTransport, VirtualClock]:
    transport, clock = ScriptedTransport(), VirtualClock(T0)
    port = EvccWriter(transport, clock)
    if read:
        assert list(port.on(EvccRead(T0, SITE))) == []
    return port, transport, clock


def test_a_confirmed_write_is_one_that_evcc_echoed() -> None:
    port, evcc, _ = writer()
    evcc.reply("POST /api/loadpoints/2/limitsoc/80", ok(80))
    asked = order(80.0, "garage", "limit_soc")
    assert list(port.on(asked)) == [OrderConfirmed(T0, asked)]
    evcc.reply("POST /api/loadpoints/1/mode/now", ok("pv"))
    assert list(port.on(order())) == [OrderFailed(T0, order(), "asked 'now', evcc has 'pv'")]


def test_a_write_is_sent_once_whatever_happens() -> None:
    port, evcc, _ = writer()
    assert list(port.on(order())) == [OrderFailed(T0, order(), "refused")]
    evcc.reply("POST /api/loadpoints/1/mode/now", Answer(409, b'{"error":"automatic mode"}'))
    assert list(port.on(order())) == [OrderFailed(T0, order(), "HTTP 409: automatic mode")]
    assert evcc.asked == ["POST /api/loadpoints/1/mode/now"] * 2


def test_before_the_first_reading_nothing_is_written() -> None:
    port, evcc, _ = writer(read=False)
    assert list(port.on(order())) == [OrderFailed(T0, order(), "evcc was not read yet")]
    assert evcc.asked == []


def test_inv_39_an_unknown_loadpoint_is_an_error_and_no_request() -> None:
    port, evcc, _ = writer()
    lost = order(loadpoint="nosuch")
    assert list(port.on(lost)) == [OrderFailed(T0, lost, "evcc has no loadpoint 'nosuch'")]
    assert evcc.asked == []


def test_inv_60_the_newest_reading_says_where_to_write() -> None:
    port, evcc, _ = writer()
    evcc.default = ok("now")
    list(port.on(order(loadpoint="garage")))
    moved = site_from(b'{"loadpoints":[{"name":"garage","mode":"off"}]}')
    list(port.on(EvccRead(T0, moved)))
    list(port.on(order(loadpoint="garage")))
    assert evcc.asked == ["POST /api/loadpoints/2/mode/now", "POST /api/loadpoints/1/mode/now"]


def test_hands_off_gives_pv_to_every_car_that_we_let_charge() -> None:
    port, evcc, clock = writer()
    evcc.default = ok("now")
    list(port.on(order("now", "carport")))
    evcc.default = ok("pv")
    list(port.on(order("pv", "garage")))
    evcc.asked.clear()
    evcc.reply("POST /api/loadpoints/1/mode/pv", TransportError("refused"), ok("pv"))
    given_back = Order(T0, 0, "carport", "mode", "pv", WHY)
    assert list(port.on(HandsOff(T0, WHY))) == [OrderFailed(T0, given_back, "refused")]
    # tried again until it is confirmed, and then no more
    assert port.next_wake() == after(10)
    clock.move_to(after(10))
    (said,) = port.wake(after(10))
    assert isinstance(said, OrderConfirmed)
    assert port.next_wake() is None
    assert evcc.asked == ["POST /api/loadpoints/1/mode/pv"] * 2
    assert list(port.on(order())) == [OrderFailed(after(10), order(), "hands off")]


def test_hands_off_takes_back_a_write_whose_answer_was_lost_but_no_refused_one() -> None:
    port, evcc, _ = writer()
    evcc.reply("POST /api/loadpoints/1/mode/now", TransportError("no answer"))
    evcc.reply("POST /api/loadpoints/2/mode/now", Answer(400, b""))
    list(port.on(order("now", "carport")))
    list(port.on(order("now", "garage")))
    evcc.asked.clear()
    evcc.default = ok("pv")
    (said,) = port.on(HandsOff(T0, WHY))
    assert isinstance(said, OrderConfirmed)
    assert evcc.asked == ["POST /api/loadpoints/1/mode/pv"]


def test_after_hands_off_only_what_the_user_had_is_written() -> None:
    port, evcc, _ = writer()
    evcc.default = ok("off")
    list(port.on(HandsOff(T0, WHY)))
    restore = msgspec.structs.replace(order("off", "carport"), why=Why("restore_user"))
    assert list(port.on(restore)) == [OrderConfirmed(T0, restore)]
    assert evcc.asked == ["POST /api/loadpoints/1/mode/off"]


def test_hands_off_leaves_what_somebody_else_changed_since() -> None:
    port, evcc, _ = writer()
    evcc.default = ok("now")
    list(port.on(order("now", "carport")))
    evcc.asked.clear()
    # this reading may be older than the write: not believed yet
    list(port.on(EvccRead(after(5), SITE)))
    list(port.on(EvccRead(after(35), SITE)))
    assert list(port.on(HandsOff(after(40), WHY))) == []
    assert evcc.asked == []
