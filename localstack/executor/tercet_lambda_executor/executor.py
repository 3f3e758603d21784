"""LocalStack's side: one execution environment of a function."""

import os
import shutil
import tempfile
import time
from collections import deque
from pathlib import Path

from localstack import config
from localstack.services.lambda_.invocation.executor_endpoint import StatusErrorException
from localstack.services.lambda_.invocation.lambda_models import FunctionVersion, InvocationResult
from localstack.services.lambda_.invocation.runtime_executor import RuntimeExecutor

from tercet_lambda_executor.bootstrap import Bootstrap, TimedOut, error
from tercet_lambda_executor.runtime_api import InitError, Invocation

_MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}


class ProcessExecutor(RuntimeExecutor):
    def __init__(self, id: str, function_version: FunctionVersion) -> None:
        super().__init__(id=id, function_version=function_version)
        self._process: Bootstrap | None = None
        self._folder: Path | None = None
        self._scratch: str | None = None
        self._env: dict[str, str] = {}
        self._history: deque[str] = deque(maxlen=2000)
        self._lines: list[str] = []

    def start(self, env_vars: dict[str, str]) -> None:
        function = self.function_version.config
        wanted, here = str(function.architectures[0]), os.uname().machine
        try:
            if not (function.runtime or "").startswith("provided"):
                raise InitError(error("Runtime.InvalidRuntime", f"only provided.* runs here, not {function.runtime}"))
            if _MACHINES.get(wanted) != here and not config.LAMBDA_IGNORE_ARCHITECTURE:
                raise InitError(error("Runtime.InvalidArchitecture", f"built for {wanted}, this machine is {here}"))
            self._folder = Path(function.code.get_unzipped_code_location())
            self._scratch = self._scratch or tempfile.mkdtemp(prefix="lambda-")
            # Nothing of LocalStack's own environment: a function sees what it would see on AWS, with its folders here.
            self._env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "en_US.UTF-8"}
            self._env |= {name: str(value) for name, value in env_vars.items()}
            self._env |= {"LAMBDA_TASK_ROOT": str(self._folder), "HOME": self._scratch, "TMPDIR": self._scratch}
            self._boot()
        except InitError as e:
            raise StatusErrorException("the function did not start", payload=e.payload) from e

    def _boot(self) -> None:
        self._process = Bootstrap(self._folder, self._env, self._log)
        self._process.wait_ready(config.LAMBDA_RUNTIME_ENVIRONMENT_TIMEOUT)

    def stop(self) -> None:
        if self._process:
            self._process.stop()
        if self._scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def invoke(self, payload: dict[str, str]) -> InvocationResult:
        request_id, function = payload["invoke-id"], self.function_version.config
        self._lines = [f"START RequestId: {request_id} Version: {self.function_version.id.qualifier}\n"]
        init = ""
        try:
            if not (self._process and self._process.alive):
                began = time.perf_counter()
                self._boot()
                init = f"\tInit Duration: {(time.perf_counter() - began) * 1e3:.2f} ms"
        except InitError as e:
            return InvocationResult(request_id, e.payload, True, "".join(self._lines))
        began = time.perf_counter()
        try:
            body, failed = self._process.invoke(self._invocation(payload, function.timeout), function.timeout)
        except TimedOut:
            message = f"RequestId: {request_id} Error: Task timed out after {function.timeout:.2f} seconds"
            self._log(message + "\n")
            body, failed = error("Sandbox.Timedout", message), True
        ms = (time.perf_counter() - began) * 1e3
        self._lines += [
            f"END RequestId: {request_id}\n",
            f"REPORT RequestId: {request_id}\tDuration: {ms:.2f} ms\tBilled Duration: {int(ms) + 1} ms\t"
            f"Memory Size: {function.memory_size} MB\tMax Memory Used: {self._process.peak_memory_mb} MB{init}\n",
        ]
        return InvocationResult(request_id, body, failed, "".join(self._lines))

    @staticmethod
    def _invocation(payload: dict[str, str], timeout: int) -> Invocation:
        headers = {
            "Lambda-Runtime-Aws-Request-Id": payload["invoke-id"],
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + timeout) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": payload["invoked-function-arn"],
            "Lambda-Runtime-Trace-Id": payload["trace-id"],
        }
        return Invocation(payload["invoke-id"], payload["payload"].encode(), headers)

    def _log(self, line: str) -> None:
        self._history.append(line)
        self._lines.append(line)

    def get_logs(self) -> str:
        return "".join(self._history)

    # The process shares the host's network.

    def get_address(self) -> str:
        return "127.0.0.1"

    def get_endpoint_from_executor(self) -> str:
        return "127.0.0.1"

    def get_runtime_endpoint(self) -> str:
        return f"http://127.0.0.1:{config.GATEWAY_LISTEN[0].port}/_localstack_lambda/{self.id}"

    @classmethod
    def prepare_version(cls, function_version: FunctionVersion) -> None:
        if function_version.config.code:
            function_version.config.code.prepare_for_execution()

    @classmethod
    def cleanup_version(cls, function_version: FunctionVersion) -> None:
        """Nothing is made per version."""
