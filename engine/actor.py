"""The contract: `Actor[Hears, Says]` for minds, `Port[Hears, Says]` for what touches the world.

The header is the wiring: it is read once, when the class is made, and routes follow from it. `on`
is the whole behaviour: a message in, messages out. An actor is a function of what it heard and of
its `memory`, nothing else: no clock, no I/O, no reference to anything outside.

    class Sequencer(Actor[StateChanged | ConfigRead, TurnsGiven]):
        memory: SequencerMemory = SequencerMemory()

        def on(self, message: StateChanged | ConfigRead) -> Iterator[TurnsGiven]: ...
"""

import types
import typing
from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import datetime
from typing import Any, ClassVar, Generic, Self, TypeVar

import msgspec

from engine.messages import Message

Hears = TypeVar("Hears", bound=Message)
Says = TypeVar("Says", bound=Message)


def _members(header: Any) -> tuple[type[Message], ...]:
    """The message types named by one half of a header: a class, a union, or Never."""
    if header is typing.Never or header is typing.NoReturn:
        return ()
    if isinstance(header, types.UnionType) or typing.get_origin(header) is typing.Union:
        return tuple(typing.get_args(header))
    return (header,)


class Endpoint(ABC, Generic[Hears, Says]):
    """Whoever hears and says. `name` identifies it in routes and journal."""

    hears: ClassVar[tuple[type[Message], ...]] = ()
    says: ClassVar[tuple[type[Message], ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for base in cls.__dict__.get("__orig_bases__", ()):
            origin = typing.get_origin(base)
            if isinstance(origin, type) and issubclass(origin, Endpoint):
                arguments = typing.get_args(base)
                if any(isinstance(argument, TypeVar) for argument in arguments):
                    continue
                cls.hears, cls.says = _members(arguments[0]), _members(arguments[1])

    @property
    def name(self) -> str:
        """The class name; ports that exist several times add what they stand for."""
        return type(self).__name__

    @abstractmethod
    def on(self, message: Hears) -> Iterator[Says]:
        """Handle one message. Run to its end before anything that it yields is published."""


class Actor(Endpoint[Hears, Says]):
    """A mind. Its whole memory is one frozen struct, replaced and never changed in place.

    So the runtime can take it back to what it was before a handler that raised, and a journal can
    keep it: `snapshot` and `restore` are one encoding away.
    """

    memory: msgspec.Struct

    def snapshot(self) -> bytes:
        """The memory as JSON."""
        return msgspec.json.encode(self.memory)

    def reborn(self) -> Self:
        """A new actor of this class with this memory and nothing else (caches start empty)."""
        fresh = type(self)()
        fresh.memory = self.memory
        return fresh

    def restore(self, snapshot: bytes) -> None:
        """Take the memory back from `snapshot`. Raises msgspec.ValidationError on another shape."""
        self.memory = msgspec.json.decode(snapshot, type=type(self.memory))


class Port(Endpoint[Hears, Says]):
    """Touches the world: I/O with timeouts, on a thread of its own. What it says is fact."""

    def next_wake(self) -> datetime | None:
        """When `wake` is due although nothing was heard; None: never."""
        return None

    def wake(self, at: datetime) -> Iterator[Says]:
        """The time named by `next_wake` has come."""
        yield from ()

    def close(self) -> None:
        """Release connections. Called once, after the last message."""
