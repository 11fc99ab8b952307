"""Bad configuration: which file, which key, what was expected, what to do."""

from pathlib import Path

import pytest

from camera_node.config import load
from relay.errors import ConfigError

GOOD = """
state_dir = "state"
[[path]]
name = "lan"
endpoint = "tcp://127.0.0.1:5701"
peer = "relay"
[[camera]]
name = "gate"
source = "clip.mp4"
loop = true
[[camera.zone]]
name = "yard"
polygon = [[0.0, 0.5], [1.0, 0.5], [1.0, 1.0]]
[[camera.rule]]
kind = "zone_intrusion"
zones = ["yard"]
[[camera.rule]]
kind = "class_of_interest"
labels = { handgun = "FLASH" }
[model]
weights_file = "weights.onnx"
[fallback]
deadline_s = 5
command = ["/usr/bin/siren", "on"]
[clip]
pre_roll_s = 3
quota_bytes = 2_000_000_000
is_sent = "never"
"""


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "node.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_good_file_is_read_and_its_paths_count_from_its_folder(tmp_path: Path) -> None:
    config = load(write(tmp_path, GOOD))
    assert config.state_dir == tmp_path / "state"
    assert config.camera[0].source == str(tmp_path / "clip.mp4")
    assert config.model.weights_file == tmp_path / "weights.onnx"
    assert config.fallback.command == ("/usr/bin/siren", "on")
    assert len(config.camera[0].rule) == 2
    assert (config.clip.pre_roll_s, config.clip.is_sent) == (3, "never")


HTTPS = """
[[path]]
name = "office"
kind = "https"
endpoint = "https://relay.example:5743"
peer = "relay"
[path.https]
ca_file = "site-ca.pem"
"""


def test_files_named_inside_a_path_count_from_the_folder_too(tmp_path: Path) -> None:
    config = load(write(tmp_path, GOOD.replace("[[camera]]", HTTPS + "[[camera]]", 1)))
    assert config.path[1].https.ca_file == tmp_path / "site-ca.pem"
    with pytest.raises(ConfigError, match=r"unknown key 'proxi' in \[path.https\]; known keys: proxy, ca_file"):
        load(write(tmp_path, GOOD.replace("[[camera]]", HTTPS.replace("ca_file", "proxi") + "[[camera]]", 1)))


@pytest.mark.parametrize(("old", "new", "words"), [
    ("loop = true", "lop = true", ["unknown key 'lop'", "[camera]", "loop", "node.toml"]),
    ("polygon =", "poligon =", ["unknown key 'poligon'", "[camera.zone]", "polygon"]),
    ('zones = ["yard"]', 'zonen = ["yard"]', ["unknown key 'zonen'", "zone_intrusion: kind, zones"]),
    ("pre_roll_s", "pre_role_s", ["unknown key 'pre_role_s'", "[clip]", "post_roll_s", "quota_bytes"]),
    ('is_sent = "never"', 'is_sent = "sometimes"', ["sometimes", "clip.is_sent"]),
    ("quota_bytes = 2_000_000_000", "quota_bytes = 20", ["1000000", "clip.quota_bytes"]),
    ("pre_roll_s = 3", "longest_s = 12", ["[clip] longest_s", "camera 'gate', 15", "found 12"]),
    ("loop = true", "pre_roll_s = 500", ["120", "pre_roll_s"]),
    ("deadline_s", "deadline", ["unknown key 'deadline'", "deadline_s"]),
    ('state_dir = "state"', 'state_dir = "state"\ncolor = 1', ["unknown key 'color'", "state_dir", "heartbeat"]),
    ('name = "gate"', 'name = "the northern gate"', ["1 to 12 bytes", "the northern gate"]),
    ('zones = ["yard"]', 'zones = ["roof"]', ["zone 'roof'", "known are yard"]),
    ("[1.0, 1.0]]", "[1.0, 1.5]]", ["1.0", "polygon"]),
    ("zone_intrusion", "intrusion", ["intrusion", "kind"]),
    ('"FLASH"', '"ROUTINE"', ["ROUTINE"]),
    ('weights_file = "weights.onnx"', "", ["exactly one of registry_dir, bundle_file, weights_file", "none"]),
    ('weights_file = "weights.onnx"', 'bundle_file = "x"', ["bundle_file needs signers_file"]),
    ("clip.mp4", "gopher://camera/x", ["rtsp://", "gopher://camera/x"]),
    ("[model]", "[model", ["not valid TOML"]),
    ("[model]", '[metrics]\nlisen = "x"\n[model]', ["unknown key 'lisen' in [metrics]; known keys: listen"]),
    ("[model]", '[[action]]\nkind = "bell"\nname = "x"\n[model]', ["unknown 'bell' at action[0].kind; known are command, gpio, http"]),
])  # fmt: skip
def test_bad_file_is_one_clear_error(tmp_path: Path, old: str, new: str, words: list[str]) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError) as refused:
        load(write(tmp_path, GOOD.replace(old, new, 1)))
    for word in words:
        assert word in str(refused.value)
    assert "\n" not in str(refused.value)


def test_two_cameras_of_one_name_are_refused(tmp_path: Path) -> None:
    doubled = GOOD + '[[camera]]\nname = "gate"\nsource = "b.mp4"\n'
    with pytest.raises(ConfigError, match="two cameras are called 'gate'"):
        load(write(tmp_path, doubled))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="found no such file"):
        load(tmp_path / "none.toml")


RULES = """
state_dir = "state"
[model]
weights_file = "w.onnx"
[second_stage]
look_alikes = ["cell phone"]
[[camera]]
name = "gate"
source = "clip.mp4"
[camera.motion_gate]
at_least_every_s = 0.5
[[camera.zone]]
name = "yard"
polygon = [[0, 0], [1, 0], [1, 1]]
[[camera.rule]]
kind = "line_crossing"
line = [[0.5, 0.1], [0.5, 0.9]]
direction = "to_left"
[[camera.rule]]
kind = "crowd"
least_count = 8
zones = ["yard"]
[[camera.rule]]
kind = "abandoned_object"
[[camera.rule]]
kind = "tamper"
"""


def test_every_rule_can_be_configured(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text(RULES)
    config = load(file)
    assert [type(rule).__name__ for rule in config.camera[0].rule] == [
        "LineCrossingSettings", "CrowdSettings", "AbandonedObjectSettings", "TamperSettings"]  # fmt: skip
    assert config.second_stage is not None
    assert config.camera[0].motion_gate is not None


@pytest.mark.parametrize(("old", "new", "said"), [
    ("[[0.5, 0.1], [0.5, 0.9]]", "[[0.5, 0.1], [0.5, 0.1]]", "two different points"),
    ('kind = "crowd"', 'kind = "mob"', "mob"),
    ("least_count = 8", "least_count = 8\nhow_many = 9", "crowd: kind, least_count"),
    ("at_least_every_s", "at_most_every_s", "known keys: least_motion, at_least_every_s"),
    ('look_alikes = ["cell phone"]', '[second_stage.model]\nthreads = 1', r"\[second_stage.model\] expected exactly one"),
    ("[1, 1]]", "[1, 1.5]]", "1.0"),
])  # fmt: skip
def test_wrong_rules_and_gates_are_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    file = tmp_path / "node.toml"
    file.write_text(RULES.replace(old, new))
    with pytest.raises(ConfigError, match=said):
        load(file)
