"""Which touches of a mode are a word against the controller, and which give the control back.

What stood before somebody's first touch is what sets it back; see `touches_judge.py`.
"""

from dataclasses import dataclass, field, replace

from sim.touches_day import Day
from sim.touches_truth import ASSIGNED, EVCC, HUMAN, OURS, Change, Value


@dataclass(frozen=True)
class Word:
    """`first`: what stood before the first touch. `last`: the last touch of a mode."""

    first: Value | None = None
    last: Change | None = None


@dataclass
class Words:
    """The words that count at each loadpoint, change by change (`heard`, in order)."""

    day: Day
    _now: dict[str, Word] = field(default_factory=dict)
    _read: dict[str, Word] = field(default_factory=dict)
    """The same at the last reading."""

    def __post_init__(self) -> None:
        self._seen = {read.seen for read in self.day.reads}

    def heard(self, k: int, change: Change) -> None:
        """Take the change, in order, apart from a touch of a mode (`touched`)."""
        if k in self._seen:
            self._read = dict(self._now)
        name, word = change.loadpoint, self._now.get(change.loadpoint, Word())
        match change.setting, change.who:
            case "connected", _:
                found = self.day.found(k, change) if change.value else []
                word = Word(found[0].before, found[-1]) if found else Word()
            case "mode", who if who == OURS or (who == EVCC and self.day.was_read(k, change)):
                word = replace(word, first=None)
            case "mode", who if who == EVCC and self.day.undone(k, change):
                word = self._read.get(name, Word())
            case "mode", who if who == ASSIGNED:
                word = self._begun(word, change, change.before)
            case "vehicle", who if who == HUMAN:
                stands = [one for one in self.day.unread(k, change) if one.setting == "mode"]
                if stands and stands[-1].who == EVCC:  # left standing by who has replaced the car
                    word = replace(word, first=word.first or stands[0].before)
        self._now[name] = word

    def touched(self, k: int, touch: Change) -> bool:
        """Take a human's mode; whether it is a word, rather than what stood before the first."""
        word = self._now.get(touch.loadpoint, Word())
        word = self._begun(word, touch, self.day.stood(k, touch))
        is_word = touch.value != word.first
        self._now[touch.loadpoint] = word if is_word else replace(word, first=None)
        return is_word

    def _begun(self, word: Word, touch: Change, stood: Value) -> Word:
        ended = word.last is not None and self.day.ended(word.last, touch.at)
        return Word(stood if word.first is None or ended else word.first, touch)
