"""Invariants of the whole: of the running ring, of the sources, and of the tests themselves."""

import ast
import re
import subprocess
import sys
import typing
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors import cast
from engine.actor import Actor, Port
from engine.clock import VirtualClock
from engine.evcc import BatteryKeeper, EvccReader, EvccWriter
from engine.messages import (
    BatteryModeStands,
    CarPollDue,
    DriverAsked,
    EvccNudged,
    EvccRead,
    EvccReadDue,
    Message,
    Order,
    PlanMade,
    RatesChanged,
    StateChanged,
    Tick,
    TurnsGiven,
    VehiclePlugged,
)
from engine.settings import CarSettings
from engine.slots import slot_of
from engine.steps import StepSystem
from engine.system import routes_of
from engine.threads import ThreadSystem
from engine.values import BatteryMode, Why
from engine.words import render
from sim.evcc import PretendEvcc
from sim.run import play, pretend_home
from sim.scenario import Scenario, SimBattery, SimCar, SimEvent
from sim.world import SeededWorld
from tests.make_ring import Story, Told, home, hours, local, one_at_a_time, told
from tests.test_config import PRIVATE
from web.app import create_app
from web.feed import Window

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("engine", "actors", "sim", "web")
SOURCES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
TESTS = sorted((ROOT / "tests").glob("*.py"))
CHEAP_NIGHT = (*[0.08] * 7, *[0.30] * 17)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def calls(tree: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    """Calls with what is called as text: `datetime.now`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node, ast.unparse(node.func)


# --- one story of the ring, seen from several sides -----------------------------------------------

ARRIVES = local("2026-01-13", "12:00")


def swap_scenario() -> Scenario:
    """A car comes to the only wallbox at noon and is done soon; another one waits for its turn.

    The tariff has a hole of an hour around the hand-over.
    """
    return home(
        local("2026-01-13", "11:45"),
        tick_s=60,
        battery=SimBattery(capacity_kwh=10, soc_pct=60),
        wishes=(
            CarSettings(name="compact", target_soc_pct=80, departure="12:45", source="http"),
            CarSettings(name="family", target_soc_pct=80, departure="18:00", source="http"),
        ),
        cars=(
            SimCar(name="compact", capacity_kwh=50, soc_pct=77),
            SimCar(name="family", capacity_kwh=70, soc_pct=40),
        ),
        events=(
            SimEvent(at_h=0.25, kind="arrive", car="compact", loadpoint="carport"),
            SimEvent(at_h=0.25, kind="tariff_hole", hours=1),
        ),
    )


@pytest.fixture(scope="module")
def swap() -> Story:
    return told(swap_scenario(), "steps", 1 / 24)


def test_inv_22_every_plan_is_what_evcc_does_in_the_same_cycle(swap: Story) -> None:
    """Also those made within a slot, on news: nothing is planned in vain."""
    on_news = 0
    for made in swap.told.said(PlanMade):
        slot = made.plan.slot_at(made.at)
        assert slot is not None
        frame = swap.frame(made.at)
        newest = [one for one in swap.told.said(PlanMade) if one.at == made.at][-1]
        if made is newest and slot.cars:
            assert frame.modes["carport"] == slot.cars[0].mode.value, made.at
        on_news += made.at != slot_of(made.at)
    assert on_news
    modes = [frame.modes["carport"] for frame in swap.frames]
    assert len(set(modes)) > 1  # it did change what is done


def test_inv_110_the_first_reading_is_before_the_first_decision(swap: Story) -> None:
    lines = swap.told.lines
    read = next(k for k, (_, heard, _) in enumerate(lines) if isinstance(heard, EvccRead))
    decided = next(
        k
        for k, (_, _, said) in enumerate(lines)
        if any(isinstance(one, PlanMade | Order) for one in said)
    )
    assert read < decided


def test_inv_82_a_plugged_in_car_is_never_seen_as_gone(swap: Story) -> None:
    """Whatever is under way (polls, readings, a new plan): no state says `disconnected`."""
    states = [one.state for one in swap.told.said(StateChanged)]
    boxes = [box for state in states if state.site for box in state.site.loadpoints]
    first = next(k for k, box in enumerate(boxes) if box.connected)
    assert 0 < first < len(boxes) - 60
    assert all(box.connected for box in boxes[first:])
    known = [state.vehicle("compact") for state in states]
    places = [car.loadpoint for car in known if car is not None]
    assert set(places[places.index("carport") :]) == {"carport"}
    assert len(swap.told.said(CarPollDue)) > 2  # and there were updates under way


def test_inv_83_a_plug_in_is_a_poll_in_the_cycle_that_sees_the_car(swap: Story) -> None:
    seen = [one.at for one in swap.told.said(VehiclePlugged) if one.vehicle == "compact"]
    polled = [one.at for one in swap.told.said(CarPollDue) if one.vehicle == "compact"]
    assert seen
    assert seen[0] in polled
    assert seen[0] <= ARRIVES + timedelta(seconds=60 + 30)


def test_inv_86_inv_88_a_tariff_gap_does_not_delay_the_hand_over(swap: Story) -> None:
    rates = swap.told.said(RatesChanged)
    now = ARRIVES + timedelta(minutes=15)
    assert rates[-1].import_eur_kwh.at(now) is None  # the gap is there
    assert rates[-1].import_eur_kwh.at(now + hours(2)) is not None
    asked = [one for one in swap.told.said(DriverAsked) if one.vehicle == "family"]
    assert asked
    complete = [
        one.at
        for one in swap.told.said(TurnsGiven)
        if [turn.why.code for turn in one.turns] == ["turn_complete"]
    ]
    assert asked[0].at == complete[0]
    full_pct = swap.frames[-1].cars_pct["compact"]
    assert full_pct >= 79.5
    charging = [frame.at for frame in swap.frames if frame.cars_pct["compact"] < full_pct]
    assert complete[0] - charging[-1] <= timedelta(minutes=2)  # evcc is read once a minute
    assert slot_of(complete[0]) < ARRIVES + hours(1)  # within the gap


@pytest.mark.parametrize("runtime", ["steps", "threads"])
def test_inv_48_inv_54_a_release_is_sent_once_and_idle_hours_cause_no_writes(runtime: str) -> None:
    start, dear = local("2026-01-13", "05:30"), local("2026-01-13", "07:00")
    scenario = home(
        start, hourly=CHEAP_NIGHT, battery=SimBattery(capacity_kwh=10, soc_pct=80), pv_kwp=0
    )
    story = told(scenario, runtime, 4 / 24)
    end = start + hours(4)
    night = [w for w in story.writes() if w.at < dear]
    assert {w.path for w in night} <= {"/api/batterymode/charge", "/api/batterymode/hold"}
    at_seven = [(w.method, w.path) for w in story.writes() if w.at == dear]
    assert at_seven[-2:] == [("POST", "/api/batterymode/normal"), ("DELETE", "/api/batterymode")]
    assert [w for w in story.writes() if dear < w.at < end] == []


# --- a component that fails -----------------------------------------------------------------------


def failing_once(kind: type[Actor[Any, Any]], times: list[int]) -> Actor[Any, Any]:
    """That actor, but its third message makes it raise. It keeps its name in the routes."""

    class Shaky(kind):  # type: ignore[valid-type, misc]
        name = kind.__name__

        def on(self, message: Message) -> Iterator[Message]:
            times.append(1)
            if len(times) == 3:
                raise RuntimeError("it fell over")
            yield from super().on(message)

    Shaky.hears, Shaky.says = kind.hears, kind.says
    return Shaky()


@pytest.mark.parametrize(
    "name", ["VehicleMonitor", "Forecaster", "Sequencer", "Optimizer", "Actuator"]
)
def test_inv_111_when_one_falls_the_others_go_on_and_it_comes_back(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    scenario = home(
        local("2026-01-13", "02:00"),
        hourly=CHEAP_NIGHT,
        battery=SimBattery(capacity_kwh=10, soc_pct=30),
    )
    days, recorder = 0.75 / 24, Told()
    system = ThreadSystem(VirtualClock(scenario.sim.start), recorder)
    ring = pretend_home(scenario, 1, days, system.clock)
    one_at_a_time(ring.pretend)
    window = Window(system.clock)
    ring.ports.append(window)
    minds = [failing_once(type(mind), []) if mind.name == name else mind for mind in cast()]
    ticks = play(system, scenario, days, ring, minds)
    assert not system.hands_off
    assert system.failures() == {name: 1}
    system.stop()
    # each tick was read and became a state; plans and battery modes came in the slots after it
    assert len(recorder.heard(EvccRead, "Collector")) == ticks
    last = scenario.sim.start + hours(0.5)
    assert any(one.at >= last for one in recorder.said(PlanMade))
    assert any(w.at >= last and "batterymode/charge" in w.path for w in ring.pretend.writes)
    shown = [why for one in recorder.said(StateChanged) for why in one.state.troubles]
    assert {dict(why.numbers)["actor"] for why in shown if why.code == "actor_failed"} == {name}
    assert f"{name} failed" in caplog.text


# --- every setting has its real meaning -----------------------------------------------------------


@pytest.fixture
def garage() -> tuple[PretendEvcc, VirtualClock, EvccReader, EvccWriter, BatteryKeeper]:
    """A home at night with a half-full battery and a plugged-in car, and our ports to its evcc."""
    scenario = home(
        local("2026-01-13", "20:00"),
        battery=SimBattery(capacity_kwh=10, soc_pct=50),
        cars=(SimCar(name="compact", capacity_kwh=50, soc_pct=40, loadpoint="carport"),),
    )
    clock = VirtualClock(scenario.sim.start)
    pretend = PretendEvcc(scenario, SeededWorld(scenario, 1, 1), clock)
    return (
        pretend,
        clock,
        EvccReader(pretend, clock),
        EvccWriter(pretend, clock),
        BatteryKeeper(pretend, clock),
    )


def live_on(
    pretend: PretendEvcc, clock: VirtualClock, port: Port[Any, Any], says: Any, minutes: int
) -> None:
    """Let time pass; `says(at)` is said to the port every 10 s."""
    for _ in range(minutes * 6):
        clock.move_to(clock.now() + timedelta(seconds=10))
        wake = port.next_wake()
        if wake is not None and wake <= clock.now():
            list(port.wake(clock.now()))
        if says is not None:
            list(port.on(says(clock.now())))
    pretend.advance(clock.now())


@pytest.mark.parametrize(
    ("mode", "low_kwh", "high_kwh"),
    [
        (BatteryMode.HOLD, -0.01, 0.01),
        (BatteryMode.CHARGE, 1.0, 3.0),
        (BatteryMode.NORMAL, -3.0, -0.05),
        (None, -3.0, -0.05),
    ],
)
def test_inv_52_battery_modes_do_what_they_say_and_a_release_lets_it_serve(
    garage: Any, mode: BatteryMode | None, low_kwh: float, high_kwh: float
) -> None:
    pretend, clock, reader, _, keeper = garage
    (read,) = reader.on(EvccReadDue(clock.now()))
    list(keeper.on(read))

    def held(at: datetime) -> BatteryModeStands:
        return BatteryModeStands(at, BatteryMode.HOLD, Why("battery_keeps"))

    live_on(pretend, clock, keeper, held, 5)
    before_kwh = pretend.battery_kwh
    live_on(pretend, clock, keeper, lambda at: BatteryModeStands(at, mode, Why("x")), 30)
    assert low_kwh <= pretend.battery_kwh - before_kwh <= high_kwh
    # what is no longer said is let go: the battery serves the house again
    live_on(pretend, clock, keeper, None, 3)
    before_kwh = pretend.battery_kwh
    live_on(pretend, clock, keeper, None, 20)
    assert pretend.battery_kwh < before_kwh - 0.03


@pytest.mark.parametrize(
    ("orders", "gained_pct"),
    [
        ([("mode", "off")], 0.0),
        ([("mode", "pv")], 0.0),
        ([("mode", "now")], 100 * 0.9 * 11 * 0.5 / 50),
        ([("limit_soc", 45.0), ("mode", "now")], 5.0),
        ([("limit_soc", 45.0), ("limit_soc", 0.0), ("mode", "now")], 100 * 0.9 * 11 * 0.5 / 50),
    ],
)
def test_inv_52_charge_modes_and_limits_do_what_they_say(
    garage: Any, orders: list[tuple[str, str | float]], gained_pct: float
) -> None:
    pretend, clock, reader, writer, _ = garage
    (read,) = reader.on(EvccReadDue(clock.now()))
    list(writer.on(read))
    for number, (setting, value) in enumerate(orders):
        said = list(writer.on(Order(clock.now(), number, "carport", setting, value, Why("x"))))
        assert [type(one).__name__ for one in said] == ["OrderConfirmed"]
    live_on(pretend, clock, writer, None, 30)
    assert pretend.car_soc_pct("compact") - 40 == pytest.approx(gained_pct, abs=0.6)


# --- nothing is shared, nothing is addressed by name ----------------------------------------------

MUTABLE = (list, dict, set, bytearray)


def inside(value: object) -> Iterator[object]:
    """The value and everything in it."""
    yield value
    if isinstance(value, msgspec.Struct):
        assert value.__struct_config__.frozen, type(value)
        for field in value.__struct_fields__:
            yield from inside(getattr(value, field))
    elif isinstance(value, tuple):
        for one in value:
            yield from inside(one)


def test_inv_109_nothing_that_can_change_is_shared_between_actors(swap: Story) -> None:
    """What no one can change needs no lock: whatever was said, heard or remembered is frozen."""
    kinds: set[type[Message]] = set()
    for _, heard, said in swap.told.lines:
        for message in (heard, *said):
            if type(message) in kinds and not isinstance(message, StateChanged):
                continue
            kinds.add(type(message))
            for one in inside(message):
                assert not isinstance(one, MUTABLE), (type(message), one)
    assert len(kinds) > 15
    for one in inside(swap.window.snapshot):
        assert not isinstance(one, MUTABLE)


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_inv_109_no_module_holds_state_that_threads_could_share(path: Path) -> None:
    for node in ast.walk(tree_of(path)):
        assert not isinstance(node, ast.Global), f"{name_of(path)}:{node.lineno}"
    if path.parent.name == "actors":
        for node in tree_of(path).body:
            value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
            mutable = isinstance(value, ast.List | ast.Set | ast.ListComp) or (
                isinstance(value, ast.Call)
                and ast.unparse(value.func) in {"list", "dict", "set", "defaultdict", "deque"}
            )
            assert not mutable, f"{name_of(path)}:{node.lineno}"


class Listener(Port[EvccNudged | Tick, typing.Never]):
    """Has methods that nobody outside may reach."""

    def __init__(self) -> None:
        self.heard: list[Message] = []

    def on(self, message: EvccNudged | Tick) -> Iterator[typing.Never]:
        self.heard.append(message)
        yield from ()


class _Twin(Message, frozen=True, tag="Tick"):
    """Has the tag of a message, and is none."""


def test_inv_175_messages_are_routed_by_type_alone() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    system, listener = StepSystem(start), Listener()
    system.enter([listener])
    system.publish(_Twin(start))
    system.publish(EvccNudged(start, key="close"))
    system.publish(EvccNudged(start, key="__init__"))
    system.settle()
    assert listener.heard == [EvccNudged(start, "close"), EvccNudged(start, "__init__")]
    assert all(isinstance(kind, type) for kind in routes_of([listener, *cast()]))
    system.stop()
    decoder = msgspec.json.Decoder(typing.Union[tuple(routes_of(cast()))])  # noqa: UP007
    for text in (b'{"type":"on","at":"2026-01-01T00:00:00Z"}', b'{"type":"__class__"}', b"{}"):
        with pytest.raises(msgspec.ValidationError):
            decoder.decode(text)


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_inv_175_no_attribute_is_looked_up_by_a_name_from_outside(path: Path) -> None:
    """`getattr` with a computed name stands only where our own types name the fields."""
    own_fields = {
        "engine/config_walk.py", "engine/messages.py", "engine/actor.py", "actors/state_store.py",
        "web/status.py", "web/feed.py", "web/errors.py", "sim/scenario_files.py",
        "engine/evcc_json.py", "engine/config.py",
    }  # fmt: skip
    for node, called in calls(tree_of(path)):
        if called in {"getattr", "setattr"} and not isinstance(node.args[1], ast.Constant):
            assert name_of(path) in own_fields, f"{name_of(path)}:{node.lineno}"
        assert called not in {"eval", "exec", "__import__", "globals", "pickle.loads"}, (
            f"{name_of(path)}:{node.lineno}"
        )


def test_inv_175_the_window_calls_nothing_that_a_request_names() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    client = create_app(Window(VirtualClock(start)), VirtualClock(start)).test_client()
    for path in ("/on", "/wake", "/nudge", "/subscribe", "/Optimizer", "/status/on", "/__init__"):
        assert client.get(path).status_code == 404, path
    assert client.post("/status", json={"type": "StopAsked"}).status_code == 405


# --- what is kept ---------------------------------------------------------------------------------


def types_of(value: object) -> object:
    """The shape of a value: its types to the bottom."""
    if isinstance(value, msgspec.Struct):
        fields = value.__struct_fields__
        return type(value), tuple(types_of(getattr(value, field)) for field in fields)
    if isinstance(value, tuple):
        return tuple(types_of(one) for one in value)
    # whole numbers are numbers: a hand-made 80 comes back as 80.0
    return float if type(value) is int else type(value)


def test_inv_115_memories_reload_as_what_they_were_and_can_be_used(swap: Story) -> None:
    """Every actor, saved and loaded in the middle of a story, goes on as if nothing had been."""
    lines = swap.told.lines
    middle = len(lines) // 2
    seats = {mind.name: mind for mind in cast()}
    for actor, heard, _ in lines[:middle]:
        list(seats[actor].on(heard))
    loaded = {mind.name: mind for mind in cast()}
    for name, mind in loaded.items():
        mind.restore(seats[name].snapshot())
        assert mind.memory == seats[name].memory, name
        assert types_of(mind.memory) == types_of(seats[name].memory), name
        kept = mind.snapshot()
        mind.restore(kept)
        assert mind.snapshot() == kept, name
    for actor, heard, said in lines[middle:]:
        again = tuple(loaded[actor].on(heard))
        assert again == said, (actor, heard)


def test_inv_115_messages_reload_as_what_they_were(swap: Story) -> None:
    kinds = {type(one) for _, heard, said in swap.told.lines for one in (heard, *said)}
    decoder = msgspec.json.Decoder(typing.Union[tuple(kinds)])  # noqa: UP007
    for _, heard, said in swap.told.lines[::7]:
        for message in (heard, *said):
            again = decoder.decode(msgspec.json.encode(message))
            assert again == message
            assert types_of(again) == types_of(message)


WRITES_FILES = re.compile(r"(^|\.)(write_text|write_bytes|fdopen)$")


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def writes_a_file(node: ast.Call, called: str) -> bool:
    if WRITES_FILES.search(called):
        return True
    if called not in {"open", "io.open"} and not called.endswith(".open"):
        return False
    texts = [one.value for one in node.args if isinstance(one, ast.Constant)]
    texts += [one.value.value for one in node.keywords if isinstance(one.value, ast.Constant)]
    return any(isinstance(text, str) and re.fullmatch(r"[wax]b?\+?", text) for text in texts)


def test_inv_114_every_file_that_is_kept_is_replaced_whole() -> None:
    found = set()
    for path in SOURCES:
        for function in functions(tree_of(path)):
            called = list(calls(function))
            if any(writes_a_file(node, name) for node, name in called):
                where = f"{name_of(path)}:{function.name}"
                found.add(where)
                replaced = any(name == "os.replace" for _, name in called)
                assert replaced, where
    assert "engine/cars.py:_replace" in found
    journal = (ROOT / "engine/journal.py").read_text(encoding="utf-8")
    assert re.search(r"journal_mode=\W*wal", journal, re.IGNORECASE)


# --- what is checked without running --------------------------------------------------------------

WRONG = """
from datetime import UTC, datetime
from actors.optimizer import Optimizer
from engine.messages import StateChanged
from engine.values import HomeState, Plan, Site
at = datetime(2026, 1, 1, tzinfo=UTC)
StateChanged(at, Plan)
StateChanged(at, {"soc": 50})
HomeState(revision=1)
Optimizer().decide()
Optimizer().on(at)
"""


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What mypy says, as `make check` runs it, of code that is wrong in five ways."""
    file = tmp_path_factory.mktemp("wrong") / "wrong.py"
    file.write_text(WRONG, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-error-summary", f"{file}"],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_inv_59_the_wrong_kind_of_state_fails_before_it_runs(complaints: str) -> None:
    assert re.search(r":7: error: .*\[arg-type\]", complaints), complaints
    assert re.search(r":8: error: .*\[arg-type\]", complaints), complaints
    assert re.search(r":11: error: .*\[arg-type\]", complaints), complaints


def test_inv_170_missing_fields_and_methods_fail_before_they_run(complaints: str) -> None:
    assert re.search(r":9: error: .*\[call-arg\]", complaints), complaints
    assert re.search(r":10: error: .*\[attr-defined\]", complaints), complaints


def test_inv_59_inv_170_every_room_is_checked_strictly_and_in_ci() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = project.split("[tool.mypy]")[1].split("\n[")[0]
    assert "strict = true" in section
    assert re.search(r'files = \["engine", "actors", "sim", "web"\]', section)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"^test:.*\bcheck\b", makefile, re.MULTILINE)
    assert re.search(r"^\t.*/mypy$", makefile, re.MULTILINE)
    assert "make test" in (ROOT / ".ci/run").read_text(encoding="utf-8")


# --- time zones -----------------------------------------------------------------------------------


def test_inv_118_sentences_are_local_whatever_the_zone_of_the_machine() -> None:
    code = (
        "from engine.values import Why\nfrom engine.words import render\n"
        "why = Why('evcc_silent', (('since_at', '2026-01-13T12:00:00+00:00'), ('reason', 'x')))\n"
        "print(render(why, 'en', 'Asia/Tokyo'))"
    )
    shown = set()
    for machine in ("UTC", "America/New_York"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={"TZ": machine, "PATH": ""}, capture_output=True, text=True, check=True, cwd=ROOT,
        )  # fmt: skip
        shown.add(done.stdout)
    assert len(shown) == 1
    assert "21:00" in shown.pop()
    why = Why("evcc_silent", (("since_at", "2026-07-13T12:00:00+00:00"), ("reason", "x")))
    assert "14:00" in render(why, "de", "Europe/Berlin")


# --- the tests themselves -------------------------------------------------------------------------

WALL_CLOCK = re.compile(r"(datetime\.now|datetime\.utcnow|date\.today|time\.time|datetime\.today)$")
ON_THE_WALL = {  # nothing that they say depends on the date
    "engine/clock.py",  # the clock itself
    "engine/__main__.py",  # the time at which a person enters a SoC
    "tests/make_live.py",  # a live controller: what it is asked for lies a fixed time ahead
}


@pytest.mark.parametrize("path", [*SOURCES, *TESTS], ids=name_of)
def test_inv_173_nothing_depends_on_todays_date(path: Path) -> None:
    for node, called in calls(tree_of(path)):
        wall = WALL_CLOCK.search(called) and name_of(path) not in ON_THE_WALL
        assert not wall, f"{name_of(path)}:{node.lineno} {called}"


@pytest.mark.parametrize("path", TESTS, ids=name_of)
def test_inv_173_no_test_leaves_anything_to_the_next_one(path: Path) -> None:
    """Tests in any order: what they change, pytest changes back."""
    tree = tree_of(path)
    for node in ast.walk(tree):
        assert not isinstance(node, ast.Global), f"{name_of(path)}:{node.lineno}"
        if isinstance(node, ast.Assign | ast.AugAssign | ast.Delete):
            targets = node.targets if not isinstance(node, ast.AugAssign) else [node.target]
            for target in targets:
                assert not ast.unparse(target).startswith(("os.environ", "sys.")), (
                    f"{name_of(path)}:{node.lineno}"
                )
    for node, called in calls(tree):
        assert called not in {
            "os.chdir", "os.putenv", "time.tzset", "locale.setlocale", "random.seed",
            "np.random.seed", "sys.path.insert", "sys.path.append", "os.environ.update",
        }, f"{name_of(path)}:{node.lineno} {called}"  # fmt: skip


def test_inv_173_all_tests_run_together_in_ci() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (run,) = re.findall(r"^\t\$\(BIN\)/pytest(.*)$", makefile, re.MULTILINE)
    assert not re.search(r"-k\b|-m\b|--ignore|--deselect|tests/", run)
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'testpaths = ["tests"]' in project
    assert 'filterwarnings = ["error"]' in project
    assert not re.search(r"(?m)^addopts = .*(-k|--ignore|--deselect)", project)
    marks = re.compile(r"pytest\.(mark\.)?(skip|xfail|importorskip)\b")
    for path in TESTS:
        if path.name not in {"conftest.py", Path(__file__).name}:
            assert not marks.search(path.read_text(encoding="utf-8")), name_of(path)


# --- one of each ----------------------------------------------------------------------------------

ONE_OF_EACH = {
    # concept: its only function, what a second one would look like, where else that is right
    "staleness of a car": ("actors/vehicle_records.py:is_stale", r"STALE_AFTER", ()),
    "urgency": ("actors/turns.py:_waiting", r"urgency_kw=", ()),
    "a plug-in": ("actors/collector.py:_plugs", r"yield Vehicle(Plugged|Unplugged)", ()),
    "local midnight": (
        "engine/rates.py:day_start",
        r"replace\(hour=0|\.year, \w+\.month, \w+\.day",
        ("sim/evcc_tariffs.py",),  # evcc's own, pretended
    ),
    "the slot of a time": ("engine/slots.py:slot_of", r"minute % 15|% 900\b", ()),
    "coverage": ("engine/rates.py:hours_covered", r"/ 3600, cap", ()),
    "the next departure": (
        "actors/departures.py:next_departure",
        r"combine\(",
        ("sim/local_days.py",),  # people's habits, pretended
    ),
    "quiet hours": (
        "actors/departures.py:is_quiet",
        r"quiet_start|quiet_end",
        ("engine/settings.py", "engine/config_checks.py"),  # the fields and their bounds
    ),
}


@pytest.mark.parametrize("concept", ONE_OF_EACH)
def test_inv_176_each_concept_has_one_implementation(concept: str) -> None:
    where, pattern, also = ONE_OF_EACH[concept]
    file, _, function = where.partition(":")
    homes = [
        name_of(path)
        for path in SOURCES
        for one in functions(tree_of(path))
        if one.name == function
    ]
    assert file in homes
    second = [
        name_of(path)
        for path in SOURCES
        if name_of(path) not in (file, *also)
        and re.search(pattern, path.read_text(encoding="utf-8"))
    ]
    assert second == []
    assert re.search(pattern, (ROOT / file).read_text(encoding="utf-8"))


def test_inv_176_inv_66_no_page_judges_by_itself_what_is_old() -> None:
    """The label and the colour of a car's age are the state's `stale`, nothing else."""
    scripts = list((ROOT / "web/static").glob("*.js"))
    assert any("vehicle.stale" in path.read_text(encoding="utf-8") for path in scripts)
    for path in scripts:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"measured_at\W.{0,80}[<>]", text), path.name


def test_inv_176_inv_27_nobody_guesses_a_unit_from_the_size_of_a_number() -> None:
    """Units come from the contract: no power is compared with a magic thousand."""
    magic = re.compile(r"[<>]=? ?(1000|1_000|100|50|30)(\.0)? (and|else|if|\?)")
    for path in SOURCES:
        for line in path.read_text(encoding="utf-8").splitlines():
            if re.search(r"_w\b|_kw\b|power|solar|value", line):
                assert not magic.search(line), f"{name_of(path)}: {line.strip()}"


# --- nothing private ------------------------------------------------------------------------------


def test_inv_181_nothing_that_is_shipped_holds_anything_private() -> None:
    # in Python `password: Secret` is a type, and `@click.option` no address
    addresses, password, _ = PRIVATE.pattern.partition("|password")
    assert password
    private = re.compile(addresses.replace(r"@[a-z]", r"\w@[a-z]"), re.IGNORECASE)
    shipped = [*SOURCES, *(ROOT / "docs").glob("*"), ROOT / "Makefile", ROOT / "README.md"]
    shipped += [*(ROOT / "web/static").glob("*"), ROOT / "CHANGELOG.md"]
    for path in shipped:
        if path.is_file() and path.suffix in {".py", ".md", ".yaml", ".js", ".html", ".css", ""}:
            found = private.search(path.read_text(encoding="utf-8"))
            assert not found, f"{name_of(path)}: {found}"


# --- and all of them ------------------------------------------------------------------------------

DEMANDED = (
    {1, 2, *range(4, 10), *range(13, 17), 18, 19, 22, *range(25, 31), 39, 48, *range(50, 55)}
    | {*range(58, 67), *range(80, 84), *range(86, 89), *range(108, 119), *range(146, 150)}
    | {*range(151, 156), 170, 173, 175, 176, 181, 186}
)


def test_every_invariant_of_the_issue_has_a_test() -> None:
    names = [
        function.name
        for path in TESTS
        for function in functions(tree_of(path))
        if function.name.startswith("test_")
    ]
    held = {int(number) for name in names for number in re.findall(r"(?<=inv_)\d+", name)}
    assert sorted(DEMANDED - held) == []
    assert {1, 2, 3, 6, 7, 10, 11} <= {
        int(number) for name in names for number in re.findall(r"(?<=acceptance_)\d+", name)
    }
