"""The AWS Lambda Runtime API (2018-06-01) for one process, on a loopback port of its own."""

import queue
import sys
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PREFIX = "/2018-06-01/runtime/"


class InitError(Exception):
    """The process could not begin its work; `payload` is the error document that Lambda returns."""

    def __init__(self, payload: bytes):
        super().__init__(payload.decode("utf-8", "replace"))
        self.payload = payload


@dataclass
class Invocation:
    """An event on its way through the process."""

    request_id: str
    payload: bytes
    headers: dict[str, str]
    answer: Future = field(default_factory=Future)


class RuntimeApi:
    """Hands invocations to the process and takes its answers.

    `ready` is done at the process's first request for an invocation, or failed with an `InitError`. An
    invocation's `answer` is done with `(body, is_error)`.
    """

    def __init__(self):
        self.ready: Future = Future()
        self._inbox: queue.Queue[Invocation | None] = queue.Queue()
        self._current: Invocation | None = None
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.api = self
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def address(self) -> str:
        return "127.0.0.1:%d" % self._server.server_address[1]

    def invoke(self, invocation: Invocation) -> Future:
        with self._lock:
            self._current = invocation
        self._inbox.put(invocation)
        return invocation.answer

    def forget(self) -> None:
        """Whatever is under way gets no answer any more."""
        with self._lock:
            self._current = None

    def ended(self, error: bytes) -> None:
        """The process is gone: fails what waits for it and closes the port."""
        self.init_failed(error)
        with self._lock:
            current, self._current = self._current, None
        if current:
            current.answer.set_result((error, True))
        self._inbox.put(None)
        self._server.shutdown()
        self._server.server_close()

    def init_failed(self, payload: bytes) -> None:
        with self._lock:
            if not self.ready.done():
                self.ready.set_exception(InitError(payload))

    # --- what the process asks

    def next(self) -> Invocation | None:
        with self._lock:
            if not self.ready.done():
                self.ready.set_result(None)
        return self._inbox.get()

    def answered(self, request_id: str, body: bytes, is_error: bool) -> bool:
        """False: no such invocation is under way (it has timed out, or was answered before)."""
        with self._lock:
            if self._current is None or self._current.request_id != request_id:
                return False
            current, self._current = self._current, None
        current.answer.set_result((body, is_error))
        return True


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    api: RuntimeApi

    def handle_error(self, request, client_address):
        # A process that ended while it waited for its next invocation: told by its exit, not by the connection.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body are two writes; together with delayed acknowledgements Nagle would cost 40 ms.
    disable_nagle_algorithm = True

    def do_GET(self):
        if self.path != PREFIX + "invocation/next":
            return self._reply(404)
        invocation = self.server.api.next()
        if invocation is None:
            self.close_connection = True
            return self._reply(410)
        self._reply(200, invocation.payload, invocation.headers)

    def do_POST(self):
        api, body = self.server.api, self._body()
        if body is None:
            return self._reply(400)
        match self.path.removeprefix(PREFIX).split("/"):
            case ["init", "error"]:
                api.init_failed(body)
            case ["invocation", request_id, "response" | "error" as kind]:
                if not api.answered(request_id, body, kind == "error"):
                    return self._reply(400, b'{"errorType":"InvalidRequestID"}')
            case _:
                return self._reply(404)
        self._reply(202, b'{"status":"OK"}')

    def _body(self) -> bytes | None:
        """The whole body; none if it does not arrive in the form that its headers promise."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = bytearray()
        while line := self.rfile.readline(64):
            size = int(line.split(b";")[0], 16)
            chunk = self.rfile.read(size)
            self.rfile.readline(8)
            if size == 0:
                return bytes(body)
            body += chunk
        self.close_connection = True
        return None

    def _reply(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Not logged: the function's own lines are."""
