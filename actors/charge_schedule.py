"""Answers a charge request: the linear program first, then only what it breaks is decided.

What the search leaves uncertain by more than 0.1 ct goes to one mixed-integer program, begun with
the search's own answer. All effort is counted, none is timed: the same request has the same answer.
"""

from collections import OrderedDict
from typing import NamedTuple

import numpy as np

from actors.charge_case import Bools, Case, Shape, case_of
from actors.charge_model import data_of, preferences, write_charge_model
from actors.charge_request import (
    BatteryAnswer,
    ChargeAnswer,
    ChargeRequest,
    LimitViolations,
)
from actors.charge_rules import ScheduleRules
from actors.planner_directions import TINY_KWH as CLEAR
from actors.planner_model import MONEY_SCALE, Array
from actors.planner_search import Budget, Choice, Searched, Way, search
from actors.planner_solver import Data, Meter, Program, make_program

GOOD, ENOUGH = 0.3, 1.0
"""Thousandths: no more is looked for within 0.03 ct; below 0.1 ct nothing more than the search."""
WORK, LONG_SLOTS = 12_000, 192
"""Beyond so many slots each unit of work takes the longer, and there are fewer of them."""
ROUNDS, PATIENT_ROUNDS = 100, 15
STEPS, LEAST_STEPS = 120, 30
"""Of the mixed-integer program for one day: a step of twice the slots takes four times as long.
With fewer steps than the least it would come to nothing, and is not asked."""
SHAPES_KEPT = 8
DIGITS = 6
SNAP_WH = 1e-3
SETTLED_WH = 2.5e-3
"""A flow over the meter below this is what two solver tolerances leave: it has no direction."""


class Solved(NamedTuple):
    """An answer and what is known of it. `gap`: no other costs less by more (thousandths)."""

    answer: ChargeAnswer
    value: float
    """Money and penalties as evcc counts them, in currency; more is better."""
    gap: float
    work: int
    nodes: int
    whole: bool
    """The mixed-integer program was asked."""


class Scheduler:
    """Compiled programs by shape, and the schedules from them."""

    def __init__(self) -> None:
        self.meter = Meter()
        self._programs: OrderedDict[Shape, Program] = OrderedDict()

    def solve(self, request: ChargeRequest) -> Solved:
        """The schedule of a request. Raises SolveFailedError where the solver fails."""
        case = case_of(request)
        program = self._program(case.shape)
        data = data_of(case)
        program.load(data)
        rules = ScheduleRules(case, program.columns)
        found = _searched(program, data, rules, case.slots)
        spent = program.work
        steps = STEPS * 96**2 // max(case.slots, 24) ** 2
        whole = found.gap > ENOUGH and steps >= LEAST_STEPS
        if whole:
            found = self._as_a_whole(program, data, rules, found, min(steps, 4 * STEPS))
        answer = answer_of(case, program.columns, found.x)
        money = found.value - _wished(case, program.columns, found.x)
        return Solved(answer, -money / MONEY_SCALE, found.gap, spent, found.nodes, whole)

    def _as_a_whole(
        self, program: Program, data: Data, rules: ScheduleRules, found: Searched, steps: int
    ) -> Searched:
        """`found`, or what the mixed-integer program makes of it, exact to the last digit."""
        from actors.charge_milp import improve  # scipy: not before it is needed

        program.load(data)  # its own bounds again, without what the search decided
        better = improve(program, rules, found, steps)
        if better is not found:
            program.load(data)
            way = rules.settled(better.x, program.lower, program.upper)
            program.bound(*way)
            value = program.run()
            if value is None or value > found.value:
                return found._replace(gap=better.gap + found.value - better.value)
            better = better._replace(x=program.x.copy(), value=value)
        return better

    def _program(self, shape: Shape) -> Program:
        program = self._programs.pop(shape, None)
        if program is None:
            program = make_program(write_charge_model(shape), self.meter)
        self._programs[shape] = program
        if len(self._programs) > SHAPES_KEPT:
            self._programs.popitem(last=False)
        return program


class _EnoughError(Exception):
    """The work is spent, and the search has found nothing yet."""


class _Counted:
    """Rules that end the search where it has spent its work before it found anything."""

    def __init__(self, rules: ScheduleRules, program: Program, work: int) -> None:
        self.orders, self._work = rules.orders, work
        self._rules, self._program, self._found = rules, program, False

    def broken(self, x: Array, lower: Array, upper: Array, order: int) -> Choice | None:
        """As the rules say."""
        choice = self._rules.broken(x, lower, upper, order)
        self._found = self._found or choice is None
        if not self._found and self._program.work > self._work:
            raise _EnoughError
        return choice


def _searched(program: Program, data: Data, rules: ScheduleRules, slots: int) -> Searched:
    """What is decided in halves, where that is good enough; what the search finds otherwise."""
    quick, work = _in_halves(program, rules), WORK * LONG_SLOTS // max(slots, LONG_SLOTS)
    budget = Budget(0.02, GOOD, ENOUGH, work, work)
    if quick is not None and quick.gap <= GOOD:
        return quick
    guess = None if quick is None else Way(np.arange(len(quick.x)), quick.lower, quick.upper)
    program.load(data)
    try:
        found = search(program, _Counted(rules, program, work), budget, guess)
    except _EnoughError:
        if quick is None:
            program.load(data)
            return search(program, rules, budget)
        return quick
    if quick is not None and quick.value < found.value:
        return quick._replace(gap=max(0.0, found.gap - found.value + quick.value))
    return found


def _in_halves(program: Program, rules: ScheduleRules) -> Searched | None:
    """A solution that breaks no rule, by deciding half of what is broken at a time; or none."""
    root = value = program.run()
    for rounds in range(ROUNDS):
        if root is None or value is None:
            return None
        way = rules.likely(
            program.x, program.lower, program.upper, all_ways=rounds >= PATIENT_ROUNDS
        )
        if way is None:
            bounds = (program.lower.copy(), program.upper.copy())
            return Searched(program.x.copy(), *bounds, value, value - root, rounds)
        before = (np.arange(len(program.x)), program.lower.copy(), program.upper.copy())
        choice = rules.broken(program.x, program.lower, program.upper, 0)
        for one in (way, *(choice.ways if choice is not None else ())):
            program.bound(*one)
            value = program.run()
            if value is not None:
                break
            program.bound(*before)  # too much at once: then one decision alone
    return None


def _wished(case: Case, columns: dict[str, slice], x: Array) -> float:
    """What of the cost are preferences."""
    wish, total = preferences(case), 0.0
    for name, weight in wish.items():
        if name in ("buy", "sell"):
            total += float(weight @ x[columns[name]])
        elif name == "peak":
            peaks = [x[columns[one]][0] for one in ("peak_in", "peak_out") if one in columns]
            total += float(weight[0]) * float(sum(peaks))
        else:
            total -= float(weight @ (x[columns[name]] + x[columns[f"d{name[1:]}"]]))
    return total


def answer_of(case: Case, columns: dict[str, slice], x: Array) -> ChargeAnswer:
    """The solution in evcc's words: rounded, states and grid flows worked out anew from it."""
    request, n = case.request, case.slots
    flows = np.zeros(n)
    up_only, down_only = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    batteries = []
    value = 0.0
    for k, store in enumerate(case.stores):
        battery = store.battery
        c = _clean(x[columns[f"c{k}"]][:n], store.charge_most[:n])
        d = _clean(x[columns[f"d{k}"]][:n], store.discharge_most[:n])
        c, d = np.where(c >= d, c, 0.0), np.where(c >= d, 0.0, d)
        s = battery.s_initial + np.cumsum(battery.eta_c * c - d / battery.eta_d)
        s = np.round(s, DIGITS)
        for level in (battery.s_max, battery.s_min, 0.0):
            s = np.where(np.abs(s - level) < SNAP_WH, level, s)
        flows += c - d
        if not battery.charge_from_grid:
            up_only |= c > 0
        if not battery.discharge_to_grid:
            down_only |= d > 0
        value += (s[-1] - s[0]) * battery.p_a
        batteries.append(BatteryAnswer(_told(c), _told(d), tuple(s.tolist())))
    total = np.array(request.gt) - np.array(request.ft) + flows
    total = np.where(np.abs(total) < SETTLED_WH, 0.0, np.round(total, DIGITS))
    up = (total <= 0) & (up_only | ((total < 0) & ~down_only))
    return _with_grid(case, total, up, tuple(batteries), value)


def _with_grid(
    case: Case,
    total: Array,
    up: Bools,
    batteries: tuple[BatteryAnswer, ...],
    value: float,
) -> ChargeAnswer:
    request, n = case.request, case.slots
    hours = case.hours[:n]
    bought, sold = np.maximum(0.0, total), np.maximum(0.0, -total)
    within, kept = bought, sold
    if request.p_max_imp is not None:
        within = np.minimum(bought, request.p_max_imp * hours)
    if request.p_max_exp is not None:
        kept = np.minimum(sold, request.p_max_exp * hours)
    over, lost = _over(bought - within), _over(sold - kept)
    value += float(kept @ np.array(request.p_e) - (within + over) @ np.array(request.p_n))
    if request.has_rate:
        peak = max((one / h for one, h in zip(over, hours, strict=True) if h > 0), default=0.0)
        value -= (request.prc_p_exc_imp or 0.0) * float(peak)
        within = within + over
    up = up | (kept > 0)
    return ChargeAnswer(
        status="Optimal",
        objective_value=round(float(value), 9),
        limit_violations=LimitViolations(bool((over > 0).any()), bool((lost > 0).any())),
        batteries=batteries,
        grid_import=_told(within),
        grid_export=_told(kept),
        flow_direction=tuple(map(int, up)),
        grid_import_overshoot=_told(over) if request.p_max_imp is not None else (),
        grid_export_overshoot=_told(lost) if request.p_max_exp is not None else (),
    )


def _clean(kwh: Array, most: Array) -> Array:
    """In Wh, without what only the solver's tolerance is in."""
    bounded = np.where(kwh > CLEAR, np.minimum(kwh, most), 0.0)
    bounded = np.where(np.abs(bounded - most) < CLEAR, most, bounded)
    return np.round(bounded * 1e3, DIGITS)


def _over(wh: Array) -> Array:
    """What is beyond a limit by more than rounding."""
    return np.where(wh > SNAP_WH, wh, 0.0)


def _told(values: Array) -> tuple[float, ...]:
    return tuple(np.round(values, DIGITS).tolist())
