"""What a request of evcc's optimizer protocol may be, and how one that may not be is refused."""

import json
from typing import Any

import pytest

from actors.charge_request import UNEQUAL, BadRequestError, read_request
from tests.make_charge import battery, request


def refused(asked: Any) -> BadRequestError:
    with pytest.raises(BadRequestError) as error:
        read_request(asked if isinstance(asked, str | bytes) else json.dumps(asked))
    return error.value


def test_what_is_left_out_has_evccs_defaults() -> None:
    own = {"s_max": 8000, "s_initial": 500, "c_max": 3000, "d_max": 2000}
    asked = request(own | dict.fromkeys(("s_min", "c_min", "p_a"), 1))
    del asked["eta_c"], asked["eta_d"]
    read = read_request(json.dumps(asked))
    (one,) = read.batteries
    assert (one.eta_c, one.eta_d, one.c_priority) == (0.95, 0.95, 0)
    assert (one.charge_from_grid, one.discharge_to_grid) == (False, False)
    assert (one.s_capacity, one.p_demand, one.s_goal) == (8000, None, None)
    assert (read.charging_strategy, read.discharging_strategy) == ("none", "none")
    assert (read.p_max_imp, read.p_max_exp, read.prc_p_exc_imp) == (None, None, None)


def test_a_battery_may_have_efficiencies_of_its_own() -> None:
    read = read_request(json.dumps(request(battery(eta_c=0.97, eta_d=0.96), battery())))
    assert [(one.eta_c, one.eta_d) for one in read.batteries] == [(0.97, 0.96), (0.9, 0.9)]


def test_further_loads_are_added_and_unknown_fields_ignored() -> None:
    asked = request(battery(colour="red"), gt_add=[[1.0] * 6, [2.0] * 6], news=1)
    assert read_request(json.dumps(asked)).gt == (503.0,) * 6


def test_prices_may_be_negative_and_a_limit_may_be_zero() -> None:
    asked = request(battery(p_a=-0.0001), p_N=[-0.0001] * 6, grid={"p_max_exp": 0})
    read = read_request(json.dumps(asked))
    assert (read.p_n[0], read.batteries[0].p_a, read.p_max_exp) == (-0.0001, -0.0001, 0.0)


@pytest.mark.parametrize("name", ["charging_strategy", "discharging_strategy"])
def test_an_unknown_strategy_is_refused_by_name(name: str) -> None:
    error = refused(request(strategy={name: "atenuate"}))
    assert list(error.details) == [f"strategy.{name}"]
    assert "'atenuate' is not one of ['none'" in error.details[f"strategy.{name}"]


@pytest.mark.parametrize("name", ["dt", "ft", "p_N", "p_E"])
def test_series_of_other_lengths_are_refused(name: str) -> None:
    asked = request()
    asked["time_series"][name] = asked["time_series"][name][:5]
    error = refused(asked)
    assert error.message == UNEQUAL
    assert error.details == {f"time_series.{name}": "has 5 values, time_series.gt has 6"}


@pytest.mark.parametrize("name", ["p_demand", "s_goal"])
@pytest.mark.parametrize("length", [0, 5, 7])
def test_what_is_asked_of_a_battery_has_one_value_per_slot(name: str, length: int) -> None:
    error = refused(request(battery(**{name: [0.0] * length})))
    assert error.message == UNEQUAL
    assert list(error.details) == [f"batteries.0.{name}"]


def test_everything_that_is_missing_is_named() -> None:
    assert set(refused({}).details) == {"batteries", "time_series"}
    error = refused({"batteries": [{}], "time_series": {}})
    names = {f"batteries.0.{one}" for one in
             ("s_min", "s_max", "s_initial", "c_min", "c_max", "d_max", "p_a")}  # fmt: skip
    assert set(error.details) == names | {
        f"time_series.{one}" for one in ("dt", "gt", "ft", "p_N", "p_E")
    }
    assert error.details["batteries.0.s_min"] == "'s_min' is a required property"


@pytest.mark.parametrize(
    ("changes", "field", "text"),
    [
        ({"c_max": "a lot"}, "c_max", "'a lot' is not of type 'number'"),
        ({"c_max": True}, "c_max", "True is not of type 'number'"),
        ({"c_max": -1}, "c_max", "-1 is less than the minimum of 0"),
        ({"c_max": 1e300}, "c_max", "1e+300 is greater than the maximum of 1e+09"),
        ({"charge_from_grid": 1}, "charge_from_grid", "1 is not of type 'boolean'"),
        ({"c_priority": 3}, "c_priority", "3 is greater than the maximum of 2"),
        ({"c_priority": 0.5}, "c_priority", "0.5 is not of type 'integer'"),
        ({"eta_d": 0}, "eta_d", "0 is not greater than 0"),
        ({"eta_c": 1.1}, "eta_c", "1.1 is greater than the maximum of 1"),
        ({"s_goal": 5}, "s_goal", "5 is not of type 'array'"),
        ({"p_demand": [1, 2, "3"]}, "p_demand.2", "'3' is not of type 'number'"),
        ({"s_capacity": 4000}, "s_initial", "5000 is greater than s_capacity (4000)"),
    ],
)
def test_a_field_that_cannot_be_is_told_with_its_path(
    changes: dict[str, Any], field: str, text: str
) -> None:
    assert refused(request(battery(**changes))).details == {f"batteries.0.{field}": text}


@pytest.mark.parametrize("body", ["", "{", "[]", "null", "3", '{"batteries": NaN}', b"\xff\xfe"])
def test_what_is_no_object_of_json_is_refused(body: str | bytes) -> None:
    assert refused(body).details


def test_no_battery_no_slot_and_far_too_many_are_refused() -> None:
    assert "batteries" in refused(request() | {"batteries": []}).details
    assert "batteries" in refused(request(*[battery()] * 13)).details
    assert "time_series.gt" in refused(request(slots=0)).details
    assert "time_series.gt" in refused(request(slots=769)).details
