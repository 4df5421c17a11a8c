"""The architecture, held by tests: who may import whom, what is banned, how big things get."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actors import CAST
from engine.actor import Actor, Endpoint, Port, _members
from engine.messages import MESSAGES, Message

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("engine", "actors", "sim", "web")
FRONT_DOOR = "engine/__main__.py"
MAY_IMPORT = {
    "engine": set(),
    "actors": {"engine"},
    "sim": {"engine", "actors"},
    "web": {"engine"},
}
# each third-party package has its rooms; one that is not named here is not ours to use
PACKAGES = {
    "pykka": ("engine/steps.py", "engine/threads.py"),
    "msgspec": ("engine", "actors", "sim", "web"),
    "numpy": ("actors", "sim"),
    "scipy": ("actors/planner", "actors/charge"),
    "cvxpy": ("actors/planner", "actors/charge"),
    "highspy": ("actors/planner", "actors/charge", "sim/bench_plan.py"),
    "pulp": ("sim/bench_schedule.py",),
    "gymnasium": ("sim",),
    "flask": ("web",),
    "waitress": ("web",),
    "werkzeug": ("web",),
    "yaml": ("engine/config", "sim/scenario_files.py"),
    "httpx": ("engine",),
    "websockets": ("engine", "sim/evcc_server.py"),
    "click": (FRONT_DOOR, "engine/shell.py", "sim/commands.py"),
    "matplotlib": ("sim/twin_plot.py",),
    "rich": ("engine/progress.py",),
    "babel": ("engine/words",),
    "platformdirs": ("engine/config",),
}
BANNED_IN_ACTORS = {
    "time", "threading", "random", "uuid", "socket", "subprocess", "os", "io", "asyncio", "queue",
    "logging",
}  # fmt: skip
BANNED_CALLS_IN_ACTORS = {"open", "print", "input", "now", "utcnow", "today", "sleep", "ask",
                          "proxy", "default_rng", "seed"}  # fmt: skip
BROAD_EXCEPT_ALLOWED = re.compile(r"engine/(threads|steps|evcc\w*|cars|__main__)\.py")
LINES_MAX = 400
FUNCTION_LINES_MAX = 60


def sources(*rooms: str) -> list[Path]:
    return sorted(path for room in rooms for path in (ROOT / room).rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


ALL = sources(*ROOMS)
each_source = pytest.mark.parametrize("path", ALL, ids=name_of)


@each_source
def test_rooms_import_only_what_they_may(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    if name_of(path) == FRONT_DOOR:
        return
    wrong = [
        name
        for name in imports(tree_of(path))
        if name.split(".")[0] in ROOMS
        and name.split(".")[0] != room
        and name.split(".")[0] not in MAY_IMPORT[room]
    ]
    assert not wrong, f"{name_of(path)} imports {wrong}; {room} may import {MAY_IMPORT[room]}"


@each_source
def test_each_package_is_used_in_its_room_only(path: Path) -> None:
    wrong = []
    for name in imports(tree_of(path)):
        package = name.split(".")[0]
        if package in ROOMS or package in sys.stdlib_module_names:
            continue
        if not name_of(path).startswith(PACKAGES.get(package, ())):
            wrong.append(name)
    assert not wrong, f"{name_of(path)} imports {wrong}: add a room in PACKAGES or do without"


def test_nobody_imports_the_front_door() -> None:
    for path in [*ALL, *sources("tests")]:
        if path.name == "test_tidy.py" or path.name.startswith(("test_cli", "make_cli")):
            continue
        assert "engine.__main__" not in set(imports(tree_of(path))), name_of(path)


@pytest.mark.parametrize("path", sources("actors"), ids=name_of)
def test_actors_touch_no_clock_no_chance_and_no_world(path: Path) -> None:
    tree = tree_of(path)
    wrong = [name for name in imports(tree) if name.split(".")[0] in BANNED_IN_ACTORS]
    if not name_of(path).startswith("actors/planner"):  # its solver seconds are metrics only
        assert not wrong, f"{name_of(path)} imports {wrong}"
    else:
        assert set(wrong) <= {"time", "threading"}, f"{name_of(path)} imports {wrong}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else None
            called = node.func.id if isinstance(node.func, ast.Name) else called
            assert called not in BANNED_CALLS_IN_ACTORS, f"{name_of(path)}:{node.lineno} {called}("
        if isinstance(node, ast.Name):
            assert node.id != "ActorRegistry", f"{name_of(path)}:{node.lineno}"


@each_source
def test_broad_excepts_stand_in_ports_and_runtimes_only(path: Path) -> None:
    if BROAD_EXCEPT_ALLOWED.fullmatch(name_of(path)):
        return
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else "everything"
            broad = re.search(r"\b(Exception|BaseException|everything)\b", caught)
            reraises = any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
            assert not broad or reraises, f"{name_of(path)}:{node.lineno} catches {caught}"


@pytest.mark.parametrize("path", [*ALL, *sources("tests")], ids=name_of)
def test_rooms_are_small(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= LINES_MAX, f"{name_of(path)} has {lines} lines (at most {LINES_MAX})"
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = (node.end_lineno or node.lineno) - node.lineno + 1
            assert size <= FUNCTION_LINES_MAX, f"{name_of(path)}:{node.lineno} {node.name} {size}"


@each_source
def test_no_unfinished_marks_and_no_print(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b|raise NotImplementedError\(\)", text)
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "print", f"{name_of(path)}:{node.lineno} prints"


@each_source
def test_modules_and_public_things_say_what_they_are(path: Path) -> None:
    tree = tree_of(path)
    assert ast.get_docstring(tree), f"{name_of(path)} has no docstring"
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{name_of(path)}:{node.lineno} {node.name}"


# --- the wiring ----------------------------------------------------------------------------------


def endpoints() -> list[type[Endpoint[Any, Any]]]:
    """Every actor and port of the project."""
    for path in ALL:
        module = name_of(path)[:-3].replace("/", ".").removesuffix(".__init__")
        if module != "engine.__main__":
            importlib.import_module(module)

    def below(kind: type[Any]) -> Iterator[type[Any]]:
        for sub in kind.__subclasses__():
            yield sub
            yield from below(sub)

    return sorted(
        (
            kind
            for kind in below(Endpoint)
            if kind not in (Actor, Port) and kind.__module__.split(".")[0] in ROOMS
        ),
        key=lambda kind: kind.__name__,
    )


ENDPOINTS = endpoints()
SAID_BY_RUNTIME = {"Tick", "ConfigRead", "StopAsked", "ActorFailed", "HandsOff", "EvccNudged",
                   "EstateRead"}  # fmt: skip
SAID_BY_AGENT = {"CorrectionAdvised"}  # its chair is empty: in training the environment sits there


@pytest.mark.parametrize("kind", ENDPOINTS, ids=lambda kind: kind.__name__)
def test_headers_agree_with_on(kind: type[Endpoint[Any, Any]]) -> None:
    hints = typing.get_type_hints(kind.on)
    returned = hints.pop("return")
    (heard,) = hints.values()
    assert set(_members(heard)) == set(kind.hears), f"{kind.__name__} hears"
    assert set(_members(typing.get_args(returned)[0])) == set(kind.says), f"{kind.__name__} says"
    source = inspect.getsource(kind.on)
    if len(kind.hears) > 1 and issubclass(kind, Actor):
        assert "assert_never" in source or "_handle" in source, f"{kind.__name__}.on forgets cases"


def test_every_message_is_said_by_someone_and_heard_by_someone() -> None:
    said = {message for kind in ENDPOINTS for message in kind.says}
    heard = {message for kind in ENDPOINTS for message in kind.hears}
    unsaid = {m.__name__ for m in MESSAGES} - {m.__name__ for m in said} - SAID_BY_RUNTIME
    unsaid -= SAID_BY_AGENT
    unheard = {m.__name__ for m in MESSAGES} - {m.__name__ for m in heard}
    assert not unsaid, f"nobody says {sorted(unsaid)}"
    assert not unheard, f"nobody hears {sorted(unheard)}"


def test_inv_40_only_the_actuator_orders() -> None:
    for message in ("Order", "BatteryModeStands", "OwnershipChanged"):
        sayers = [kind.__name__ for kind in ENDPOINTS if message in {m.__name__ for m in kind.says}]
        assert sayers == ["Actuator"], (message, sayers)


def test_the_cast_is_complete() -> None:
    minds = {kind for kind in ENDPOINTS if issubclass(kind, Actor)}
    assert minds == set(CAST)
    for mind in CAST:
        mind()  # born without arguments: the configuration is heard


def names(kinds: list[type[Endpoint[Any, Any]]], message: type[Message], half: str) -> str:
    found = [kind.__name__ for kind in kinds if message in getattr(kind, half)]
    if half == "says" and message.__name__ in SAID_BY_RUNTIME:
        found.insert(0, "*engine*")
    if half == "says" and message.__name__ in SAID_BY_AGENT:
        found.insert(0, "*the agent's chair*")
    return ", ".join(found)


def message_table() -> str:
    """The table of docs/architecture.md."""
    rows = ["| Message | said by | heard by |", "| --- | --- | --- |"]
    rows += [
        f"| `{m.__name__}` | {names(ENDPOINTS, m, 'says')} | {names(ENDPOINTS, m, 'hears')} |"
        for m in MESSAGES
    ]
    return "\n".join(rows)


def test_the_message_table_in_the_architecture_is_true() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    start, end = "<!-- messages -->\n", "\n<!-- /messages -->"
    table = text.split(start)[1].split(end)[0]
    assert table == message_table(), (
        "run `.venv/bin/python -m tests.test_tidy` to write the message table"
    )


# --- the front door stays light ------------------------------------------------------------------


def modules_after(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(done.stdout.split())


def test_help_imports_nothing_heavy() -> None:
    loaded = modules_after(
        "from click.testing import CliRunner\nfrom engine.__main__ import main\n"
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0"
    )
    heavy = {"cvxpy", "numpy", "flask", "gymnasium", "torch", "httpx", "rich", "scipy", "babel"}
    assert not heavy & loaded, heavy & loaded


def test_the_live_controller_needs_neither_gymnasium_nor_torch() -> None:
    loaded = modules_after(
        "import actors, engine.config, engine.evcc_http, engine.home_ports, engine.live\n"
        "import engine.logs, web.app, web.feed, web.server"
    )  # what `run` and `live` of the front door import
    assert not {"gymnasium", "torch", "numba", "sim"} & loaded
    assert "cvxpy" not in loaded  # two seconds of import, not before the first plan


if __name__ == "__main__":
    file = ROOT / "docs" / "architecture.md"
    head, rest = file.read_text(encoding="utf-8").split("<!-- messages -->\n")
    tail = rest.split("\n<!-- /messages -->")[1]
    file.write_text(
        f"{head}<!-- messages -->\n{message_table()}\n<!-- /messages -->{tail}", encoding="utf-8"
    )
