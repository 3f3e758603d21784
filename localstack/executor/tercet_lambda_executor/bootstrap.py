"""A function's `bootstrap` as a local process."""

import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as Timeout
from pathlib import Path

from tercet_lambda_executor.runtime_api import InitError, Invocation, RuntimeApi

# Linux's parent-death signal is bound to the *thread* that starts a process. All are started by this one, which
# lives as long as LocalStack: then none outlives it, however it ends.
_STARTER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lambda-start")
_SETPRIV = shutil.which("setpriv")


def error(kind: str, message: str) -> bytes:
    """An error document as Lambda makes them."""
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()


class TimedOut(Exception):
    """The function did not answer within its timeout and was killed."""


class Bootstrap:
    """A running process and its Runtime API. `log` hears every line it writes."""

    def __init__(self, folder: Path, env: dict[str, str], log: Callable[[str], None]):
        program = folder / "bootstrap"
        if not os.access(program, os.X_OK):
            raise InitError(error("Runtime.InvalidEntrypoint", f"no executable bootstrap in {folder}"))
        self.api = RuntimeApi()
        self._log = log
        command = [str(program)]
        if _SETPRIV:
            command = [_SETPRIV, "--pdeathsig", "KILL", "--", *command]
        env = env | {"AWS_LAMBDA_RUNTIME_API": self.api.address}

        def start():
            return subprocess.Popen(
                command, cwd=folder, env=env, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )

        try:
            self._process = _STARTER.submit(start).result()
        except OSError as e:
            failure = error("Runtime.InvalidEntrypoint", f"{program} cannot be started: {e}")
            self.api.ended(failure)
            raise InitError(failure) from e
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def wait_ready(self, seconds: float) -> None:
        """Until it asks for its first invocation. Raises `InitError`, also when it takes too long."""
        try:
            self.api.ready.result(timeout=seconds)
        except Timeout:
            self.kill()
            raise InitError(error("Sandbox.Timedout", f"the function did not start within {seconds} s")) from None

    def invoke(self, invocation: Invocation, seconds: float) -> tuple[bytes, bool]:
        """The answer and whether it is an error. Raises `TimedOut`; the process is gone then."""
        try:
            return self.api.invoke(invocation).result(timeout=seconds)
        except Timeout:
            self.api.forget()
            self.kill()
            raise TimedOut from None

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def peak_memory_mb(self) -> int:
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text()
        except OSError:
            return 0
        return next((int(s.split()[1]) // 1024 for s in status.splitlines() if s.startswith("VmHWM:")), 0)

    def stop(self, grace: float = 0.5) -> None:
        """Politely at first."""
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(grace)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        self._watcher.join(2)

    def _signal(self, which: signal.Signals) -> None:
        try:
            os.killpg(self._process.pid, which)
        except ProcessLookupError:
            pass

    def _watch(self):
        with self._process.stdout as lines:
            for line in lines:
                self._log(line.decode("utf-8", "replace"))
        code = self._process.wait()
        how = f"exit status {code}" if code >= 0 else f"signal: {signal.Signals(-code).name}"
        self.api.ended(error("Runtime.ExitError", f"Error: Runtime exited with error: {how}"))
