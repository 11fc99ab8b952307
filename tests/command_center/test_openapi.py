"""The API as its own OpenAPI describes it, called with everything that this allows and with much that it does not: never a 5xx."""

import collections
import contextlib
import subprocess
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings

from command_center.demonstration.household import BIN_DIR, free_port

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its own libraries
    import schemathesis
    from schemathesis.core.result import Ok

PASSWORD = "nine patient herons"
EXAMPLES = 8
BUDGET_S = 45.0
LEFT_OUT = {("GET", "/api/v1/events"), ("POST", "/api/v1/verifications")}
"""A stream that does not end, and a ZIP, for which schemathesis has no generator (``tests/evidence`` has)."""


@contextlib.contextmanager
def serving(tmp_path: Path) -> Iterator[str]:
    state_dir, port = tmp_path / "center", free_port()
    (tmp_path / "password").write_text(PASSWORD)
    for command in (
        ["init"],
        ["user", "add", "ada", "--role", "administrator", "--password-file", tmp_path / "password"],
    ):
        subprocess.run(
            [BIN_DIR / "command-center", *command, "--state", state_dir], check=True, capture_output=True, timeout=60
        )
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [BIN_DIR / "command-center", "run", "--state", state_dir, "--http", f"127.0.0.1:{port}", "--listen",
             f"tcp://127.0.0.1:{free_port()}", "--log-level", "error"], stdout=subprocess.PIPE, stderr=log,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            assert b"Console" in process.stdout.readline()
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)
            assert process.stdout is not None
            process.stdout.close()


class Administrator:
    """A session that signs in again when a call has ended it."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=30, trust_env=False)
        self.headers: dict[str, str] = {}
        self._device = ""

    def sign_in(self) -> None:
        """From the browser that was in before: guesses of the calls at codes and passwords must not keep it out."""
        self._client.cookies.clear()
        answer = self._client.post("/api/v1/session", json={"username": "ada", "password": PASSWORD},
                                   headers={"Cookie": f"heard_device={self._device}"})  # fmt: skip
        assert answer.status_code == 200, answer.text
        self._device = answer.cookies["heard_device"]
        cookie = f"heard_session={answer.cookies['heard_session']}; heard_device={self._device}"
        self._client.cookies.clear()
        self.headers = {"Cookie": cookie, "X-Heard-CSRF": answer.json()["csrf"]}

    def is_in(self) -> bool:
        return self._client.get("/api/v1/session", headers=self.headers).status_code == 200

    def close(self) -> None:
        self._client.close()


@pytest.mark.slow
@pytest.mark.timeout(170)
@pytest.mark.filterwarnings("ignore")  # schemathesis says what it could not generate
def test_nothing_that_can_be_asked_makes_the_center_fail(tmp_path: Path) -> None:
    failures: list[str] = []
    statuses: collections.Counter[int] = collections.Counter()
    with serving(tmp_path) as url, contextlib.closing(Administrator(url)) as someone:
        someone.sign_in()
        schema = schemathesis.openapi.from_url(f"{url}/api/v1/openapi.json")
        operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
        operations = [one for one in operations if (one.method.upper(), one.path) not in LEFT_OUT]
        assert len(operations) > 60
        deadline = time.monotonic() + BUDGET_S
        for done, operation in enumerate(operations):
            if time.monotonic() > deadline:
                warnings.warn(f"{len(operations) - done} operations not reached within {BUDGET_S} s", stacklevel=1)
                break

            @settings(
                max_examples=EXAMPLES,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
                derandomize=True,
            )
            @given(case=operation.as_strategy())
            def ask(case: schemathesis.Case[Any]) -> None:
                answer = case.call(headers=someone.headers, timeout=30)
                statuses[answer.status_code] += 1
                if answer.status_code >= 500:
                    failures.append(f"{case.method} {case.formatted_path}: {answer.status_code} {answer.text[:200]}")
                if answer.status_code == 401 and not someone.is_in():
                    someone.sign_in()

            ask()
    log = (tmp_path / "log").read_text()
    assert not failures, "\n".join(failures[:20]) + log[-3000:]
    assert "Traceback" not in log, log[-3000:]
    assert statuses[200] > 50, f"the calls must get past the door: {statuses}"
    assert statuses[422] > 50, f"and some must be wrong: {statuses}"
    print(dict(statuses))
