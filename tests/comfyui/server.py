"""A ComfyUI server process with only our pack, on this machine, for one test or many."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType

from tests.comfyui.client import Client
from tests.comfyui.environment import OLD_FRONTEND, Environment
from tests.comfyui.pack import PACK, lay_out

LAUNCHER = Path(__file__).with_name("launcher.py")
START_TIMEOUT_S = 180


class ServerFailed(Exception):
    """The server did not come up, or came up without our pack."""


class Server:
    """Use as a context manager: it is up inside, and gone after."""

    def __init__(
        self,
        environment: Environment,
        base: Path,
        *,
        frontend: str = OLD_FRONTEND,
        port: int | None = None,
        without: tuple[str, ...] = (),
        variables: dict[str, str] | None = None,
        extra_arguments: tuple[str, ...] = (),
    ) -> None:
        """Lays out the folder; nothing runs yet.

        Args:
            environment: with ComfyUI.
            base: empty or missing folder, for models, inputs, outputs, settings and our pack.
            frontend: version of the page.
            port: a free one, unless given.
            without: modules and programs that this server is not to have, as if never installed.
            variables: of the process's environment, besides or in place of this one's.
            extra_arguments: for ComfyUI.
        """
        self.base = base
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.pack = lay_out(base)
        self._environment = environment
        self._frontend = frontend
        self._variables = {
            **os.environ,
            "THREEDPSP_TEST_WITHOUT": ",".join(without),
            "PYTHONUNBUFFERED": "1",
            **(variables or {}),
        }
        self._extra = extra_arguments
        self._log = base / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Starts the process and waits until it answers.

        Raises:
            ServerFailed: it ended, did not answer, or could not import our pack; with the log's last lines.
        """
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                self._command(),
                env=self._variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends the process and whatever it started."""
        if self._process is None:
            return
        for send, wait_s in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
            try:
                os.killpg(self._process.pid, send)
                self._process.wait(timeout=wait_s)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue
            break
        self._process = None

    def client(self) -> Client:
        """A new connection."""
        return Client(self.url)

    def log(self) -> str:
        """All that the server said."""
        return self._log.read_text(errors="replace")

    def memory_mb(self) -> float:
        """Main memory that the process holds now."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024

    @property
    def output(self) -> Path:
        """Where saved files go."""
        return self.base / "output"

    def _command(self) -> list[str]:
        environment = self._environment
        frontend = environment.frontend(self._frontend)
        return [
            str(environment.python),
            str(LAUNCHER),
            str(environment.comfyui),
            *("--cpu", "--disable-api-nodes", "--disable-all-custom-nodes", "--whitelist-custom-nodes", PACK),
            *("--base-directory", str(self.base), "--database-url", "sqlite:///:memory:"),
            *("--listen", "127.0.0.1", "--port", str(self.port), "--disable-auto-launch"),
            *(("--front-end-root", str(frontend)) if frontend else ()),
            *self._extra,
        ]

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        until = time.monotonic() + START_TIMEOUT_S
        while True:
            if self._process.poll() is not None:
                raise ServerFailed(f"ComfyUI ended with {self._process.returncode}:\n{self._last_lines()}")
            if "IMPORT FAILED" in self.log():
                raise ServerFailed(f"ComfyUI could not import our pack:\n{self._last_lines()}")
            if self._answers():
                return
            if time.monotonic() > until:
                raise ServerFailed(f"ComfyUI did not answer within {START_TIMEOUT_S} s:\n{self._last_lines()}")
            time.sleep(0.2)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/system_stats", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def _last_lines(self) -> str:
        return "\n".join(self.log().splitlines()[-60:])


def free_port() -> int:
    """A port that nobody listens to at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
