"""Routes from headers: who hears what, whatever runtime moves the messages."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Protocol, TypeAlias

from engine.actor import Actor, Endpoint
from engine.clock import Clock
from engine.messages import Message

AnyEndpoint: TypeAlias = Endpoint[Any, Any]


class Recorder(Protocol):
    """What a runtime tells the journal: who heard what and said what, in order."""

    def record(self, actor: str, heard: Message, said: tuple[Message, ...]) -> None:
        """Keep one handled message, before anything said is published."""


class NoRecorder:
    """Keeps nothing."""

    def record(self, actor: str, heard: Message, said: tuple[Message, ...]) -> None:
        """Forget it."""


def routes_of(cast: Iterable[AnyEndpoint]) -> dict[type[Message], list[str]]:
    """Message type -> names of its hearers, in the order of the cast."""
    routes: dict[type[Message], list[str]] = {}
    for endpoint in cast:
        for heard in endpoint.hears:
            routes.setdefault(heard, []).append(endpoint.name)
    return routes


class Runtime(ABC):
    """What both runtimes have in common; `enter`, `publish` and `settle` are their own."""

    clock: Clock

    @abstractmethod
    def enter(self, cast: Iterable[AnyEndpoint]) -> None:
        """Seat everyone and start."""

    @abstractmethod
    def publish(self, message: Message) -> None:
        """Hand a message to everyone whose header names its type."""

    @abstractmethod
    def advance(self, to: datetime) -> None:
        """Under a virtual clock: move time to `to`, ringing the ports' timers on the way."""

    @abstractmethod
    def settle(self) -> object:
        """Let everyone finish what they have to do."""

    @abstractmethod
    def endpoints(self) -> Iterable[AnyEndpoint]:
        """Everyone seated."""

    @abstractmethod
    def stop(self) -> None:
        """Stop everyone, in reverse order; close the ports."""

    def tick(self, message: Message) -> None:
        """Under a virtual clock: move time to `message.at`, say it, and let everyone finish."""
        self.advance(message.at)
        self.publish(message)
        self.settle()

    def memories(self) -> dict[str, bytes]:
        """The snapshot of every actor."""
        return {one.name: one.snapshot() for one in self.endpoints() if isinstance(one, Actor)}


def handle(endpoint: AnyEndpoint, message: Message, recorder: Recorder) -> tuple[Message, ...]:
    """Run `on` to its end and journal it. A handler that raises has said and remembered nothing."""
    if not isinstance(endpoint, Actor):
        return tuple(endpoint.on(message))
    before = endpoint.memory
    try:
        said = tuple(endpoint.on(message))
        for one in said:
            if type(one) not in endpoint.says:
                raise TypeError(f"{endpoint.name} said {type(one).__name__}, not in its header")
    except BaseException:
        endpoint.memory = before
        raise
    recorder.record(endpoint.name, message, said)
    return said
