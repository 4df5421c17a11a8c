"""evcc's problem as one mixed-integer program, written from evcc's own description alone.

The yardstick of the schedules: every rule of the protocol as evcc's service states it, as columns
and rows that any solver takes. It knows nothing of our own model.
"""

from typing import Any, NamedTuple

BIG = 1e6
INF = float("inf")


class Rates(NamedTuple):
    """What violations cost, all multiples of the dearest real rate in the request."""

    base: float
    rate: float | None

    @classmethod
    def of(cls, request: dict[str, Any]) -> "Rates":
        """Those of a request."""
        series, grid = request["time_series"], request.get("grid") or {}
        rate = grid.get("prc_p_exc_imp") if grid.get("p_max_imp") is not None else None
        known = [max(series["p_N"]), max(series["p_E"]), 1e-4]
        known += [battery["p_a"] for battery in request["batteries"]]
        if rate is not None:
            known.append(rate * 3600 / min(dt for dt in series["dt"] if dt > 0))
        return cls(max(known), rate)


class Rows:
    """Columns by name, rows as they come."""

    def __init__(self) -> None:
        self.lower: list[float] = []
        self.upper: list[float] = []
        self.whole: list[int] = []
        self.gain: list[float] = []
        self.rows: list[dict[int, float]] = []
        self.at_least: list[float] = []
        self.at_most: list[float] = []

    def column(self, upper: float = INF, gain: float = 0.0, lower: float = 0.0) -> int:
        """A new column; `gain` is what each unit of it is worth."""
        self.lower.append(lower)
        self.upper.append(upper)
        self.gain.append(gain)
        self.whole.append(0)
        return len(self.lower) - 1

    def binary(self) -> int:
        """A new column that is 0 or 1."""
        at = self.column(1.0)
        self.whole[at] = 1
        return at

    def row(self, terms: dict[int, float], least: float = -INF, most: float = INF) -> None:
        """A new row: `least` <= terms <= `most`."""
        self.rows.append(terms)
        self.at_least.append(least)
        self.at_most.append(most)


def written(request: dict[str, Any]) -> Rows:
    """Money and penalties of a request as it is sent (the preferences left out)."""
    series, grid = request["time_series"], request.get("grid") or {}
    slots, rates, m = len(series["gt"]), Rates.of(request), Rows()
    hours = [dt / 3600 for dt in series["dt"]]
    p_imp, p_exp = grid.get("p_max_imp"), grid.get("p_max_exp")
    y = [m.binary() for _ in range(slots)]
    n = [m.column(gain=-series["p_N"][t]) for t in range(slots)]
    e = [m.column(gain=series["p_E"][t]) for t in range(slots)]
    balance: list[dict[int, float]] = [{n[t]: 1.0, e[t]: -1.0} for t in range(slots)]
    if p_imp is not None:
        penalty = 0.0 if rates.rate is not None else 100 * rates.base
        over = [m.column(gain=-series["p_N"][t] - penalty) for t in range(slots)]
        _limit(m, n, over, [p_imp * h for h in hours])
        for t in range(slots):
            balance[t][over[t]] = 1.0
        if rates.rate is not None:
            peak = m.column(gain=-rates.rate)
            for t in range(slots):
                m.row({over[t]: 1.0, peak: -hours[t]}, most=0.0)
    if p_exp is not None:
        lost = [m.column(gain=-100 * rates.base * (1 - t * 1e-5)) for t in range(slots)]
        _limit(m, e, lost, [p_exp * h for h in hours])
        for t in range(slots):
            balance[t][lost[t]] = -1.0
    home = _Home(m, request, hours, y, rates.base)
    for battery in request["batteries"]:
        c, d = _battery(home, battery)
        for t in range(slots):
            balance[t][c[t]], balance[t][d[t]] = -1.0, 1.0
    give = [b["d_max"] for b in request["batteries"] if b.get("discharge_to_grid")]
    take = [b["c_max"] for b in request["batteries"] if b.get("charge_from_grid")]
    for t in range(slots):
        load, sun = series["gt"][t], series["ft"][t]
        m.row(balance[t], load - sun, load - sun)
        most_e = sun + sum(give) * hours[t] if p_imp is None else BIG
        most_n = load + sum(take) * hours[t] if p_exp is None else BIG
        m.row({e[t]: 1.0, y[t]: -most_e}, most=0.0)
        m.row({n[t]: 1.0, y[t]: most_n}, most=most_n)
    return m


def _limit(m: Rows, part: list[int], over: list[int], most: list[float]) -> None:
    """Beyond the limit only where the part within it is full."""
    for t, cap in enumerate(most):
        full = m.binary()
        m.row({part[t]: 1.0}, most=cap)
        m.row({part[t]: 1.0, full: cap}, least=cap)
        m.row({over[t]: 1.0, full: BIG}, most=BIG)


class _Home(NamedTuple):
    """What all batteries share."""

    rows: Rows
    request: dict[str, Any]
    hours: list[float]
    y: list[int]
    base: float


def _battery(home: _Home, battery: dict[str, Any]) -> tuple[list[int], list[int]]:
    m, request, hours, y, base = home
    slots = len(hours)
    eta_c = battery.get("eta_c", request.get("eta_c", 0.95))
    eta_d = battery.get("eta_d", request.get("eta_d", 0.95))
    capacity = battery.get("s_capacity", max(battery["s_max"], battery["s_initial"]))
    c = [m.column(battery["c_max"] * h) for h in hours]
    d = [m.column(battery["d_max"] * h) for h in hours]
    s = [m.column(max(capacity, battery["s_initial"])) for _ in hours]
    m.gain[s[-1]] = battery["p_a"]
    goal = battery.get("s_goal")
    for t in range(slots):
        above, below = m.column(gain=-1000 * base), m.column(gain=-1000 * base)
        m.row({above: 1.0, s[t]: -1.0}, least=-battery["s_max"])
        m.row({below: 1.0, s[t]: 1.0}, least=battery["s_min"])
        step = {s[t]: 1.0, c[t]: -eta_c, d[t]: 1 / eta_d}
        if t:
            step[s[t - 1]] = -1.0
        before = 0.0 if t else battery["s_initial"]
        m.row(step, before, before)
        if t and goal is not None and goal[t] > 0:
            short = m.column(gain=-100 * base)
            m.row({s[t]: 1.0, short: 1.0}, least=goal[t])
        on_d = m.binary()
        m.row({d[t]: 1.0, on_d: -battery["d_max"] * hours[t]}, most=0.0)
        m.row({c[t]: 1.0, on_d: battery["c_max"] * hours[t]}, most=battery["c_max"] * hours[t])
        if not battery.get("charge_from_grid"):
            m.row({c[t]: 1.0, y[t]: -battery["c_max"] * hours[t]}, most=0.0)
        if not battery.get("discharge_to_grid"):
            most = battery["d_max"] * hours[t]
            m.row({d[t]: 1.0, y[t]: most}, most=most)
        _charging(home, battery, t, c[t], s[t])
    return c, d


def _charging(home: _Home, battery: dict[str, Any], t: int, c: int, s: int) -> None:
    """The least power, and what has to be charged."""
    m, base, h, slots = home.rows, home.base, home.hours[t], len(home.hours)
    demand, s_max = battery.get("p_demand"), battery["s_max"]
    least, most = battery["c_min"] * h, battery["c_max"] * h
    near: dict[int, float] = {}
    if demand is not None and demand[t] > 0:
        wanted = min(most, demand[t])
        short = m.column(gain=-100 * base * (1 + (slots - t) / slots))
        almost, full = m.binary(), m.binary()
        m.row({s: 1.0, almost: -s_max}, least=-least)
        m.row({s: 1.0, full: -s_max}, least=0.0)
        m.row({c: 1.0, short: 1.0, full: wanted}, least=wanted)
        near = {almost: least}
    if battery["c_min"] > 0:
        on = m.binary()
        m.row({c: 1.0, on: -least, **near}, least=0.0)
        m.row({c: 1.0, on: -most}, most=0.0)
