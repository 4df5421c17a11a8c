"""Whether people were seen and respected: the truth of a day against what the controller said.

A human's mode holds until the car is unplugged, evcc's own rules set another, or the car has got
what it needed; then the next word counts. A limit that replaces one of ours is kept as it is; any
other one may be tightened by us for a while, never loosened. A mode that is set back to what stood
before the first touch gives the control back. A touch while no car is connected binds nobody.
A touch is the first one again after a write of ours, an unplugging, a mode of evcc's that a reading
showed (of one that came and went between two readings nobody knows: the human only put their word
back), and after the car got what it needed, for that ended the human's mode, written over or not.
What people set around a plug, between two readings, is held against what the first one showed:
who sets something while no car is there, and with the car sets it back, has shown nobody a word.
Who chooses another vehicle, or none, before a reading has shown the mode that the first one brought
leaves that mode standing by their own word: no reading tells it from one that they set.
What evcc sets at a start and a human takes back before a reading was never there.
Who sets a mode after an unplugging, before a reading has shown the one that evcc has set, hides
what evcc will set at its next start: that is not judged then.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from sim.touches_day import Day
from sim.touches_truth import ASSIGNED, CONNECTED, EVCC, HUMAN, OURS, Change, Value
from sim.touches_words import Words

OVERTAKEN = timedelta(seconds=2)
"""A touch that our write replaces so soon was not to be seen."""
READINGS = 2
"""Within so many readings a touch has to be shown."""
ANSWERS = timedelta(seconds=8)
"""Until then everybody has said what a reading means."""
LIMITS = ("limit_soc", "limit_energy")
FALSE, OVERWRITTEN, NOT_SHOWN = "false override", "overwritten", "not shown"
NEAR = timedelta(seconds=75)


class Case(msgspec.Struct, frozen=True):
    """Something that went wrong. `story`: what happened around it."""

    kind: str
    seed: int
    at: datetime
    loadpoint: str
    setting: str
    value: Value
    cause: str
    story: tuple[str, ...]
    command: str


@dataclass
class Judge:
    """Goes through one home's truth; `touches` counts what was to be respected."""

    seed: int
    day: Day
    command: str = ""
    touches: int = 0
    not_counted: int = 0

    def cases(self) -> list[Case]:
        """Everything that went wrong, in order of time."""
        found = [*self._false(), *self._missed()]
        return sorted(found, key=lambda case: case.at)

    # --- taken for a human ------------------------------------------------------------------------

    def _false(self) -> Iterator[Case]:
        before: dict[str, str] = {}
        for at, owners in self.day.told.owners:
            for name, owner in owners.items():
                parts = name.split(":")
                if owner == HUMAN != before.get(name) and len(parts) == 3:
                    wrong = self._not_by_human(parts[1], parts[2], at)
                    if wrong is not None:
                        yield self._case(FALSE, wrong, at)
            before = owners

    def _not_by_human(self, loadpoint: str, setting: str, at: datetime) -> Change | None:
        """What the newest reading showed there, if no human had set it.

        What evcc sets and takes back between two readings (at a start another mode, then the car's
        own again) is nobody's: whoever set what stood before has set what stands after.
        """
        mine = self.day.as_read(loadpoint, setting, at)
        if not mine:  # `off` that was found at the start stays the user's word
            return None
        last = mine[-1]
        words = [one.value for one in mine if one.who == HUMAN]
        restored = last.who == EVCC and words and words[-1] == last.value
        left = last.who == EVCC and (self.day.left_standing(last, at) or self.day.hidden(last))
        return None if last.who in (HUMAN, ASSIGNED) or restored or left else last

    # --- not seen, or not respected ---------------------------------------------------------------

    def _missed(self) -> Iterator[Case]:
        words = Words(self.day)
        for k, one in enumerate(self.day.changes):
            words.heard(k, one)
            if one.who != HUMAN or one.setting not in ("mode", *LIMITS):
                continue
            if not self.day.connected(one, k):
                self.not_counted += 1
            elif one.setting != "mode":
                yield from self._limit(k, one)
            elif words.touched(k, one):
                yield from self._mode(k, one)
            else:
                self.not_counted += 1

    def _mode(self, k: int, touch: Change) -> Iterator[Case]:
        after = next(self.day.later(k, touch), None)
        if self._overtaken(touch, after):
            return
        met = touch.value != "off" and self.day.met(touch, after.at if after else self.day.end)
        if not self._shown_in_time(k, touch, after.at if after else self.day.end):
            yield self._case(NOT_SHOWN, touch, touch.at, after)
        elif after is not None and after.who == OURS and not met:
            yield self._case(OVERWRITTEN, touch, after.at, after)

    def _limit(self, k: int, touch: Change) -> Iterator[Case]:
        name = f"loadpoint:{touch.loadpoint}:{touch.setting}"
        replaces_ours = self.day.told.owner(name, touch.at) == OURS
        later = list(self.day.later(k, touch))
        after = later[0] if later else None
        if self._overtaken(touch, after):
            return
        if replaces_ours and not self._shown_in_time(k, touch, after.at if after else self.day.end):
            yield self._case(NOT_SHOWN, touch, touch.at, after)
            return
        for one in later:
            if one.who != OURS:
                return
            if self.day.met(touch, one.at):
                return
            if replaces_ours or _looser(float(one.value), float(touch.value)):
                yield self._case(OVERWRITTEN, touch, one.at, one)
                return

    def _overtaken(self, touch: Change, after: Change | None) -> bool:
        gone = after is not None and after.who == OURS and after.at - touch.at <= OVERTAKEN
        self.touches += not gone
        self.not_counted += gone
        return gone

    def _shown_in_time(self, k: int, touch: Change, until: datetime) -> bool:
        """Whether it was shown as a human's; True where there was no time for it."""
        first = bisect_right(self.day.reads, k, key=lambda read: read.seen)
        if first + READINGS > len(self.day.reads):
            return True
        by = self.day.reads[first + READINGS - 1].at + ANSWERS
        if by >= min(until, self.day.end) or self.day.met(touch, by):
            return True
        return self.day.told.owner(f"loadpoint:{touch.loadpoint}:{touch.setting}", by) == HUMAN

    # --- telling ----------------------------------------------------------------------------------

    def _case(self, kind: str, one: Change, at: datetime, after: Change | None = None) -> Case:
        return Case(
            kind=kind,
            seed=self.seed,
            at=at,
            loadpoint=one.loadpoint,
            setting=one.setting,
            value=one.value,
            cause=self._cause(one, at, after),
            story=tuple(self._story(one.loadpoint, at)),
            command=self.command,
        )

    def _cause(self, one: Change, at: datetime, after: Change | None) -> str:
        """The first thing nearby that may explain it."""
        since = one.at - NEAR
        near = [
            other
            for other in self.day.changes
            if other.loadpoint == one.loadpoint
            and since <= other.at <= at
            and other not in (one, after)
        ]
        k = self.day.changes.index(one)
        until = self.day.changes.index(after) if after is not None else len(self.day.changes)
        seen = any(k < read.seen <= until for read in self.day.reads)
        ours = after is not None and after.who == OURS
        reasons = {
            "at our stop": ours and after is not None and after.at >= self.day.end,
            "written before a reading": ours and not seen,
            "near a start of evcc": any(since - NEAR < start <= at for start in self.day.starts),
            "near a silence of evcc": any(self.day.silent(since, at)),
            "near a plug": any(other.setting == CONNECTED for other in near),
            "near a change of vehicle": any(other.setting == "vehicle" for other in near),
            "near a write of ours": any(
                (other.setting, other.who) == (one.setting, OURS) for other in near
            ),
        }
        return next((reason for reason, holds in reasons.items() if holds), "alone")

    def _story(self, loadpoint: str, at: datetime) -> Iterator[str]:
        for one in self.day.changes:
            before_s = (at - one.at).total_seconds()
            if one.loadpoint == loadpoint and -60 <= before_s <= 240:
                yield f"{-before_s:+.2f} s: {one.who} {one.setting} {one.before} -> {one.value}"


def _looser(one: float, other: float) -> bool:
    """Whether the limit `one` lets more through than `other`; 0 is no limit."""
    return other > 0 and (one == 0 or one > other + 0.05)
