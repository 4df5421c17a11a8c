"""The language: frozen to the bottom, one tag each, aware times, round trips."""

import enum
import types
import typing
from datetime import UTC, datetime

import msgspec
import pytest

from engine import messages, values
from engine.messages import MESSAGES, Message, StateChanged, Tick
from engine.settings import Settings
from engine.values import HomeState

T0 = datetime(2026, 1, 1, tzinfo=UTC)
ATOMS = (int, float, str, bool, type(None), datetime)


def parts(annotation: object) -> list[object]:
    """The types inside an annotation, unions and tuples opened."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return parts(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType, tuple):
        return [
            part for one in typing.get_args(annotation) if one is not ... for part in parts(one)
        ]
    return [annotation]


def structs(kind: type[msgspec.Struct], seen: set[type]) -> None:
    if kind in seen:
        return
    seen.add(kind)
    assert kind.__struct_config__.frozen, f"{kind.__name__} is not frozen"
    for field, annotation in typing.get_type_hints(kind, include_extras=True).items():
        if typing.get_origin(annotation) is typing.ClassVar:
            continue
        for part in parts(annotation):
            assert isinstance(part, type), f"{kind.__name__}.{field}: {part}"
            if issubclass(part, msgspec.Struct):
                structs(part, seen)
            else:
                allowed = part in ATOMS or issubclass(part, enum.Enum)
                assert allowed, f"{kind.__name__}.{field} holds {part.__name__}"


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: m.__name__)
def test_messages_are_immutable_to_the_bottom(message: type[Message]) -> None:
    seen: set[type] = set()
    structs(message, seen)
    assert message in seen


def test_inv_117_naive_times_are_refused() -> None:
    decoder = msgspec.json.Decoder(Tick)
    assert decoder.decode(b'{"type":"Tick","at":"2026-01-01T00:00:00Z"}') == Tick(at=T0)
    with pytest.raises(msgspec.ValidationError, match="timezone"):
        decoder.decode(b'{"type":"Tick","at":"2026-01-01T00:00:00"}')


def test_inv_170_every_message_has_one_tag_and_a_docstring() -> None:
    assert len({message.__name__ for message in MESSAGES}) == len(MESSAGES)
    for message in MESSAGES:
        assert message.__doc__, message.__name__
    decoder = msgspec.json.Decoder(typing.Union[MESSAGES])  # noqa: UP007
    said = StateChanged(at=T0, state=HomeState(revision=1, at=T0))
    assert decoder.decode(msgspec.json.encode(said)) == said


UNITS = ("_w", "_kw", "_kwh", "_pct", "_eur", "_eur_kwh", "_s", "_min", "_h", "_a", "_km", "_days",
         "_ratio")  # fmt: skip
PLAIN = {  # counters, ids and names that are no quantities
    "charge_efficiency", "connection", "departure_weekdays", "discharge_efficiency",
    "evcc_connection", "horizon_h", "id",
    "order_id", "phases", "phases_active", "phases_configured", "plan_revision", "priority",
    "rates_revision", "revision", "values", "weekdays",
}  # fmt: skip


@pytest.mark.parametrize("module", [messages, values], ids=["messages", "values"])
def test_quantities_end_in_their_unit(module: types.ModuleType) -> None:
    for name, kind in vars(module).items():
        if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
            continue
        for field, annotation in typing.get_type_hints(kind).items():
            kinds = parts(annotation)
            if not {int, float} & set(kinds) or str in kinds:
                continue
            good = field in PLAIN or field.endswith(UNITS) or (name, field) == (
                "Rate", "value"
            )  # fmt: skip
            assert good, f"{name}.{field} is a number without a unit"


def test_settings_have_sound_defaults() -> None:
    assert msgspec.convert(msgspec.to_builtins(Settings()), Settings) == Settings()
