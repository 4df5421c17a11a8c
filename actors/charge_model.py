"""The linear part of evcc's problem in cvxpy, compiled once per shape, and the data of one case.

Like the home's own program (`planner_model.py`): bounds on columns, states instead of sums, all
data as parameters. Preferences are worth so little that they only decide between plans that cost
the same, so one solution serves both.
"""

from typing import Any

import numpy as np

from actors.charge_case import (
    GOAL_PENALTY,
    LIMIT_PENALTY,
    PREFERENCES_MOST,
    SOC_PENALTY,
    TINY,
    Case,
    Shape,
    Store,
    short_sun,
)
from actors.planner_model import MONEY_SCALE, Array, Model


class _Writer:
    """Variables with costs and bounds as parameters, all of one length."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.variables: dict[str, Any] = {}
        self.parameters: dict[str, Any] = {}
        self.rows: list[Any] = []
        self.costs: list[Any] = []

    def variable(self, name: str, *, capped: bool = True, size: int | None = None) -> Any:
        """A variable, at least 0 (or `_min`) and at most `_max`, that costs `_cost`."""
        import cvxpy as cp

        found = self.variables[name] = cp.Variable(size or self.slots, name=name)
        self.costs.append(self.parameter(f"{name}_cost", size) @ found)
        self.rows.append(found >= self.parameter(f"{name}_min", size))
        if capped:
            self.rows.append(found <= self.parameter(f"{name}_max", size))
        return found

    def parameter(self, name: str, size: int | None = None) -> Any:
        """A parameter, a vector over the slots unless said otherwise (0: one number)."""
        import cvxpy as cp

        shape = () if size == 0 else (size or self.slots)
        found = self.parameters[name] = cp.Parameter(shape, name=name)
        return found


def write_charge_model(shape: Shape) -> Model:
    """The program of that shape: never infeasible, everything that may have to give is soft."""
    import cvxpy as cp

    w = _Writer(shape.slots)
    bought, sold = w.variable("buy"), w.variable("sell")
    if shape.import_limit:
        bought = bought + w.variable("buy_over")
    if shape.export_limit:
        sold = sold + w.variable("sell_over")
    taken = sold - bought
    for k, needs in enumerate(shape.batteries):
        charge, discharge = w.variable(f"c{k}"), w.variable(f"d{k}")
        stored = w.variable(f"s{k}")
        taken = taken + charge - discharge
        before = cp.hstack([np.zeros(1), stored[:-1]])
        gained = w.parameter(f"into{k}", 0) * charge - w.parameter(f"out{k}", 0) * discharge
        w.rows.append(stored - before - gained == w.parameter(f"start{k}"))
        if needs.soft:
            below, above = (w.variable(f"{name}{k}", capped=False) for name in ("below", "above"))
            w.rows.append(stored + below >= w.parameter(f"low{k}", 0))
            w.rows.append(stored - above <= w.parameter(f"high{k}", 0))
        if needs.goals:
            w.rows.append(stored + w.variable(f"short{k}", capped=False) >= w.parameter(f"goal{k}"))
        if needs.demand:
            missed, excused = w.variable(f"missed{k}", capped=False), w.variable(f"excused{k}")
            w.rows.append(charge + missed + excused >= w.parameter(f"demand{k}"))
            w.rows.append(excused <= cp.multiply(w.parameter(f"share{k}"), stored))
    w.rows.append(taken + w.parameter("net") == 0)
    if shape.both_ways:
        ways = cp.multiply(w.parameter("part_in"), bought) + cp.multiply(
            w.parameter("part_out"), sold
        )
        w.rows.append(ways <= w.parameter("one_way"))
    if any(shape.short_sun):
        given = bought + sum(w.variables[f"d{k}"] for k in range(len(shape.batteries)))
        for k, some in enumerate(shape.short_sun):
            if some:
                given = given - cp.multiply(w.parameter(f"lacks{k}"), w.variables[f"c{k}"])
        w.rows.append(given >= w.parameter("nothing"))
    hours = w.parameter("hours")
    if shape.rate:
        w.rows.append(w.variables["buy_over"] <= hours * w.variable("rate", capped=False, size=1))
    if shape.level_import:
        w.rows.append(bought <= hours * w.variable("peak_in", capped=False, size=1))
    if shape.level_export:
        w.rows.append(sold <= hours * w.variable("peak_out", capped=False, size=1))
    if not (shape.rate or shape.level_import or shape.level_export):
        del w.parameters["hours"]
    return Model(cp.Problem(cp.Minimize(sum(w.costs)), w.rows), w.parameters, w.variables, {})


def data_of(case: Case) -> dict[str, Array | float]:
    """The parameters of a case, by name."""
    shape, n = case.shape, case.shape.slots
    data: dict[str, Array | float] = {"net": case.net, "hours": case.hours}

    def put(name: str, cost: Any, low: float | Array, high: Array | None) -> None:
        data[f"{name}_cost"], data[f"{name}_min"] = cost, low
        if high is not None:
            data[f"{name}_max"] = high

    wish = preferences(case)
    put("buy", case.buy + wish["buy"], 0.0, case.import_most)
    put("sell", -case.sell + wish["sell"], 0.0, case.export_most)
    if shape.import_limit:
        fine = 0.0 if shape.rate else LIMIT_PENALTY * case.base
        put("buy_over", case.buy + fine, 0.0, case.import_cap)
    if shape.export_limit:
        fine_out = LIMIT_PENALTY * case.base * (1 - 1e-5 * np.arange(n))
        put("sell_over", fine_out, 0.0, case.export_cap)
    if shape.rate:
        put("rate", (case.request.prc_p_exc_imp or 0.0) * 1e3 * MONEY_SCALE, 0.0, None)
    if shape.level_import:
        put("peak_in", wish["peak"], 0.0, None)
    if shape.level_export:
        put("peak_out", wish["peak"], 0.0, None)
    if shape.both_ways:
        both = (case.import_cap > TINY) & (case.export_cap > TINY)
        data["part_in"] = np.where(both, 1 / np.maximum(case.import_cap, TINY), 0.0)
        data["part_out"] = np.where(both, 1 / np.maximum(case.export_cap, TINY), 0.0)
        data["one_way"] = 1.0
    data["nothing"] = 0.0
    for k, lacks in enumerate(short_sun(case.net, case.stores)):
        data[f"lacks{k}"] = lacks
    for k in range(len(case.stores)):
        _store_data(case, k, wish[f"c{k}"], put, data)
    return data


def _store_data(case: Case, k: int, wish: Array, put: Any, data: dict[str, Array | float]) -> None:
    store, n, needs = case.stores[k], case.shape.slots, case.shape.batteries[k]
    battery = store.battery
    zero = np.zeros(n)
    open_in = case.may_export | battery.charge_from_grid
    open_out = case.may_import | battery.discharge_to_grid
    put(f"c{k}", -wish, 0.0, np.where(open_in, store.charge_most, 0.0))
    put(f"d{k}", -wish, 0.0, np.where(open_out, store.discharge_most, 0.0))
    worth = zero.copy()
    worth[-1] = -battery.p_a * 1e3 * MONEY_SCALE
    put(f"s{k}", worth, store.stored_least, store.stored_most)
    data[f"into{k}"], data[f"out{k}"] = battery.eta_c, 1 / battery.eta_d
    start = zero.copy()
    start[0] = store.start
    data[f"start{k}"] = start
    if needs.soft:
        fine = np.where(np.arange(n) < case.slots, SOC_PENALTY * case.base, 0.0)
        put(f"below{k}", fine, 0.0, None)
        put(f"above{k}", fine, 0.0, None)
        data[f"low{k}"], data[f"high{k}"] = battery.s_min * 1e-3, store.full
    if needs.goals:
        put(f"short{k}", GOAL_PENALTY * case.base, 0.0, None)
        data[f"goal{k}"] = store.goal
    if needs.demand:
        put(f"missed{k}", store.demand_cost, 0.0, None)
        put(f"excused{k}", 0.0, 0.0, np.where(earliest_full(store), store.demand, 0.0))
        data[f"demand{k}"] = store.demand
        data[f"share{k}"] = store.demand / store.full if store.full > TINY else np.full(n, 1e6)


def earliest_full(store: Store) -> Any:
    """Whether it can be full after a slot, charging all it can."""
    most = store.start + np.cumsum(store.charge_most) * store.battery.eta_c
    return most >= store.full - 1e-6


def preferences(case: Case) -> dict[str, Array]:
    """What each kWh is preferred by, in thousandths: evcc's weights, all scaled down alike.

    Earlier is always better. Where evcc's weights would turn round (the lowest import price is not
    above 0) the dearest rate stands in for it.
    """
    request, n = case.request, case.shape.slots
    lowest = min(request.p_n) * 1e3 * MONEY_SCALE
    price = lowest if lowest > TINY else case.base
    late = price * np.maximum(0.0, case.slots - np.arange(n))
    count = len(case.stores)
    sells = request.charging_strategy == "charge_before_export"
    buys = request.discharging_strategy == "discharge_before_import"
    wish = {
        "sell": late * 2e-5 * count * sells,
        "buy": late * 5e-6 * count * buys,
        "peak": np.array([case.base * 1e-3]) * (case.shape.level_import or case.shape.level_export),
    }
    for k, store in enumerate(case.stores):
        wish[f"c{k}"] = late * 5e-5 * store.battery.c_priority
    most = float(wish["sell"] @ case.export_cap + wish["buy"] @ case.import_cap)
    for k, store in enumerate(case.stores):
        most += float(wish[f"c{k}"] @ (store.charge_most + store.discharge_most))
    hours = np.maximum(case.hours, TINY)
    real = case.hours > 0
    most += float(wish["peak"][0]) * float(
        max(((case.import_cap + case.export_cap) / hours)[real], default=0.0)
    )
    scale = min(1.0, PREFERENCES_MOST / most) if most > 0 else 1.0
    return {name: weight * scale for name, weight in wish.items()}
