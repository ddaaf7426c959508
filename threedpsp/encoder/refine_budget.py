"""When refining ends: after so many updates, or at a ceiling in seconds, whichever comes first."""

from __future__ import annotations

import statistics
from collections import deque

from .refine_config import HANDFUL, RefineConfig

RECENT = 5  # updates whose median tells how long the next one takes


class Budget:
    """Counts updates and time since `started`.

    A slow update (a kernel is compiled, another program is busy) costs only itself: what counts is how long the last
    few took. A handful of updates is made even if the first of them is over the ceiling, unless the ceiling is 0.
    """

    def __init__(self, config: RefineConfig, started: float) -> None:
        self.updates, self.ceiling, self.started = config.updates, config.ceiling, started
        self.last, self.late = started, False
        self.recent: deque[float] = deque(maxlen=RECENT)

    def fraction(self, step: int, now: float) -> float:
        """Share that is spent after so many updates, 0..1."""
        of_updates = step / self.updates if self.updates else 1.0
        of_time = (now - self.started) / self.ceiling if self.ceiling else 0.0
        return min(max(of_updates, of_time), 1.0)

    def spent(self, step: int, now: float) -> bool:
        """Whether another update would go beyond it (as long as the last few, and the final render besides)."""
        if step > 0:
            self.recent.append(now - self.last)
        self.last = now
        if step >= self.updates or self.ceiling == 0:
            return True
        if step < HANDFUL or self.ceiling is None:
            return False
        self.late = now - self.started + 1.5 * statistics.median(self.recent) >= self.ceiling
        return self.late

    def notes(self, step: int, before: int) -> list[str]:
        """What is to be known of so many updates, after those that were made `before`."""
        notes, made = [], before + step
        if self.late:
            over = f"{self.ceiling:g} s were over after {step} of {self.updates} updates"
            notes.append(f"{over}; another run may make more or fewer.")
        if made < HANDFUL:
            updates = "1 update was" if made == 1 else f"{made} updates were"
            notes.append(f"Only {updates} made; a likeness needs {HANDFUL} or more.")
        return notes
