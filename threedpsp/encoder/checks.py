"""What every system and everything that works on its result asks of its arguments, in one wording."""

from __future__ import annotations

from ..eg3d.generator import Generator
from ..errors import InputError, WeightsError
from ..types import Inversion


def check_head(what: str, generator: Generator, inversion: Inversion, photos: int = 1) -> None:
    """Refuse what is not one head of this generator (and one photo of it).

    Args:
        what: who asks, as the message's subject.
        generator: the one that is to draw it.
        inversion: the head.
        photos: how many photos came with it.

    Raises:
        InputError: several heads, or several photos.
        WeightsError: it was made with another generator.
    """
    heads = len(inversion.latent.ws)
    if heads != 1 or photos != 1:
        given = f"{heads} heads" if photos == 1 else f"{heads} head(s) and {photos} photos"
        raise InputError(f"{what} takes the inversion of one photo; got {given}.")
    if inversion.latent.generator != generator.fingerprint:
        raise WeightsError(
            f"This latent belongs to generator {inversion.latent.generator}, not to {generator.fingerprint}. "
            "Load the generator it was made with."
        )


def check_steps(who: str, steps: int, most: int | None = None, meaning: str = "") -> int:
    """The steps asked for, if a system can make so many.

    Args:
        who: the system, as the message's subject.
        steps: asked for.
        most: it can make; None: any number.
        meaning: what the steps are, for the message.

    Raises:
        InputError: fewer than one, or more than it can make.
    """
    if steps < 1 or (most is not None and steps > most):
        can = {None: "at least one step", 1: "exactly one step"}.get(most, f"1 to {most} steps")
        raise InputError(f"{who} makes {can}{f' ({meaning})' if meaning else ''}; got {steps}.")
    return steps
