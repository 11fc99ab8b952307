"""The node's own page and its check: read by people, honest about what is wrong, and without a secret."""

import asyncio
import json
import os
import urllib.request
from pathlib import Path
from typing import get_args

import pytest

from camera_node import action_check, path_check
from camera_node.actions import CommandAction, GpioAction, HttpAction
from camera_node.config import FallbackConfig, NodeConfig
from camera_node.preflight import check
from relay.config import Kind as PathKind
from relay.config import MetricsConfig, PathConfig
from relay.header import Kind
from tests.camera_node.house import House
from tests.camera_node.test_node import camera, model, running
from tests.camera_node.waiting import until
from tests.relay.mosquitto import free_port


async def test_the_page_says_how_the_node_is_and_runs_no_script(tmp_path: Path) -> None:
    house = House(tmp_path)
    state_dir = house.enroll_camera()
    port = free_port()
    async with house.run_center() as (_, inbox, path):
        lost = camera(tmp_path, name="<b>yard", source="rtsp://admin:secret@127.0.0.1:1/x", loop=False)
        config = NodeConfig(state_dir=state_dir, path=(path,), camera=(camera(tmp_path), lost), model=model(tmp_path),
                            metrics=MetricsConfig(listen=f"127.0.0.1:{port}"))  # fmt: skip
        async with running(config) as node:
            await until(lambda: bool(inbox.of(Kind.ALERT)), what="an alert")
            await until(lambda: "nothing listens" in node.cameras()[1].detail, what="the lost camera's reason")
            page, headers = await asyncio.to_thread(_get, f"http://127.0.0.1:{port}/")
            data, _ = await asyncio.to_thread(_get, f"http://127.0.0.1:{port}/status.json")
            metrics, _ = await asyncio.to_thread(_get, f"http://127.0.0.1:{port}/metrics")
    assert "1 of 2 cameras see; 1 of 1 paths are up" in page
    assert "! lost" in page
    assert "handgun" in page
    assert "&lt;b&gt;yard" in page
    assert "<script" not in page
    assert "<b>yard" not in page
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert len(json.loads(data)["cameras"]) == 2
    assert "# TYPE" in metrics
    assert "secret" not in page + data + metrics


def _get(url: str) -> tuple[str, dict[str, str]]:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode(), dict(answer.headers)


@pytest.mark.parametrize(("settings", "is_well", "said"), [
    ({"endpoint": "tcp://127.0.0.1:1"}, False, "can't be reached"),
    ({"endpoint": "tcp://nowhere.invalid:5"}, False, "has no address"),
    ({"endpoint": "rubbish"}, False, "expected an address"),
    ({"kind": "mqtt", "endpoint": "mqtt://127.0.0.1:1"}, False, "can't be reached"),
    ({"kind": "sms", "endpoint": "serial:///dev/no-such-modem"}, False, "plugged in"),
    ({"kind": "sms", "endpoint": "serial:///etc/passwd"}, False, "expected a serial device"),
    ({"kind": "sms", "endpoint": "serial:///dev/ptmx"}, True, "is there"),
    ({"kind": "tls", "endpoint": "tls://127.0.0.1:1"}, False, "nothing listens there"),
])  # fmt: skip
async def test_paths_of_every_kind_are_tried(settings: dict[str, str], is_well: bool, said: str) -> None:
    finding = await path_check.check(PathConfig(name="p", peer="center", **settings), Path("none"))  # type: ignore[arg-type]
    assert finding.is_well is is_well
    assert said in finding.detail


ENDPOINTS = {
    "zeromq": "tcp://127.0.0.1:1", "tls": "tls://127.0.0.1:1", "https": "https://127.0.0.1:1", "mqtt": "mqtts://127.0.0.1:1",
    "serial_radio": "serial:///dev/none", "short_burst": "serial:///dev/none", "sms": "serial:///dev/none", "neighbor": "",
}  # fmt: skip


@pytest.mark.parametrize("kind", get_args(PathKind))
async def test_an_endpoint_of_every_kind_is_one_that_the_check_understands(kind: str) -> None:
    path = PathConfig(name="p", kind=kind, endpoint=ENDPOINTS[kind], peer="center" if ENDPOINTS[kind] else "")  # type: ignore[arg-type]
    assert "expected" not in (await path_check.check(path, Path("none"))).detail


@pytest.mark.parametrize(("settings", "said"), [
    ({"peer": "centre"}, "which has no passport here (known: center): correct `peer`"),
    ({"endpoint": "tcp://127.0.0.1:70000"}, "its port at most 65535"),
    ({"kind": "mqtt", "endpoint": "mqtt://user@127.0.0.1:1883"}, "user and password go into"),
])  # fmt: skip
async def test_a_path_that_the_node_could_not_make_is_wrong_before_anything_is_called(
    tmp_path: Path, settings: dict[str, str], said: str
) -> None:
    listener = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    endpoint = f"tcp://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    path = PathConfig(**{"name": "p", "peer": "center", "endpoint": endpoint, **settings})  # type: ignore[arg-type]
    async with listener:
        finding = await path_check.check(path, House(tmp_path).enroll_camera())
    assert not finding.is_well
    assert said in finding.detail


async def test_actions_are_tried_without_sounding_them(tmp_path: Path) -> None:
    program = tmp_path / "siren"
    program.write_text("#!/bin/sh\ntouch sounded\n")
    program.chmod(0o755)
    found = await action_check.check(CommandAction(name="siren", command=(str(program),)))
    assert found.is_well
    assert not (await action_check.check(CommandAction(name="siren", command=("/no/such/siren",)))).is_well
    line = await action_check.check(GpioAction(name="strobe", chip="/dev/gpiochip99", line=1))
    assert not line.is_well
    assert "gpio" in line.detail
    switch = await action_check.check(HttpAction(name="plug", url="http://user:secret@127.0.0.1:1/on"))
    assert not switch.is_well
    assert "secret" not in switch.detail
    assert [entry.name for entry in os.scandir(tmp_path)] == ["siren"]


async def test_the_check_names_what_is_wrong_and_goes_on(tmp_path: Path) -> None:
    state_dir = House(tmp_path).enroll_camera()
    config = NodeConfig(state_dir=state_dir, model=model(tmp_path), camera=(camera(tmp_path),),
                        path=(PathConfig(name="site", endpoint="tcp://127.0.0.1:1", peer="center"),),
                        action=(CommandAction(name="siren", command=("/no/such/siren",)),),
                        fallback=FallbackConfig(command=("/no/such/bell",)))  # fmt: skip
    found = {finding.what: finding async for finding in check(config)}
    assert [what for what, finding in found.items() if not finding.is_well] == ["path site", "action siren", "fallback"]
    assert "/no/such/bell" in found["fallback"].detail
    assert "board" in found
    assert "CPU" in found["camera gate"].detail
