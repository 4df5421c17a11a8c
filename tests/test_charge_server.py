"""evcc's optimizer protocol from the outside: the mind, the two paths, the command."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from actors.charge_request import read_request
from actors.planner_solver import SolveFailedError
from actors.schedule_server import ScheduleServer
from engine.clock import VirtualClock, WallClock
from engine.journal import Journal, live_header
from engine.messages import Message, OptimizationAnswered, OptimizationAsked
from engine.settings import Settings
from engine.threads import ThreadSystem
from tests.make_charge import SCHEDULER, answered, car, request
from tests.make_status import NOW
from web.app import create_app
from web.feed import Window
from web.optimize import AT_ONCE, BODY_MOST, HEALTH, SCHEDULE, OptimizerDesk, create_optimizer_app

TOKEN = "sponsor-token-of-somebody"


def said(body: str) -> OptimizationAnswered:
    server = ScheduleServer()
    server.scheduler = SCHEDULER
    (answer,) = server.on(OptimizationAsked(NOW, id=7, body=body))
    return answer


# --- the mind -------------------------------------------------------------------------------------


def test_a_request_is_answered_with_its_schedule() -> None:
    asked = json.dumps(request(car()))
    best = SCHEDULER.solve(read_request(asked)).answer
    body = msgspec.json.encode(best).decode()
    assert said(asked) == OptimizationAnswered(NOW, id=7, outcome="answered", body=body)


def test_a_bad_request_is_answered_with_what_is_wrong() -> None:
    body = '{"message":"Input payload validation failed","details":{"batteries":"\'batteries\' is'
    body += ' a required property","time_series":"\'time_series\' is a required property"}}'
    assert said("{}") == OptimizationAnswered(NOW, id=7, outcome="refused", body=body)


def test_a_solver_that_fails_is_an_answer_and_no_failure_of_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any) -> None:
        raise SolveFailedError("Unknown")

    server = ScheduleServer()
    monkeypatch.setattr(server.scheduler, "solve", fail)
    (answer,) = server.on(OptimizationAsked(NOW, id=1, body=json.dumps(request())))
    assert (answer.outcome, answer.body) == ("failed", '{"message":"Optimization failed: Unknown"}')


def test_it_remembers_nothing() -> None:
    server = ScheduleServer()
    list(server.on(OptimizationAsked(NOW, id=1, body="{}")))
    assert server.snapshot() == b"{}"


# --- evcc's client is Go: every number of its type, nothing null ----------------------------------

FLOATS = ("grid_import", "grid_export", "grid_import_overshoot", "grid_export_overshoot")


@pytest.mark.parametrize("grid", [{}, {"p_max_imp": 4000, "p_max_exp": 3000}])
def test_every_field_has_the_type_that_evccs_client_reads(grid: dict[str, float]) -> None:
    answer = answered(request(car(), grid=grid))
    assert type(answer["status"]) is str
    assert type(answer["objective_value"]) is float
    assert {type(one) for one in answer["limit_violations"].values()} == {bool}
    assert {type(one) for one in answer["flow_direction"]} == {int}
    for name in FLOATS:
        assert all(type(one) is float for one in answer[name])
    for battery in answer["batteries"]:
        assert set(battery) == {"charging_power", "discharging_power", "state_of_charge"}
        assert all(type(one) is float for series in battery.values() for one in series)


# --- the paths ------------------------------------------------------------------------------------


class Ring:
    """Desk and mind on threads, with a journal, and the window's app over them."""

    def __init__(self, journal: Path) -> None:
        clock = WallClock()
        self.journal = Journal(journal, live_header(Settings()), live=True, hashing=False)
        self.system = ThreadSystem(clock, self.journal)
        self.desk = OptimizerDesk(clock)
        self.desk.tell = self.system.publish
        mind = ScheduleServer()
        mind.scheduler = SCHEDULER
        self.system.enter([mind, self.desk])
        self.app = create_app(Window(VirtualClock(NOW)), VirtualClock(NOW), desk=self.desk)

    def post(self, asked: Any, **more: Any) -> Any:
        data = asked if isinstance(asked, str | bytes) else json.dumps(asked)
        return self.app.test_client().post(SCHEDULE, data=data, **more)


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[Ring]:
    made = Ring(tmp_path / "journal.db")
    yield made
    made.system.stop()
    made.journal.close()


def test_a_schedule_is_posted_for_in_the_windows_app(ring: Ring) -> None:
    response = ring.post(request(car()))
    assert response.status_code == 200
    assert response.mimetype == "application/json"
    assert response.json == answered(request(car()))


@pytest.mark.parametrize("asked", [request(strategy={"charging_strategy": "best"}), "{", b"\xff"])
def test_a_bad_request_is_a_400_with_message_and_details(ring: Ring, asked: Any) -> None:
    response = ring.post(asked)
    assert response.status_code == 400
    assert isinstance(response.json["message"], str)
    assert all(isinstance(text, str) for text in response.json["details"].values())
    assert response.json["details"]


def test_health_is_told(ring: Ring) -> None:
    response = ring.app.test_client().get(HEALTH)
    assert (response.status_code, response.json["status"]) == (200, "healthy")


def test_the_rest_of_the_window_stays_read_only(ring: Ring) -> None:
    client = ring.app.test_client()
    assert client.post("/status").status_code == 405
    assert client.post(HEALTH).status_code == 405
    assert client.put(SCHEDULE).status_code == 405
    assert client.get(SCHEDULE).status_code == 405
    without = create_app(Window(VirtualClock(NOW)), VirtualClock(NOW)).test_client()
    assert without.post(SCHEDULE).status_code == 405


def test_the_token_that_evcc_sends_is_nowhere(
    ring: Ring, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    for asked in (request(), request() | {"batteries": []}, "{"):
        response = ring.post(asked, headers=headers)
        assert TOKEN not in response.text
    ring.journal.flush()
    ring.journal.close()
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert kept
    assert TOKEN.encode() not in kept
    assert TOKEN not in caplog.text
    from engine.journal import lines_of

    lines = b"\n".join(lines_of(tmp_path / "journal.db"))
    assert b"OptimizationAsked" in lines
    assert TOKEN.encode() not in lines


def test_far_too_long_a_request_is_refused(ring: Ring) -> None:
    assert ring.post(b" " * (BODY_MOST + 1)).status_code == 413


class Silent:
    """A desk whose questions nobody hears yet."""

    def __init__(self) -> None:
        self.heard: list[OptimizationAsked] = []
        self.all_in = threading.Event()
        self.desk = OptimizerDesk(VirtualClock(NOW))
        self.desk.tell = self._hear

    def _hear(self, message: Message) -> None:
        assert isinstance(message, OptimizationAsked)
        self.heard.append(message)
        if len(self.heard) == AT_ONCE:
            self.all_in.set()

    def answer(self, asked: OptimizationAsked) -> None:
        body = f'{{"number": "{asked.body}"}}'
        list(self.desk.on(OptimizationAnswered(NOW, id=asked.id, outcome="answered", body=body)))


def test_four_wait_at_once_each_gets_its_own_answer_and_a_fifth_is_sent_away() -> None:
    silent = Silent()
    client = create_optimizer_app(silent.desk).test_client
    got: dict[str, Any] = {}

    def post(name: str) -> None:
        got[name] = client().post(SCHEDULE, data=name).json

    threads = [threading.Thread(target=post, args=(f"{k}",)) for k in range(AT_ONCE)]
    for one in threads:
        one.start()
    assert silent.all_in.wait(5)
    busy = client().post(SCHEDULE, data="5")
    assert (busy.status_code, busy.headers["Retry-After"]) == (503, "5")
    for asked in reversed(silent.heard):
        silent.answer(asked)
    for one in threads:
        one.join(5)
    assert got == {f"{k}": {"number": f"{k}"} for k in range(AT_ONCE)}


def test_who_waits_in_vain_is_told_and_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = Silent()
    for _ in range(AT_ONCE + 1):
        with pytest.raises(TimeoutError):
            silent.desk.ask("{}", patience_s=0.01)
    silent.answer(silent.heard[0])  # too late: nobody waits
    monkeypatch.setattr(OptimizerDesk.ask, "__defaults__", (0.01,))
    late = create_optimizer_app(silent.desk).test_client().post(SCHEDULE, data="{}")
    assert late.status_code == 500
    assert "no answer in time" in late.json["message"]


# --- the command ----------------------------------------------------------------------------------


def test_serve_optimizer_answers_alone_and_ends_in_order() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "engine", "serve-optimizer", "--port", f"{port}"],
        stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"},
        cwd=Path(__file__).parent.parent,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        assert process.stderr.readline() == f"OPTIMIZER_URI=http://127.0.0.1:{port}\n"
        url = f"http://127.0.0.1:{port}"
        headers = {"Authorization": f"Bearer {TOKEN}"}
        assert httpx.get(url + HEALTH).json()["status"] == "healthy"
        answer = httpx.post(url + SCHEDULE, json=request(car()), headers=headers, timeout=60)
        assert answer.json() == answered(request(car()))
        assert httpx.post(url + SCHEDULE, json={}).status_code == 400
        assert httpx.get(url + "/").status_code == 404
    finally:
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=20)
    assert process.returncode == 0
    assert TOKEN not in rest
