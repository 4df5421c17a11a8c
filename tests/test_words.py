"""The catalogue: same codes, same numbers in both languages, and sentences without gaps."""

import ast
import re
from collections.abc import Iterator
from datetime import UTC
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.values import BatteryMode, ChargeMode, Why
from engine.words import CODES, LABELS, LANGUAGES, SENTENCES, label, number, render

BERLIN = "Europe/Berlin"
SAMPLES: dict[str, float | str] = {
    "vehicle": "Twingo",
    "loadpoint": "Garage",
    "departure_at": "2026-01-15T05:30:00+00:00",
    "next_at": "2026-01-15T01:15:00+00:00",
    "since_at": "2026-01-15T01:15:00+00:00",
    "mode": "now",
    "setting": "limit_soc",
    "reason": "evcc said no",
    "actor": "Optimizer",
    "error": "ValueError: x",
    "would": "battery_serves",
}


def sample(code: str) -> Why:
    numbers = [(name, SAMPLES.get(name, 0.314)) for name in CODES[code] if name != "would"]
    if "would" in CODES[code]:
        numbers += [("would", "battery_serves"), ("price_eur_kwh", 0.3), ("value_eur_kwh", 0.2)]
    return Why(code, tuple(numbers))


@pytest.mark.parametrize("code", sorted(SENTENCES["de"]))
def test_both_languages_have_each_code_with_the_same_numbers(code: str) -> None:
    names = [set(re.findall(r"\{(\w+)\}", SENTENCES[language][code])) for language in LANGUAGES]
    assert names[0] == names[1] == set(CODES[code])


def test_both_languages_have_the_same_codes_and_terms() -> None:
    assert SENTENCES["de"].keys() == SENTENCES["en"].keys() == CODES.keys()
    assert LABELS["de"].keys() == LABELS["en"].keys()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("code", sorted(CODES))
def test_each_sentence_is_whole_with_all_or_some_or_none_of_its_numbers(
    code: str, language: str
) -> None:
    full = sample(code)
    variants = {render(full, language, BERLIN)}
    for kept in range(len(full.numbers)):
        for numbers in list(combinations(full.numbers, kept))[:20]:
            variants.add(render(Why(code, numbers), language, BERLIN))
    for text in variants:
        assert not re.search(r"[\[\]{}?]|\s\s| [.,;:]|\.\.|: *[.,]", text), text
        assert text[0].isupper() or text.startswith("evcc"), text
        assert text.endswith("."), text
        assert "_" not in text, text
    for name, value in full.numbers:
        if name not in ("would", "mode", "setting"):
            shown = number(name, value, language, BERLIN)
            assert shown in render(full, language, BERLIN)


def codes_in(path: Path) -> Iterator[str]:
    """The codes that a module writes down in `Why(...)`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
            if node.func.id not in ("Why", "_why"):
                continue
            code = node.args[0]
            arms = (code.body, code.orelse) if isinstance(code, ast.IfExp) else (code,)
            for arm in arms:
                if isinstance(arm, ast.Constant) and isinstance(arm.value, str):
                    yield arm.value


def test_every_reason_that_is_given_has_a_sentence() -> None:
    root = Path(__file__).resolve().parent.parent
    rooms = [root / room for room in ("engine", "actors", "sim", "web")]
    found = {
        code: path.name for room in rooms for path in room.rglob("*.py") for code in codes_in(path)
    }
    assert len(found) > 20
    assert {code: name for code, name in found.items() if code not in CODES} == {}


def test_every_sentence_can_be_given() -> None:
    """No sentence for a reason that nobody gives: its code stands in some module of ours."""
    root = Path(__file__).resolve().parent.parent
    texts = {"human_mode", "human_limit_soc", "human_limit_energy"}  # f"human_{setting}"
    for room in ("engine", "actors", "web"):
        for path in (root / room).rglob("*.py"):
            if not path.name.startswith("words"):
                nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                texts |= {str(one.value) for one in nodes if isinstance(one, ast.Constant)}
    assert CODES.keys() - texts == set()


def test_sentences_differ_between_the_languages() -> None:
    same = [c for c in CODES if render(sample(c), "de", BERLIN) == render(sample(c), "en", BERLIN)]
    assert same == []


def test_a_waiting_car_says_what_the_design_promises() -> None:
    why = Why(
        "car_waits",
        (
            ("vehicle", "Twingo"),
            ("price_eur_kwh", 0.314),
            ("limit_eur_kwh", 0.2),
            ("next_at", "2026-01-15T01:15:00+00:00"),
            ("next_price_eur_kwh", 0.182),
        ),
    )
    assert render(why, "de", BERLIN) == (
        "Twingo: wartet auf billigeren Strom: 18,2 ct Do 02:15 statt 31,4 ct jetzt. "
        "Unter 20,0 ct würde es jetzt laden."
    )
    assert render(why, "en", BERLIN) == (
        "Twingo: waits for cheaper power: 18.2 ct Thu 02:15 instead of 31.4 ct now. "
        "Below 20.0 ct it would charge now."
    )


def test_what_would_be_done_stands_in_the_reason_for_not_doing_it() -> None:
    inner = Why("turn_complete", (("vehicle", "my_Twingo"), ("soc_pct", 80.0)))
    why = Why("watching", (("would", inner.code), *inner.numbers))
    assert render(why, "de", BERLIN) == (
        "Ich schaue nur zu. Meine Entscheidung wäre: my_Twingo: ist fertig geladen (80 %)."
    )
    assert render(Why("watching"), "en", BERLIN) == "Watching only."


@pytest.mark.parametrize(
    ("name", "value", "de", "en"),
    [
        ("price_eur_kwh", -0.0123, "-1,2 ct", "-1.2 ct"),
        ("price_eur_kwh", -0.0001, "0,0 ct", "0.0 ct"),
        ("cost_eur", 1234.5, "1.234,50 €", "€1,234.50"),
        ("cost_eur", -0.001, "0,00 €", "€0.00"),
        ("need_kwh", 24.84, "24,8 kWh", "24.8 kWh"),
        ("surplus_kw", 3.2, "3,2 kW", "3.2 kW"),
        ("pv_w", 3200.4, "3.200 W", "3,200 W"),
        ("soc_pct", 64.0, "64 %", "64 %"),
        ("soc_pct", 64.25, "64,2 %", "64.2 %"),
        ("age_min", 16.0, "16 min", "16 min"),
        ("age_min", 135.0, "2 h 15 min", "2 h 15 min"),
        ("age_s", 119.6, "120 s", "120 s"),
        ("age_s", 600.0, "10 min", "10 min"),
        ("known_h", 35.5, "35,5 h", "35.5 h"),
        ("rank", 3, "3", "3"),
        ("mode", "now", "Schnell", "Fast"),
        ("mode", "hold", "halten", "hold"),
        ("departure_at", "2026-03-29T04:30:00Z", "So 06:30", "Sun 06:30"),
        ("departure_at", "2026-03-28T05:30:00Z", "Sa 06:30", "Sat 06:30"),
        ("departure_at", "tomorrow", "tomorrow", "tomorrow"),
        ("need_kwh", float("nan"), "?", "?"),
    ],
)
def test_numbers_are_shown_by_their_unit(name: str, value: float, de: str, en: str) -> None:
    assert number(name, value, "de", BERLIN) == de
    assert number(name, value, "en", BERLIN) == en


def test_an_unknown_code_is_shown_as_it_is() -> None:
    assert render(Why("brand_new", (("x", 1.0),)), "de", BERLIN) == "brand_new"


def test_an_unknown_language_is_english_and_an_unknown_zone_utc() -> None:
    why = Why("tariff_failed", (("since_at", "2026-01-15T01:15:00+00:00"),))
    expected = "evcc gives no prices since Thu 01:15."
    assert render(why, "fr", "Nowhere/Land") == render(why, "en", UTC) == expected


def test_what_people_typed_is_shown_as_they_typed_it() -> None:
    why = Why("car_done", (("vehicle", "{reason} [x] ÄÖÜ"), ("reason", "no")))
    assert render(why, "de", BERLIN) == "{reason} [x] ÄÖÜ: bekommt nach Plan alles, was es braucht."


def test_every_mode_owner_and_setting_has_a_term() -> None:
    keys = [*ChargeMode, *BatteryMode, "battery_mode", "state", "forecast", "battery"]
    keys += ["smartload", "evcc", "evcc_optimizer", "human", "mode", "limit_soc", "limit_energy"]
    for language in LANGUAGES:
        assert [key for key in keys if key not in LABELS[language]] == []
    assert label("now", "de") == "Schnell"
    assert label("strange", "en") == "strange"


PAIRS = st.tuples(
    st.sampled_from(sorted({name for names in CODES.values() for name in names})),
    st.floats() | st.text(max_size=20) | st.integers(-(10**9), 10**9),
)


@settings(derandomize=True, deadline=None)
@given(st.sampled_from(sorted(CODES)), st.lists(PAIRS, max_size=5), st.sampled_from(LANGUAGES))
def test_odd_numbers_never_break_a_sentence(
    code: str, numbers: list[tuple[str, float | str]], language: str
) -> None:
    assert render(Why(code, tuple(numbers)), language, BERLIN)


def test_a_reason_within_another_leaves_a_saving_of_nothing_unsaid_too() -> None:
    inner = (("price_eur_kwh", 0.1), ("saves_eur_kwh", 0.0), ("saves_eur", 0.0))
    for language in ("de", "en"):
        alone = render(Why("car_cheap", inner), language, "UTC")
        nested = render(Why("watching", (("would", "car_cheap"), *inner)), language, "UTC")
        assert alone in nested
