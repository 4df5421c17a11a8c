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
Who chooses another vehicle before a reading has shown the mode that the first one brought leaves
that mode standing by their own word: no reading tells it from one that they set.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from sim.touches_truth import ASSIGNED, CONNECTED, EVCC, HUMAN, OURS, Change, Read, Value

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
class Told:
    """What was said: by whom each setting is owned, and what each car still needs (kWh)."""

    owners: list[tuple[datetime, dict[str, str]]] = field(default_factory=list)
    needs: list[tuple[datetime, dict[str, float]]] = field(default_factory=list)

    def owner(self, name: str, at: datetime) -> str:
        """Who was said to own this setting at `at`."""
        k = bisect_right(self.owners, at, key=lambda one: one[0])
        return self.owners[k - 1][1].get(name, "") if k else ""


@dataclass
class Judge:
    """Goes through one home's truth; `touches` counts what was to be respected."""

    seed: int
    changes: Sequence[Change]
    reads: Sequence[Read]
    starts: Sequence[datetime]
    told: Told
    end: datetime
    plugged: frozenset[str] = frozenset()
    """Where a car stands at the end."""
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
        for at, owners in self.told.owners:
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
        mine = self._as_read(loadpoint, setting, at)
        if not mine:  # `off` that was found at the start stays the user's word
            return None
        last = mine[-1]
        words = [one.value for one in mine if one.who == HUMAN]
        restored = last.who == EVCC and words and words[-1] == last.value
        left = last.who == EVCC and self._left_standing(last, at)
        return None if last.who in (HUMAN, ASSIGNED) or restored or left else last

    def _left_standing(self, mode: Change, at: datetime) -> bool:
        """Whether a human chose another vehicle over this mode before a reading showed it."""
        k = self.changes.index(mode)
        shows = next((read for read in self.reads if read.seen > k), None)
        if mode.setting != "mode" or shows is None or shows.at > at:
            return False
        return any(
            (one.loadpoint, one.setting, one.who) == (mode.loadpoint, "vehicle", HUMAN)
            and one.value
            for one in self.changes[k + 1 : shows.seen]
        )

    def _as_read(self, loadpoint: str, setting: str, at: datetime) -> list[Change]:
        """What became of a setting up to `at`, as far as readings could show; see above."""
        mine = [
            (k, one)
            for k, one in enumerate(self.changes)
            if (one.loadpoint, one.setting) == (loadpoint, setting)
        ]
        shown: list[Change] = []
        for read in self.reads[: bisect_right(self.reads, at, key=lambda read: read.at)]:
            new = []
            while mine and mine[0][0] < read.seen:
                new.append(mine.pop(0)[1])
            by_evcc = all(one.who == EVCC for one in new)
            if new and not (by_evcc and new[0].before == new[-1].value):
                shown += new
        return shown

    # --- not seen, or not respected ---------------------------------------------------------------

    def _missed(self) -> Iterator[Case]:
        first: dict[str, Value] = {}
        word: dict[str, Change] = {}  # the last one of these touches
        for k, one in enumerate(self.changes):
            if one.setting in (CONNECTED, "mode") and one.who not in (HUMAN, ASSIGNED):
                if one.who == OURS or one.setting == CONNECTED or self._was_read(k, one):
                    first.pop(one.loadpoint, None)
            elif one.setting == "mode" and one.who == ASSIGNED:
                first.setdefault(one.loadpoint, one.before)
            if one.who != HUMAN or one.setting not in ("mode", *LIMITS):
                continue
            if not self._connected(one, k):
                self.not_counted += 1
                continue
            if one.setting != "mode":
                yield from self._limit(k, one)
                continue
            if self._ended(word.get(one.loadpoint), one.at):
                first.pop(one.loadpoint, None)
            word[one.loadpoint] = one
            if one.value != first.setdefault(one.loadpoint, self._stood(k, one)):
                yield from self._mode(k, one)
            else:
                del first[one.loadpoint]
                self.not_counted += 1

    def _stood(self, k: int, touch: Change) -> Value:
        """What stood before a touch; of a car that has just come, what the last reading showed.

        That is so if people alone changed it since.
        """
        seen = max((read.seen for read in self.reads if read.seen <= k), default=0)
        near = [one for one in self.changes[seen:k] if one.loadpoint == touch.loadpoint]
        came = any(one.setting == CONNECTED and one.value for one in near)
        since = [one for one in near if one.setting == touch.setting]
        by_people = bool(since) and all(one.who == HUMAN for one in since)
        return since[0].before if came and by_people else touch.before

    def _was_read(self, k: int, change: Change) -> bool:
        """Whether a reading showed this change before it was replaced."""
        first = bisect_right(self.reads, k, key=lambda read: read.seen)
        after = next(self._later(k, change), None)
        until = self.end if after is None else after.at
        return first < len(self.reads) and self.reads[first].at < until

    def _ended(self, word: Change | None, at: datetime) -> bool:
        """Whether a human's mode has ended before `at`, since its car has got what it needed."""
        return word is not None and word.value != "off" and self._met(word, at)

    def _connected(self, touch: Change, k: int) -> bool:
        """Whether a car was connected, as evcc knew it."""
        for one in reversed(self.changes[:k]):
            if (one.loadpoint, one.setting) == (touch.loadpoint, CONNECTED):
                return bool(one.value)
        for one in self.changes[k:]:
            if (one.loadpoint, one.setting) == (touch.loadpoint, CONNECTED):
                return not one.value
        return touch.loadpoint in self.plugged

    def _later(self, k: int, touch: Change) -> Iterator[Change]:
        """What happens to the touched setting, to the end of its session."""
        for one in self.changes[k + 1 :]:
            if one.loadpoint == touch.loadpoint and one.setting in (touch.setting, CONNECTED):
                yield one
                if one.setting == CONNECTED:
                    return

    def _mode(self, k: int, touch: Change) -> Iterator[Case]:
        after = next(self._later(k, touch), None)
        if self._overtaken(touch, after):
            return
        met = touch.value != "off" and self._met(touch, after.at if after else self.end)
        if not self._shown_in_time(k, touch, after.at if after else self.end):
            yield self._case(NOT_SHOWN, touch, touch.at, after)
        elif after is not None and after.who == OURS and not met:
            yield self._case(OVERWRITTEN, touch, after.at, after)

    def _limit(self, k: int, touch: Change) -> Iterator[Case]:
        name = f"loadpoint:{touch.loadpoint}:{touch.setting}"
        replaces_ours = self.told.owner(name, touch.at) == OURS
        later = list(self._later(k, touch))
        after = later[0] if later else None
        if self._overtaken(touch, after):
            return
        if replaces_ours and not self._shown_in_time(k, touch, after.at if after else self.end):
            yield self._case(NOT_SHOWN, touch, touch.at, after)
            return
        for one in later:
            if one.who != OURS:
                return
            if self._met(touch, one.at):
                return
            if replaces_ours or _looser(float(one.value), float(touch.value)):
                yield self._case(OVERWRITTEN, touch, one.at, one)
                return

    def _overtaken(self, touch: Change, after: Change | None) -> bool:
        gone = after is not None and after.who == OURS and after.at - touch.at <= OVERTAKEN
        self.touches += not gone
        self.not_counted += gone
        return gone

    def _met(self, touch: Change, until: datetime) -> bool:
        """Whether a car that needed energy has got it between the touch and `until`."""
        needed = False
        for at, needs in self.told.needs:
            if at > until:
                break
            need_kwh = needs.get(touch.loadpoint)
            if at <= touch.at:
                needed = need_kwh is not None and need_kwh > 0
            elif need_kwh is not None:
                if need_kwh <= 0 and needed:
                    return True
                needed = needed or need_kwh > 0
        return False

    def _shown_in_time(self, k: int, touch: Change, until: datetime) -> bool:
        """Whether it was shown as a human's; True where there was no time for it."""
        first = bisect_right(self.reads, k, key=lambda read: read.seen)
        if first + READINGS > len(self.reads):
            return True
        by = self.reads[first + READINGS - 1].at + ANSWERS
        if by >= min(until, self.end) or self._met(touch, by):
            return True
        return self.told.owner(f"loadpoint:{touch.loadpoint}:{touch.setting}", by) == HUMAN

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
            for other in self.changes
            if other.loadpoint == one.loadpoint
            and since <= other.at <= at
            and other not in (one, after)
        ]
        k = self.changes.index(one)
        until = self.changes.index(after) if after is not None else len(self.changes)
        seen = any(k < read.seen <= until for read in self.reads)
        ours = after is not None and after.who == OURS
        reasons = {
            "at our stop": ours and after is not None and after.at >= self.end,
            "written before a reading": ours and not seen,
            "near a start of evcc": any(since - NEAR < start <= at for start in self.starts),
            "near a silence of evcc": any(self._silent(since, at)),
            "near a plug": any(other.setting == CONNECTED for other in near),
            "near a change of vehicle": any(other.setting == "vehicle" for other in near),
            "near a write of ours": any(
                (other.setting, other.who) == (one.setting, OURS) for other in near
            ),
        }
        return next((reason for reason, holds in reasons.items() if holds), "alone")

    def _silent(self, since: datetime, until: datetime) -> Iterator[bool]:
        """Gaps of more than two minutes between readings that reach into the time asked for."""
        for one, other in zip(self.reads, self.reads[1:], strict=False):
            if one.at <= until and other.at >= since:
                yield other.at - one.at > timedelta(seconds=119)

    def _story(self, loadpoint: str, at: datetime) -> Iterator[str]:
        for one in self.changes:
            before_s = (at - one.at).total_seconds()
            if one.loadpoint == loadpoint and -60 <= before_s <= 240:
                yield f"{-before_s:+.2f} s: {one.who} {one.setting} {one.before} -> {one.value}"


def _looser(one: float, other: float) -> bool:
    """Whether the limit `one` lets more through than `other`; 0 is no limit."""
    return other > 0 and (one == 0 or one > other + 0.05)
