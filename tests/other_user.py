"""A folder that a subprocess may not write to, also where the tests run as root."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOBODY = 65534

_AS_NOBODY = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
{{imports}}
if os.geteuid() == 0:  # after the imports: another user may not be able to read this Python's own files
    os.setgroups([])
    os.setgid({NOBODY})
    os.setuid({NOBODY})
{{code}}
"""


def read_only_folder(parent: Path) -> Path:
    """A folder that `run_as_other_user` can reach and read, but not write to."""
    folder = parent / "read_only"
    folder.mkdir()
    folder.chmod(0o555)
    if os.geteuid() == 0:  # pytest's own folders are private; open the way for the other user
        for above in folder.parents:
            if not above.stat().st_mode & 0o001:
                above.chmod(above.stat().st_mode | 0o011)
    return folder


def run_as_other_user(imports: str, code: str) -> subprocess.CompletedProcess[str]:
    """Runs `imports` as we are, then `code` as "nobody" where we are root."""
    script = _AS_NOBODY.format(imports=imports, code=code)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)
