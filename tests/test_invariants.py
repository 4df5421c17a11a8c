"""Invariants of the sources, and of the tests themselves."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest

from engine.clock import VirtualClock
from engine.values import Why
from engine.words import render
from tests.make_config import PRIVATE
from web.app import create_app
from web.feed import Window

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("engine", "actors", "sim", "web")
SOURCES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
TESTS = sorted((ROOT / "tests").glob("*.py"))


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


# --- nothing is shared, nothing is addressed by name ----------------------------------------------


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


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_inv_175_no_attribute_is_looked_up_by_a_name_from_outside(path: Path) -> None:
    """`getattr` with a computed name stands only where our own types name the fields."""
    own_fields = {
        "engine/config_walk.py", "engine/messages.py", "engine/actor.py", "actors/state_store.py",
        "web/status.py", "web/feed.py", "web/errors.py", "sim/scenario_files.py",
        "engine/evcc_json.py", "engine/config.py", "sim/compiled.py", "sim/evcc_api_loadpoints.py",
        "sim/evcc_people.py", "sim/evcc_process.py", "sim/twin_trace.py",
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
    "engine/guard.py",  # a process of its own: when the controller was heard last
    "tests/test_guard.py",  # the same
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
    | {*range(40, 44), 49, 56, 61, 62, 110, 111, 112, 185, 188}
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
