"""Who is mixed with whom, and how: everything about a made-up person that is drawn at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .people import Traits
from .regions import REGIONS
from .shapes import ShapeChange

CANDIDATES = 30
WORST = 16.0  # of `Traits.unlike`; who suits less is no donor


@dataclass(frozen=True)
class Mix:
    """How often what happens."""

    large_hosts: float = 0.55
    """Share of hosts from large photos, which are few but diverse; their donors have large photos too."""
    alone: float = 0.1
    """Share of people whose face is one person's, with a changed shape."""
    three: float = 0.5
    """Share of the others that are made of three."""
    mirrored: float = 0.5
    """Share of mirrored hosts."""
    backdrop: float = 0.3
    """Share with another person's backdrop."""
    light: float = 0.35
    """Share lit from a new side."""
    occluder: float = 0.03
    glasses: float = 0.05
    """Shares with something before the face, and with drawn glasses."""


@dataclass(frozen=True)
class Plan:
    """One made-up person.

    host: gives hair, body and what is around the face. donors: (number, mirrored) of who else. colours, shapes:
    [R,P], by `REGIONS`, the weights of host and donors, 1 in all. tone: how far the skin goes to the donors' colour.
    change: of the shape. seed: of what comes later.
    """

    host: int
    mirrored: bool
    donors: tuple[tuple[int, bool], ...]
    colours: np.ndarray
    shapes: np.ndarray
    tone: float
    change: ShapeChange
    backdrop: int | None = None
    backdrop_mirrored: bool = False
    light: tuple[float, float, float] | None = None
    glasses: bool = False
    occluder: bool = False
    seed: int = 0


def draw_plan(traits: Traits, large: np.ndarray, seed: int, number: int, mix: Mix) -> Plan:
    """The plan of the made-up person of this number.

    Args:
        traits: of all people.
        large: bool [N], whose photos are large.
        seed: of all; seed and number alone decide.
        number: which.
        mix: how often what happens.
    """
    random = np.random.default_rng([seed, number])
    wants_large = random.random() < mix.large_hosts
    group = np.flatnonzero(large == wants_large) if 0 < large.sum() < len(large) else np.arange(len(large))
    host, mirrored = int(random.choice(group)), bool(random.random() < mix.mirrored)
    others = 0 if random.random() < mix.alone else 2 if random.random() < mix.three else 1
    donors = tuple(_donors(traits, large, host, others, random))
    wears = bool(traits.glasses[host] >= 1 or traits.covered[host] >= 1)
    colours, shapes = _weights(len(donors), wears, random)
    tone, change = float(random.uniform(0, 0.8)), ShapeChange.drawn(random, 1.2 if donors else 1.5)
    outdoors = np.flatnonzero(large) if large.any() and random.random() < 0.7 else np.arange(len(large))
    backdrop = int(random.choice(outdoors)) if random.random() < mix.backdrop else None
    side, height, strength = random.uniform(-1, 1), random.uniform(-0.3, 0.9), random.uniform(0.1, 0.3)
    light = (side, height, strength) if random.random() < mix.light else None
    backdrop_mirrored, glasses, occluder = random.random(3) < [0.5, mix.glasses, mix.occluder]
    return Plan(
        host, mirrored, tuple((number, flip != mirrored) for number, flip in donors), colours, shapes,
        tone=tone if donors else 0.0, change=change, backdrop=backdrop, backdrop_mirrored=bool(backdrop_mirrored),
        light=light, glasses=bool(glasses) and not wears, occluder=bool(occluder), seed=int(random.integers(2**31)),
    )  # fmt: skip


def _donors(
    traits: Traits, large: np.ndarray, host: int, count: int, random: np.random.Generator
) -> list[tuple[int, bool]]:
    """(number, mirrored relative to the host) of people who suit the host."""
    unlike = np.stack([traits.unlike(host, mirrored) for mirrored in (False, True)])
    unfit = (traits.glasses >= 1) | (traits.covered >= 1)
    if not traits.grey[host]:
        unfit = unfit | traits.grey
    if large[host]:
        unfit = unfit | ~large
    unlike[:, unfit] = np.inf
    unlike[unlike > WORST] = np.inf
    unlike[:, host] = np.inf
    chosen: list[tuple[int, bool]] = []
    for _ in range(count):
        best = np.argsort(unlike, axis=None)[:CANDIDATES]
        best = best[np.isfinite(unlike.ravel()[best])]
        if not len(best):
            break
        chance = np.exp(-0.5 * (unlike.ravel()[best] - unlike.ravel()[best[0]]))
        pick = int(random.choice(best, p=chance / chance.sum()))
        mirrored, number = divmod(pick, unlike.shape[1])
        unlike[:, number] = np.inf
        chosen.append((number, bool(mirrored)))
    return chosen


def _weights(donors: int, covered: bool, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Colours and shapes [R,1 + donors].

    Eyes and mouth come from one person each, because two pairs of eyes over each other look like ghosts.
    """
    people = 1 + donors
    if donors == 0:
        return np.ones((len(REGIONS), 1)), np.ones((len(REGIONS), 1))
    whole = np.eye(people)
    main = whole[1 + random.integers(donors)]
    mostly_other = lambda: whole[0] if random.random() < 0.22 else whole[1 + random.integers(donors)]  # noqa: E731
    mixed = random.dirichlet(np.full(people, 0.8))
    rows = {"eyes": mostly_other(), "nose": mostly_other(), "mouth": mostly_other(), "cheeks": 0.7 * main + 0.3 * mixed}
    rows[str(random.choice(["eyes", "mouth"]))] = main  # so that somebody else is really in it
    rows["jaw"] = 0.8 * rows["mouth"] + 0.2 * whole[0]
    rows["forehead"] = whole[0]  # hair falls into it
    if covered:  # glasses, hands and hair stay on
        rows |= {"eyes": whole[0], "nose": whole[0], "cheeks": whole[0], "forehead": whole[0]}
    colours = np.stack([rows[name] for name in REGIONS])
    shapes = 0.8 * colours + 0.2 * random.dirichlet(np.full(people, 1.0))
    if covered:
        shapes = 0.5 * shapes + 0.5 * whole[0]
    return colours, shapes
