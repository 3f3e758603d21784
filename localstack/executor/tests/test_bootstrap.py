"""The process and its Runtime API, with a small function written in Python. Needs no LocalStack."""

import json
import os
import sys
import tempfile
import textwrap
import threading
import unittest
from pathlib import Path

from tercet_lambda_executor.bootstrap import Bootstrap, TimedOut
from tercet_lambda_executor.runtime_api import InitError, Invocation

# Answers {"echo": event}; events named like their effect do what their name says.
FUNCTION = """
import json, os, sys, time, urllib.request
base = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/"
def post(path, body):
    return urllib.request.urlopen(urllib.request.Request(base + path, json.dumps(body).encode())).status
if os.environ.get("FAIL") == "init":
    post("init/error", {"errorType": "Mine"}); sys.exit(3)
if os.environ.get("FAIL") == "silent":
    sys.exit(4)
served = 0
while True:
    got = urllib.request.urlopen(base + "invocation/next")
    event, id = json.load(got), got.headers["Lambda-Runtime-Aws-Request-Id"]
    served += 1
    print("event", json.dumps(event), flush=True)
    if event == "crash": os._exit(7)
    if event == "hang": time.sleep(60)
    if event == "fail": post(f"invocation/{id}/error", {"errorType": "Asked"}); continue
    if event == "wrong id":
        try: post("invocation/other/response", {})
        except urllib.error.HTTPError as e: event = e.code
    post(f"invocation/{id}/response", {"echo": event, "served": served})
"""


class Case(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = Path(scratch.name)
        program = self.folder / "bootstrap"
        program.write_text(f"#!{sys.executable}\n" + textwrap.dedent(FUNCTION))
        program.chmod(0o755)
        self.lines, self.logged = [], threading.Event()

    def log(self, line):
        self.lines.append(line)
        self.logged.set()

    def start(self, **env):
        process = Bootstrap(self.folder, dict(os.environ) | env, self.log)
        self.addCleanup(process.kill)
        return process

    @staticmethod
    def send(process, event, seconds=20.0, request_id="id-1"):
        headers = {"Lambda-Runtime-Aws-Request-Id": request_id}
        body, failed = process.invoke(Invocation(request_id, json.dumps(event).encode(), headers), seconds)
        return json.loads(body), failed

    def test_one_process_serves_many_invocations_and_is_logged(self):
        process = self.start()
        process.wait_ready(20)
        self.assertEqual(self.send(process, {"a": 1}), ({"echo": {"a": 1}, "served": 1}, False))
        self.assertEqual(self.send(process, "ü", request_id="id-2"), ({"echo": "ü", "served": 2}, False))
        self.assertTrue(self.logged.wait(5))
        self.assertEqual(self.lines[0], 'event {"a": 1}\n')
        self.assertGreater(process.peak_memory_mb, 0)

    def test_errors_and_answers_to_nothing(self):
        process = self.start()
        process.wait_ready(20)
        self.assertEqual(self.send(process, "fail"), ({"errorType": "Asked"}, True))
        self.assertEqual(self.send(process, "wrong id")[0]["echo"], 400)

    def test_a_crash_is_told_and_ends_the_process(self):
        process = self.start()
        process.wait_ready(20)
        answer, failed = self.send(process, "crash")
        self.assertTrue(failed)
        self.assertEqual(answer["errorType"], "Runtime.ExitError")
        self.assertIn("exit status 7", answer["errorMessage"])
        self.assertFalse(process.alive)

    def test_a_timeout_kills_it(self):
        process = self.start()
        process.wait_ready(20)
        with self.assertRaises(TimedOut):
            self.send(process, "hang", seconds=0.2)
        self.assertFalse(process.alive)

    def test_init_errors(self):
        with self.assertRaisesRegex(InitError, "Mine"):
            self.start(FAIL="init").wait_ready(20)
        with self.assertRaisesRegex(InitError, "exit status 4"):
            self.start(FAIL="silent").wait_ready(20)
        (self.folder / "bootstrap").chmod(0o644)
        with self.assertRaisesRegex(InitError, "no executable bootstrap"):
            self.start()
        (self.folder / "bootstrap").write_text("#!/nowhere\n")
        (self.folder / "bootstrap").chmod(0o755)
        with self.assertRaises(InitError):
            self.start().wait_ready(20)


if __name__ == "__main__":
    unittest.main()
