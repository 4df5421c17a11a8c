"""One home's day as it was: what became of its settings, by whom, and what readings could show."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sim.touches_truth import CONNECTED, EVCC, HUMAN, OURS, Change, Read, Value


@dataclass
class Told:
    """What was said: by whom each setting is owned, and what each car still needs (kWh)."""

    owners: list[tuple[datetime, dict[str, str]]] = field(default_factory=list)
    needs: list[tuple[datetime, dict[str, float]]] = field(default_factory=list)

    def owner(self, name: str, at: datetime) -> str:
        """Who was said to own this setting at `at`."""
        k = bisect_right(self.owners, at, key=lambda one: one[0])
        return self.owners[k - 1][1].get(name, "") if k else ""


@dataclass(frozen=True)
class Day:
    """The changes in order, our readings, evcc's starts, what we said, and the day's end."""

    changes: Sequence[Change]
    reads: Sequence[Read]
    starts: Sequence[datetime]
    told: Told
    end: datetime
    plugged: frozenset[str] = frozenset()
    """Where a car stands at the end."""

    # --- what happened ---------------------------------------------------------------------------

    def connected(self, touch: Change, k: int) -> bool:
        """Whether a car was connected, as evcc knew it."""
        for one in reversed(self.changes[:k]):
            if (one.loadpoint, one.setting) == (touch.loadpoint, CONNECTED):
                return bool(one.value)
        for one in self.changes[k:]:
            if (one.loadpoint, one.setting) == (touch.loadpoint, CONNECTED):
                return not one.value
        return touch.loadpoint in self.plugged

    def later(self, k: int, touch: Change) -> Iterator[Change]:
        """What happens to the touched setting, to the end of its session."""
        for one in self.changes[k + 1 :]:
            if one.loadpoint == touch.loadpoint and one.setting in (touch.setting, CONNECTED):
                yield one
                if one.setting == CONNECTED:
                    return

    def met(self, touch: Change, until: datetime) -> bool:
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

    def ended(self, word: Change, at: datetime) -> bool:
        """Whether a human's mode has ended before `at`, since its car has got what it needed."""
        return word.value != "off" and self.met(word, at)

    def silent(self, since: datetime, until: datetime) -> Iterator[bool]:
        """Gaps of more than two minutes between readings that reach into the time asked for."""
        for one, other in zip(self.reads, self.reads[1:], strict=False):
            if one.at <= until and other.at >= since:
                yield other.at - one.at > timedelta(seconds=119)

    # --- what readings show -----------------------------------------------------------------------

    def as_read(self, loadpoint: str, setting: str, at: datetime) -> list[Change]:
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
            by_evcc = bool(new) and new[-1].who == EVCC and all(one.who != OURS for one in new)
            if new and not (by_evcc and new[0].before == new[-1].value):
                shown += new
        return shown

    def unread(self, k: int, change: Change) -> list[Change]:
        """What happened at its loadpoint before it and after the last reading."""
        seen = max((read.seen for read in self.reads if read.seen <= k), default=0)
        return [one for one in self.changes[seen:k] if one.loadpoint == change.loadpoint]

    def was_read(self, k: int, change: Change) -> bool:
        """Whether a reading showed this change as something new, before it was replaced."""
        first = bisect_right(self.reads, k, key=lambda read: read.seen)
        after = next(self.later(k, change), None)
        until = self.end if after is None else after.at
        if first == len(self.reads) or self.reads[first].at >= until:
            return False
        return not self.undone(k, change)

    def undone(self, k: int, change: Change) -> bool:
        """Whether this change sets what the last reading showed."""
        since = [one for one in self.unread(k, change) if one.setting == change.setting]
        return (since[0] if since else change).before == change.value

    def found(self, k: int, plug: Change) -> list[Change]:
        """The modes that people set since the last reading before a car came; theirs alone."""
        since = [one for one in self.unread(k, plug) if one.setting == "mode"]
        return since if all(one.who == HUMAN for one in since) else []

    def stood(self, k: int, touch: Change) -> Value:
        """What stood before a touch; what the last reading showed, if a car or evcc came since.

        Of a car that has just come that is so if people alone changed it since.
        """
        near = self.unread(k, touch)
        since = [one for one in near if one.setting == touch.setting]
        if not since:
            return touch.before
        came = any(one.setting == CONNECTED for one in near)
        unread = all(one.who == HUMAN for one in since) if came else since[0].who == EVCC
        return since[0].before if unread else touch.before

    def left_standing(self, mode: Change, at: datetime) -> bool:
        """Whether a human chose another vehicle over this mode before a reading showed it."""
        k = self.changes.index(mode)
        shows = next((read for read in self.reads if read.seen > k), None)
        if mode.setting != "mode" or shows is None or shows.at > at:
            return False
        return any(
            (one.loadpoint, one.setting, one.who) == (mode.loadpoint, "vehicle", HUMAN)
            for one in self.changes[k + 1 : shows.seen]
        )

    def hidden(self, mode: Change) -> bool:
        """Whether a start set a mode that a human has hidden at the last unplugging."""
        if mode.at not in self.starts:
            return False
        k = self.changes.index(mode)
        there = [
            (j, one) for j, one in enumerate(self.changes[:k]) if one.loadpoint == mode.loadpoint
        ]
        left = [j for j, one in there if one.setting == CONNECTED and not one.value]
        if not left:
            return False
        shows = next((read for read in self.reads if read.seen > left[-1]), None)
        until = shows.seen if shows is not None else k
        return any(
            one.setting == "mode" and one.who == HUMAN for j, one in there if left[-1] < j < until
        )
