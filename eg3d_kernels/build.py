"""Compiles csrc/ with ninja into the user's cache, once per source, compiler and processor."""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import platform
import shlex
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path
from subprocess import list2cmdline, run

import torch

from .errors import KernelUnavailableError

CSRC = Path(__file__).resolve().parent / "csrc"
SUFFIX = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
LIBRARY = "eg3d_kernels" + SUFFIX
CACHE_VARIABLE = "THREEDPSP_KERNEL_CACHE"
GET_COMPILER = {
    "win32": "install clang: winget install LLVM.LLVM Microsoft.VisualStudio.2022.BuildTools",
    "darwin": "run: xcode-select --install",
}.get(sys.platform, "run: sudo apt install g++ (Fedora: sudo dnf install gcc-c++)")

_log = logging.getLogger(__name__)


def build() -> Path:
    """Path of the compiled library, compiling it unless the cache has it.

    Several processes may build at once: each compiles in a folder of its own and moves the result into place.

    Raises:
        KernelUnavailableError: no compiler, no ninja, compilation failed, or the cache cannot be written. The first
            line of the message says what to do; the rest is the compiler's output.
    """
    compiler, compile_flags, link_flags = toolchain()
    sources = sorted(CSRC.glob("*_cpu.cpp"))
    rules = ninja_rules([compiler, *compile_flags, "-c"], [compiler], link_flags, sources)
    return made_once(rules, [compiler, version(compiler), _processor(), *compile_flags, *link_flags])


def made_once(rules: str, depends_on: list[str]) -> Path:
    """The library that ninja makes by these rules, from the cache if it is there.

    depends_on: what the library depends on besides the sources; begins with the compiler.

    Raises:
        KernelUnavailableError: see `build`.
    """
    place = cache_dir() / _key(depends_on)
    try:
        if made := _intact_library(place):
            return made
        ninja = find_ninja()
        _log.info("Compiling kernels with %s into %s (once).", depends_on[0], place)
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=place) as folder:
            Path(folder, "build.ninja").write_text(rules, encoding="utf-8")
            ran = run([ninja, "-C", folder], capture_output=True, text=True, errors="replace")
            if ran.returncode:
                output = ran.stdout + ran.stderr
                why = next((line for line in output.splitlines() if "error" in line.lower()), "")
                raise KernelUnavailableError(
                    f"{depends_on[0]} could not compile the kernels ({why.strip()}).\n{output}"
                )
            return _move(Path(folder, LIBRARY), place)
    except OSError as error:
        raise KernelUnavailableError(
            f"the compiled kernels cannot be stored ({error}); set {CACHE_VARIABLE} to a writable folder."
        ) from error


def cache_dir() -> Path:
    """Where the compiled kernels are kept.

    This is the folder that the variable THREEDPSP_KERNEL_CACHE names, or else the one in which the system keeps what
    can be made again.
    """
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen)
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "threedpsp" / "kernels"


def toolchain() -> tuple[str, list[str], list[str]]:
    """The C++ compiler, its flags, and those of linking.

    Raises:
        KernelUnavailableError: there is no compiler.
    """
    asked = os.environ.get("CXX")
    candidates = [asked] if asked else ["clang++", "g++"] if sys.platform == "win32" else ["g++", "c++", "clang++"]
    compiler = next((path for name in candidates if (path := shutil.which(name))), None)
    if compiler is None:
        where = f"CXX={asked} does not exist" if asked else f"none of {', '.join(candidates)} is on PATH"
        raise KernelUnavailableError(f"no C++ compiler ({where}); {GET_COMPILER}.")
    # No NaN traps and no errno, so that loops vectorise; NaN and infinity themselves keep their meaning.
    flags = ["-std=c++17", "-O3", *_instructions(), "-fPIC", "-fno-math-errno", "-fno-trapping-math"]
    openmp, link_flags = _openmp("clang" in version(compiler).lower())
    return compiler, flags + ["-fvisibility=default"] + openmp, ["-shared", *link_flags]


def _instructions() -> list[str]:
    """The instructions that the compiler may use: all those of this processor.

    Where the variable THREEDPSP_KERNEL_PORTABLE is set, they are only those that every processor of the same kind has.
    """
    if os.environ.get("THREEDPSP_KERNEL_PORTABLE", "0") not in ("", "0"):
        return []
    return ["-march=native" if platform.uname().machine.lower() in ("x86_64", "amd64", "i686") else "-mcpu=native"]


def find_ninja() -> str:
    """The ninja program: pip's package or one on PATH.

    Raises:
        KernelUnavailableError: neither is there.
    """
    folders = [sysconfig.get_path("scripts"), sysconfig.get_path("scripts", f"{os.name}_user"), os.environ.get("PATH")]
    if program := shutil.which("ninja", path=os.pathsep.join(filter(None, folders))):
        return program
    raise KernelUnavailableError("ninja is missing; run: pip install ninja.")


def _openmp(is_clang: bool) -> tuple[list[str], list[str]]:
    """Flags that use the threads of the OpenMP library torch has loaded: a second one would fight it for the cores."""
    torch_lib = Path(torch.__file__).parent / "lib"
    if sys.platform == "darwin":
        libomp = torch_lib / "libomp.dylib"
        return (["-Xpreprocessor", "-fopenmp"], [str(libomp)]) if libomp.is_file() else (["-fopenmp-simd"], [])
    if sys.platform == "win32":
        return ["-fopenmp-simd"], []
    try:
        found = [] if is_clang else sorted(torch_lib.glob("libgomp*.so*"))
    except OSError:  # a folder that this user may not read
        found = []
    if found:
        return ["-fopenmp"], [str(found[0])]
    return ["-fopenmp"], ["-fopenmp"]


def ninja_rules(compile_command: list[str], linker: list[str], link_flags: list[str], sources: list[Path]) -> str:
    """What ninja reads to make the library of these sources."""
    lines = [
        f"rule compile\n  command = {_quote(compile_command)} $in -o $out",
        f"rule link\n  command = {_quote(linker)} $in -o $out {_quote(link_flags)}",
        *(f"build {source.stem}.o: compile {_escape(source)}" for source in sources),
        f"build {LIBRARY}: link {' '.join(source.stem + '.o' for source in sources)}",
    ]
    return "\n".join(lines) + "\n"


def _quote(words: list[str]) -> str:
    """As the shell that ninja calls reads it."""
    joined = list2cmdline(words) if sys.platform == "win32" else shlex.join(words)
    return joined.replace("$", "$$")


def _escape(path: Path) -> str:
    """As ninja reads a path."""
    return str(path).replace("$", "$$").replace(" ", "$ ").replace(":", "$:")


def _key(depends_on: list[str]) -> str:
    """Hash of all that the compiled library depends on."""
    digest = hashlib.sha256()
    for source in sorted(CSRC.iterdir()):
        digest.update(source.read_bytes())
    for text in depends_on:
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()[:20]


@functools.cache
def version(compiler: str) -> str:
    """What a compiler says of itself."""
    ran = run([compiler, "--version"], capture_output=True, text=True, errors="replace")
    return ran.stdout


def _processor() -> str:
    """Names the instruction set that -march=native means: a home folder may be shared by unlike machines."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.is_file():
        return f"{platform.uname().machine} {platform.processor()}"
    lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    names = ("model name", "flags", "Features", "CPU part")
    return platform.uname().machine + "".join(dict.fromkeys(line for line in lines if line.startswith(names)))


def _intact_library(folder: Path) -> Path | None:
    """The library in a folder of the cache; its name tells its checksum, so that a damaged one is not loaded."""
    return next((path for path in sorted(folder.glob(f"*{SUFFIX}")) if path.name == _checked_name(path)), None)


def _checked_name(path: Path) -> str:
    return f"eg3d_kernels-{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}{SUFFIX}"


def _move(built: Path, place: Path) -> Path:
    """Atomically; where another process was faster, or the system won't replace a file in use, theirs is kept."""
    if made := _intact_library(place):
        return made
    made = place / _checked_name(built)
    try:
        os.replace(built, made)
    except OSError:
        if not made.is_file():
            raise
    return made
