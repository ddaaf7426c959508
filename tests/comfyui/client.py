"""Talks to a ComfyUI server as its page does: HTTP to ask, a websocket to be told."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

PREVIEW_IMAGES = (1, 4)  # kinds of binary messages: a preview, and one that says whose it is
ENDS = {"execution_success": "success", "execution_error": "error", "execution_interrupted": "interrupted"}

Workflow = dict[str, dict[str, Any]]
"""API format: node's number -> {"class_type": ..., "inputs": ...}."""


class Rejected(Exception):
    """ComfyUI's validation refused a workflow; `answer` is what it said."""

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__(json.dumps(answer, indent=1))
        self.answer = answer


@dataclass(frozen=True)
class Run:
    """What became of one queued workflow."""

    prompt_id: str
    status: str
    """success, error or interrupted."""
    outputs: dict[str, dict[str, Any]]
    """Node's number -> what it shows: lists of files under "images", "3d", ...; "text"."""
    executed: list[str]
    """Numbers of the nodes that computed, in order; those that the cache answered for are not among them."""
    cached: set[str]
    """Numbers of the nodes that the cache answered for."""
    seconds: float
    """From pressing Run to the last message."""
    error: dict[str, Any] | None = None
    """exception_message, exception_type, node_id, node_type of a node that failed."""
    progress: list[tuple[str, float, float]] = field(default_factory=list)
    """(node's number, steps done, steps in all), as reported."""
    previews: list[str] = field(default_factory=list)
    """For each live preview image, the number of the node that was computing when it came."""

    def files(self, node: str | None = None) -> list[dict[str, str]]:
        """The files that a node, or any, shows: each a filename, subfolder and type, for `Client.fetch`."""
        shown = [self.outputs[node]] if node else self.outputs.values()
        return [
            entry
            for output in shown
            for value in output.values()
            if isinstance(value, list)
            for entry in value
            if isinstance(entry, dict) and "filename" in entry
        ]


class Client:
    """One page's worth of connection to a server."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._id = uuid.uuid4().hex
        self._messages: list[tuple[float, dict[str, Any] | bytes]] = []
        self._arrived = threading.Condition()
        self._connection = ExitStack()
        address = f"ws{url.removeprefix('http')}/ws?clientId={self._id}"
        self._socket = self._connection.enter_context(connect(address, max_size=None))
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def close(self) -> None:
        """Hangs up."""
        self._connection.close()
        self._listener.join(timeout=5)

    def get(self, path: str) -> Any:
        """The JSON under a path."""
        return json.loads(self.get_bytes(path))

    def get_bytes(self, path: str) -> bytes:
        """Whatever lies under a path."""
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:
            return answer.read()

    def post(self, path: str, payload: Any) -> Any:
        """The JSON answer (None where there is none) to a JSON question."""
        return self._post(path, json.dumps(payload).encode(), "application/json")

    def object_info(self) -> dict[str, Any]:
        """Node's name -> what the page knows about it."""
        return self.get("/object_info")

    def upload_image(self, image: Path, name: str | None = None) -> str:
        """Puts a picture where Load Image finds it; the name for its widget."""
        name = name or image.name
        boundary = uuid.uuid4().hex
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="overwrite"\r\n\r\ntrue\r\n'.encode(),
            f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n'.encode(),
            b"Content-Type: application/octet-stream\r\n\r\n" + image.read_bytes() + b"\r\n",
            f"--{boundary}--\r\n".encode(),
        ]
        answer = self._post("/upload/image", b"".join(parts), f"multipart/form-data; boundary={boundary}")
        return answer["name"]

    def queue(self, workflow: Workflow) -> str:
        """Presses Run.

        Returns:
            The number to wait for.

        Raises:
            Rejected: ComfyUI's validation found something wrong.
        """
        try:
            answer = self.post("/prompt", {"prompt": workflow, "client_id": self._id})
        except urllib.error.HTTPError as error:
            if error.code == 400:
                raise Rejected(json.loads(error.read())) from None
            raise
        if answer["node_errors"]:
            raise Rejected(answer)
        return answer["prompt_id"]

    def wait(self, prompt_id: str, timeout: float = 300) -> Run:
        """What became of a queued workflow, once it ended."""
        until = time.monotonic() + timeout
        with self._arrived:
            while (end := self._end_of(prompt_id)) is None:
                if not self._arrived.wait(timeout=max(0.0, until - time.monotonic())) and time.monotonic() >= until:
                    raise TimeoutError(f"No end of {prompt_id} within {timeout} s; its last messages: {self._tail()}")
            messages = list(self._messages)
        history = self._history(prompt_id, until)  # comes a little later than the message of success
        return self._run(prompt_id, end, messages, history)

    def run(self, workflow: Workflow, timeout: float = 300) -> Run:
        """Queues a workflow and waits for its end."""
        return self.wait(self.queue(workflow), timeout)

    def succeed(self, workflow: Workflow, timeout: float = 300) -> Run:
        """The same, for a workflow that must not fail."""
        run = self.run(workflow, timeout)
        assert run.status == "success", f"{run.status}: {run.error}"
        return run

    def wait_for_progress(self, prompt_id: str, node_type: str, workflow: Workflow, timeout: float = 120) -> None:
        """Waits until a node of this type is at work: has reported progress twice, the first of which is its start."""
        until = time.monotonic() + timeout
        numbers = {number for number, node in workflow.items() if node["class_type"] == node_type}
        with self._arrived:
            while (
                sum(
                    message["type"] == "progress"
                    and message["data"]["prompt_id"] == prompt_id
                    and message["data"]["node"] in numbers
                    for _, message in self._messages
                    if isinstance(message, dict)
                )
                < 2
            ):
                if self._end_of(prompt_id):
                    raise AssertionError(f"{prompt_id} ended without any progress of {node_type}: {self._tail()}")
                if not self._arrived.wait(timeout=max(0.0, until - time.monotonic())) and time.monotonic() >= until:
                    raise TimeoutError(f"No progress of {node_type} within {timeout} s: {self._tail()}")

    def interrupt(self) -> None:
        """Presses Cancel."""
        self.post("/interrupt", {})

    def free(self) -> None:
        """Has models and the cached results let go.

        The server does so when its worker next looks, which nothing tells: a workflow queued at once may be first. So
        this waits for longer than an idle worker needs.
        """
        self.post("/free", {"unload_models": True, "free_memory": True})
        time.sleep(2)

    def fetch(self, file: dict[str, str]) -> bytes:
        """A file that a node showed."""
        return self.get_bytes("/view?" + urllib.parse.urlencode(file))

    def _post(self, path: str, body: bytes, content_type: str) -> Any:
        request = urllib.request.Request(self.url + path, data=body, headers={"Content-Type": content_type})
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def _listen(self) -> None:
        try:
            for message in self._socket:
                read = message if isinstance(message, bytes) else json.loads(message)
                with self._arrived:
                    self._messages.append((time.monotonic(), read))
                    self._arrived.notify_all()
        except ConnectionClosed:
            return

    def _end_of(self, prompt_id: str) -> dict[str, Any] | None:
        for _, message in self._messages:
            if isinstance(message, dict) and message["type"] in ENDS and message["data"].get("prompt_id") == prompt_id:
                return message
        return None

    def _tail(self) -> list[dict[str, Any] | str]:
        return [message if isinstance(message, dict) else "binary" for _, message in self._messages[-6:]]

    def _history(self, prompt_id: str, until: float) -> dict[str, Any]:
        while True:
            history = self.get(f"/history/{prompt_id}")
            if prompt_id in history:
                return history[prompt_id]
            if time.monotonic() > until:
                raise TimeoutError(f"{prompt_id} has ended and does not appear in the history")
            time.sleep(0.05)

    def _run(
        self,
        prompt_id: str,
        end: dict[str, Any],
        messages: list[tuple[float, dict[str, Any] | bytes]],
        history: dict[str, Any],
    ) -> Run:
        started = ended = None
        executed: list[str] = []
        cached: set[str] = set()
        progress: list[tuple[str, float, float]] = []
        previews: list[str] = []
        for moment, message in messages:
            if isinstance(message, bytes):
                if executed and int.from_bytes(message[:4], "big") in PREVIEW_IMAGES:
                    previews.append(executed[-1])
                continue
            data = message["data"]
            if data.get("prompt_id") != prompt_id:
                continue
            match message["type"]:
                case "execution_start":
                    started = moment
                case "execution_cached":
                    cached = set(data["nodes"])
                case "executing" if data["node"] is not None:
                    executed.append(data["node"])
                case "progress":
                    progress.append((data["node"], data["value"], data["max"]))
            if message is end:
                ended = moment
                break
        return Run(
            prompt_id=prompt_id,
            status=ENDS[end["type"]],
            outputs=history["outputs"],
            executed=executed,
            cached=cached,
            seconds=(ended or 0.0) - (started or 0.0),
            error=end["data"] if end["type"] == "execution_error" else None,
            progress=progress,
            previews=previews,
        )
