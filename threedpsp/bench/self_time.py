"""Where the processor's time goes: a clock that charges it to the innermost region entered, forward and backward.

Regions are put around functions from outside, while a profile runs; the product's own code knows nothing of them.
"""

from __future__ import annotations

import contextlib
import functools
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

REST = "rest"
FORWARD, BACKWARD = "forward", "backward"


class SelfTime:
    """Processor time of this thread by region. A step is measured between `begin` and `end`.

    Autograd numbers its nodes as they are made. The clock keeps which region was entered at which number; before a
    backward pass it asks every node for its number, and charges the node's time to the region that made it.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.running = False
        self._stack: list[tuple[str, bool]] = []  # name, whether it keeps the time of what is inside it
        self._since = 0.0
        self._numbers: list[int] = []
        self._regions: list[str] = []

    def begin(self) -> None:
        """Start measuring a step."""
        self.running, self._since = True, time.thread_time()

    def end(self) -> dict[str, float]:
        """Seconds by region since `begin`."""
        self._charge()
        self.running = False
        found, self.seconds = dict(self.seconds), defaultdict(float)
        return found

    def _charge(self) -> None:
        now = time.thread_time()
        if self.running:
            self.seconds[self._stack[-1][0] if self._stack else REST] += now - self._since
        self._since = now

    def push(self, name: str, whole: bool = False) -> None:
        """Enter a region; `whole` ones keep the time of those inside them."""
        self._charge()
        if self._stack and self._stack[-1][1]:
            name, whole = self._stack[-1]
        self._stack.append((name, whole))

    def pop(self) -> None:
        """Leave it."""
        self._charge()
        self._stack.pop()

    @property
    def top(self) -> str:
        """The region that is charged now."""
        return self._stack[-1][0] if self._stack else REST

    @contextlib.contextmanager
    def region(self, name: str, *, whole: bool = False, differentiable: bool = False) -> Iterator[None]:
        """Charge to `name` what runs inside; where differentiable, also what runs for it in a backward pass.

        Regions that are differentiable are called "NAME forward" and "NAME backward".
        """
        if differentiable:
            self._made_from_here(name)
        self.push(f"{name} {FORWARD}" if differentiable else name, whole)
        try:
            yield
        finally:
            self.pop()
            if differentiable:
                top = self.top
                self._made_from_here(top.removesuffix(f" {FORWARD}") if top.endswith(FORWARD) else REST)

    def _made_from_here(self, region: str) -> None:
        self._numbers.append(torch.autograd._get_sequence_nr())
        self._regions.append(region)

    def backward(self, run: Callable[..., Any], roots: Any, *args: Any, **kwargs: Any) -> None:
        """A backward pass whose nodes are charged to the regions that made them."""
        hooks = []
        for node in _nodes([roots] if isinstance(roots, torch.Tensor) else list(roots)):
            place = bisect_right(self._numbers, node._sequence_nr()) - 1
            if place < 0 or self._regions[place] == REST:
                continue
            name = f"{self._regions[place]} {BACKWARD}"
            hooks.append(node.register_prehook(functools.partial(self._enter, name)))
            hooks.append(node.register_hook(self._leave))
        try:
            with self.region(REST):
                run(roots, *args, **kwargs)
        finally:
            for hook in hooks:
                hook.remove()

    def _enter(self, name: str, gradients: Any) -> None:
        self.push(name)

    def _leave(self, *gradients: Any) -> None:
        self.pop()

    def forget(self) -> None:
        """Forget which nodes earlier steps made."""
        del self._numbers[:], self._regions[:]


def _nodes(roots: Sequence[torch.Tensor]) -> Iterator[Any]:
    """Every node behind the roots, but for those that add to the leaves' gradients: a hook would make them copy."""
    waiting: list[Any] = [root.grad_fn for root in roots if root.grad_fn is not None]
    seen = set(waiting)
    while waiting:
        node = waiting.pop()
        if node.name() != "torch::autograd::AccumulateGrad":
            yield node
        for following, _ in node.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                waiting.append(following)
