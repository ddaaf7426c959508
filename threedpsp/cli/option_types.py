"""Types of options, as the help shows them: what is to be typed, in which unit, and no default that says nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

Switch = Annotated[bool, tyro.conf.FlagCreatePairsOff, tyro.conf.arg(help_behavior_hint="")]
"""Off unless it is given."""
InputPath = Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="PATH", help_behavior_hint="")]
"""A file or folder without a flag before it; the command explains what is missing where there is none."""
MaybePath = Annotated[Path | None, tyro.conf.arg(metavar="PATH", help_behavior_hint="")]
"""A file or folder; the help says what holds without it."""
OutputPath = Annotated[Path, tyro.conf.arg(metavar="PATH", aliases=["-o"])]
"""Where results go."""
MaybeOutputPath = Annotated[Path | None, tyro.conf.arg(metavar="PATH", aliases=["-o"], help_behavior_hint="")]
"""Where results go; the help says where without it."""
MaybeText = Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")]
"""A name or a file's path; the help says what holds without it."""
On = Annotated[bool, tyro.conf.arg(help_behavior_hint="(default: yes)")]
"""On unless its opposite is given."""
Seconds = Annotated[float, tyro.conf.arg(metavar="SECONDS")]
"""A duration."""
Degrees = Annotated[float, tyro.conf.arg(metavar="DEGREES")]
"""An angle."""
Pixels = Annotated[int, tyro.conf.arg(metavar="PIXELS")]
"""A picture's side."""
Count = Annotated[int, tyro.conf.arg(metavar="N")]
"""How many."""
