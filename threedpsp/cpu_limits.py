"""How much processor time the control groups of this process allow, as containers set it; Linux alone has them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_OWN_GROUPS = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")


def cpu_limit(own: Path = _OWN_GROUPS, groups: Path = _GROUPS) -> float | None:
    """Processors' worth of time: the smallest limit of this process's groups and of those above; None: no limit.

    Args:
        own: the file that names this process's groups.
        groups: where they are mounted. Inside a container that may be its own group, without those above.
    """
    return min((limit for folder in _folders(own, groups) if (limit := _limit(folder))), default=None)


def _folders(own: Path, groups: Path) -> Iterator[Path]:
    """This process's groups with a say in processor time, version 2 or 1, and all above them."""
    for line in _text(own).splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers or "cpu" in controllers.split(","):
            inner = Path(path.lstrip("/"))
            yield from (groups / controllers / folder for folder in (inner, *inner.parents))


def _limit(folder: Path) -> float | None:
    """One group's own limit."""
    quota = _text(folder / "cpu.max") or f"{_text(folder / 'cpu.cfs_quota_us')} {_text(folder / 'cpu.cfs_period_us')}"
    try:
        allowed, period = map(int, quota.split())
    except ValueError:  # "max", or no such file
        return None
    return allowed / period if allowed > 0 and period > 0 else None


def _text(file: Path) -> str:
    """What a small file says; nothing where it cannot be read."""
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
