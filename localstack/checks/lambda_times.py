"""Measures the packaged coordinator as Lambda would run it, through the Runtime API, on this machine.

    lambda_times.py PACKAGE.zip DOCUMENTS SIGNING.key [STARTS] [REQUESTS]

DOCUMENTS is a folder with federation.json and surveys/*.json, SIGNING.key is the coordinator's key file. Cold: from starting the process to the end of the first response. Warm: one request for the list of surveys, which
asks nobody, so that it is our code and the runtime alone. Prints one JSON object.
"""

import json
import os
import resource
import statistics
import sys
import tempfile
import time
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "executor"))

from tercet_lambda_executor.bootstrap import Bootstrap  # noqa: E402
from tercet_lambda_executor.runtime_api import Invocation  # noqa: E402

EVENT = {
    "version": "2.0", "routeKey": "$default", "rawPath": "/v1/surveys", "rawQueryString": "", "isBase64Encoded": False,
    "headers": {"host": "api.example.org"},
    "requestContext": {
        "accountId": "1", "apiId": "a", "domainName": "api.example.org", "domainPrefix": "api", "requestId": "r",
        "routeKey": "$default", "stage": "$default", "time": "", "timeEpoch": 0,
        "http": {"method": "GET", "path": "/v1/surveys", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "t"},
    },
}


def ask(process: Bootstrap, number: int) -> None:
    headers = {
        "Lambda-Runtime-Aws-Request-Id": f"request-{number}",
        "Lambda-Runtime-Deadline-Ms": str(int((time.time() + 30) * 1000)),
        "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-central-1:1:function:api",
        "Lambda-Runtime-Trace-Id": "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0",
    }
    body, failed = process.invoke(Invocation(f"request-{number}", json.dumps(EVENT).encode(), headers), 30)
    if failed or json.loads(body)["statusCode"] != 200:
        raise SystemExit(f"not answered: {body[:500]!r}")


def main() -> None:
    if not 4 <= len(sys.argv) <= 6:
        raise SystemExit(__doc__)
    package, documents, key = Path(sys.argv[1]), Path(sys.argv[2]).resolve(), Path(sys.argv[3]).resolve()
    starts, requests = (int(n) for n in (sys.argv[4:] + ["10", "300"][len(sys.argv) - 4 :]))
    cold, warm, memory = [], [], 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with zipfile.ZipFile(package) as archive:
            archive.extractall(folder)
        (folder / "bootstrap").chmod(0o755)
        env = {
            "PATH": os.environ["PATH"], "LAMBDA_TASK_ROOT": scratch, "TERCET_FUNCTION": "api", "TERCET_TABLE": "tercet",
            "TERCET_SIGNING_KEY_FILE": str(key), "TERCET_FEDERATION": str(documents / "federation.json"),
            "TERCET_SURVEYS": str(documents / "surveys"), "AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "x", "AWS_LAMBDA_FUNCTION_NAME": "api", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
            "AWS_LAMBDA_FUNCTION_VERSION": "1", "AWS_LAMBDA_LOG_GROUP_NAME": "g", "AWS_LAMBDA_LOG_STREAM_NAME": "s",
        }
        for _ in range(starts):
            began = time.perf_counter()
            process = Bootstrap(folder, env, lambda line: None)
            process.wait_ready(30)
            ask(process, 0)
            cold.append((time.perf_counter() - began) * 1e3)
            process.kill()
        process = Bootstrap(folder, env, lambda line: None)
        process.wait_ready(30)
        for number in range(requests):
            began = time.perf_counter()
            ask(process, number)
            warm.append((time.perf_counter() - began) * 1e3)
        memory = process.peak_memory_mb
        process.kill()
    cpu = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(json.dumps({
        "zip_bytes": package.stat().st_size,
        "cold_ms": {"p50": round(statistics.median(cold), 1), "max": round(max(cold), 1), "starts": starts},
        "warm_ms": {"p50": round(statistics.median(warm), 2), "max": round(max(warm), 2), "requests": requests},
        "memory_mb": memory,
        "cpu_s": round(cpu.ru_utime + cpu.ru_stime, 2),
    }))


if __name__ == "__main__":
    main()
