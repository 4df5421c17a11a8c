"""What is written to evcc: addresses, numbers, and the echoes that confirm them."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.evcc_json import site_from
from engine.evcc_writes import (
    OrderError,
    battery_echo_matches,
    decimal,
    echo_matches,
    path_for,
)
from engine.messages import Order
from engine.transport import Answer
from engine.values import BatteryMode
from tests.make_evcc_json import SITE, loadpoint, order, state


def answer(said: object, status: int = 200) -> Answer:
    return Answer(status, json.dumps(said).encode())


def test_inv_39_orders_are_resolved_by_name_to_the_one_based_id() -> None:
    assert path_for(order("mode", "now", "carport"), SITE) == "/api/loadpoints/1/mode/now"
    assert path_for(order("limit_soc", 79.6, "GARAGE"), SITE) == "/api/loadpoints/3/limitsoc/80"
    moved = site_from(state(loadpoints=[loadpoint(name="new"), loadpoint(name="carport")]))
    assert path_for(order("mode", "pv", "carport"), moved) == "/api/loadpoints/2/mode/pv"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (order("mode", "now", "nosuch"), "no loadpoint 'nosuch'"),
        (order("mode", "now", "pump"), "no charger"),
        (order("mode", "NOW", "carport"), "unknown mode"),
        (order("mode", 1.0, "carport"), "unknown mode"),
        (order("limit_soc", -1, "carport"), "no quantity"),
        (order("limit_soc", 101, "carport"), "above 100"),
        (order("limit_soc", "80", "carport"), "no quantity"),
        (order("limit_energy", float("nan"), "carport"), "no quantity"),
        (order("target_soc", 80, "carport"), "unknown setting"),
    ],
)
def test_inv_39_what_evcc_does_not_have_is_an_error(wrong: Order, says: str) -> None:
    with pytest.raises(OrderError, match=says):
        path_for(wrong, SITE)


@given(st.floats(0, 10_000))
def test_energies_are_written_without_exponent(kwh: float) -> None:
    path = path_for(order("limit_energy", kwh, "carport"), SITE)
    written = path.rsplit("/", 1)[1]
    assert re.fullmatch(r"\d+(\.\d{1,3})?", written)
    assert abs(float(written) - kwh) <= 0.0005
    assert echo_matches(order("limit_energy", kwh), answer(float(written)))


def test_decimals_are_short() -> None:
    assert [decimal(x) for x in (10, 10.5, 0, -0.0, 100, 1e-9)] == [
        "10", "10.5", "0", "0", "100", "0",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "said", "good"),
    [
        (order("mode", "pv"), answer("pv"), True),
        (order("mode", "pv"), answer("smart"), True),
        (order("mode", "minpv"), answer("smart"), True),
        (order("mode", "now"), answer("smart"), False),
        (order("mode", "now"), answer("pv"), False),
        (order("mode", "now"), answer({"result": "now"}), True),
        (order("mode", "now"), answer("now", 400), False),
        (order("mode", "now"), Answer(200, b""), False),
        (order("limit_soc", 80), answer(80), True),
        (order("limit_soc", 79.6), answer({"result": 80}), True),
        (order("limit_soc", 80), answer(79), False),
        (order("limit_energy", 10.5), answer(10.5), True),
        (order("limit_energy", 10.5), answer(None), False),
    ],
)
def test_an_echo_is_what_is_in_force(asked: Order, said: Answer, good: bool) -> None:
    assert echo_matches(asked, said) is good


def test_a_battery_mode_is_echoed_as_its_number() -> None:
    assert battery_echo_matches(BatteryMode.HOLD, answer(2))
    assert battery_echo_matches(BatteryMode.HOLD, answer({"result": 2}))
    assert not battery_echo_matches(BatteryMode.HOLD, answer(0))  # nothing is controllable
    assert not battery_echo_matches(BatteryMode.HOLD, answer("hold"))
    assert not battery_echo_matches(BatteryMode.HOLD, answer(2, 409))
