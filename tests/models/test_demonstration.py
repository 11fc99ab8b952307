"""The shipped scene, its truth and its detector belong together and do what the model card says."""

import json
from pathlib import Path

import av
import msgspec
import numpy as np
import onnxruntime
import pytest

from models.demonstration import MODEL_CARD_FILE, SCENE_FILE, WEIGHTS_FILE, SceneTruth, load_truth
from models.demonstration.measure_detector import (
    LEAST_OVERLAP,
    LEAST_SCORE,
    WEAPONS,
    Detector,
    detect_clip,
    frames_with_found_weapon,
)
from models.demonstration.render_scene import (
    CLIP_SEED,
    LABELS,
    render_clip,
    render_pictures,
    write_pictures,
)
from models.demonstration.train_detector import HELD_OUT_SEED, TRAINING_SEED
from models.evaluation import Span, noticed_events, score_label


@pytest.fixture(scope="module")
def truth() -> SceneTruth:
    return load_truth()


def test_clip_is_what_the_truth_says(truth: SceneTruth) -> None:
    with av.open(str(SCENE_FILE)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height) == (truth.width_px, truth.height_px) == (1280, 720)
        assert stream.average_rate == truth.frames_per_second == 15
        packets = [packet for packet in container.demux(stream) if packet.size]
    assert len(packets) == truth.frame_count == len(truth.frames)
    keys = [index for index, packet in enumerate(packets) if packet.is_keyframe]
    assert max(np.diff([*keys, len(packets)])) <= truth.frames_per_second
    assert all(packet.pts == packet.dts for packet in packets), "B-frames would delay a live view"


def test_clip_starts_fast_and_is_small() -> None:
    content = SCENE_FILE.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
    assert len(content) < 4_000_000
    assert WEIGHTS_FILE.stat().st_size < 4_000_000


def test_someone_armed_comes_at_once_and_then_again_and_again(truth: SceneTruth) -> None:
    starts = [event.first_frame / truth.frames_per_second for event in truth.events]
    assert starts[0] < 3.0
    assert all(gap < 10.0 for gap in np.diff(starts))
    assert {event.label for event in truth.events} == {"handgun", "long_gun"}
    assert {event.zone for event in truth.events} <= {zone.name for zone in truth.zones}


def test_events_are_those_of_the_boxes(truth: SceneTruth) -> None:
    for event in truth.events:
        for index in (event.first_frame, event.last_frame):
            assert (event.label, event.track) in {(box.label, box.track) for box in truth.frames[index].boxes}
    inside = {
        (event.track, index) for event in truth.events for index in range(event.first_frame, event.last_frame + 1)
    }
    armed = {(box.track, frame.index) for frame in truth.frames for box in frame.boxes if box.label != "person"}
    assert armed <= inside


def test_boxes_lie_in_the_picture(truth: SceneTruth) -> None:
    for frame in truth.frames:
        for box in frame.boxes:
            left, top, right, bottom = box.bbox_xyxy_px
            assert 0 <= left < right <= truth.width_px
            assert 0 <= top < bottom <= truth.height_px
            assert box.label in LABELS


def test_rendering_twice_gives_the_same_pixels() -> None:
    chosen = range(40, 43)
    once, again = list(render_clip(frames=chosen)), list(render_clip(frames=chosen))
    assert [shown for _, shown in once] == [shown for _, shown in again]
    for (one, _), (other, _) in zip(once, again, strict=True):
        assert np.array_equal(one, other)


def test_another_seed_gives_another_scene() -> None:
    (one, _), (other, _) = (next(render_pictures(1, seed)) for seed in (1, 2))
    assert not np.array_equal(one, other)
    assert len({CLIP_SEED, TRAINING_SEED, HELD_OUT_SEED}) == 3


def test_shipped_truth_is_that_of_the_renderer(truth: SceneTruth) -> None:
    """The renderer as it is now still makes the clip that is shipped: same boxes, same picture but for coding."""
    assert truth.seed == CLIP_SEED
    wanted = (7, 400, 801)
    rendered = {index: next(render_clip(frames=range(index, index + 1))) for index in wanted}
    with av.open(str(SCENE_FILE)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index in wanted:
                picture, shown = rendered[index]
                shipped = truth.frames[index].boxes
                assert [(box.label, box.track) for box in shown.boxes] == [(box.label, box.track) for box in shipped]
                now, then = (np.array([box.bbox_xyxy_px for box in boxes]) for boxes in (shown.boxes, shipped))
                assert np.abs(now - then).max() <= 2, "another processor may round an edge differently"
                difference = np.abs(frame.to_ndarray(format="bgr24").astype(np.int16) - picture.astype(np.int16))
                assert float(difference.mean()) < 6.0


def test_training_pictures_carry_yolo_labels(tmp_path: Path) -> None:
    write_pictures(tmp_path, 3, seed=4)
    names = sorted(file.stem for file in (tmp_path / "images").iterdir())
    assert names == sorted(file.stem for file in (tmp_path / "labels").iterdir()) == ["00000", "00001", "00002"]
    for file in (tmp_path / "labels").iterdir():
        for line in file.read_text("utf-8").splitlines():
            number, *box = line.split()
            assert 0 <= int(number) < len(LABELS)
            assert all(0.0 <= float(value) <= 1.0 for value in box)


def test_weights_say_what_they_take_and_give() -> None:
    session = onnxruntime.InferenceSession(WEIGHTS_FILE.read_bytes(), providers=["CPUExecutionProvider"])
    (taken,), (given,) = session.get_inputs(), session.get_outputs()
    assert (taken.shape, taken.type) == ([1, 3, 384, 640], "tensor(float)")
    assert given.shape == [1, 4 + len(LABELS), 5040]
    facts = session.get_modelmeta().custom_metadata_map
    assert (facts["task"], facts["stride"], facts["imgsz"]) == ("detect", "32", "[384, 640]")
    assert json.loads(
        facts["names"].replace("'", '"').replace("0:", '"0":').replace("1:", '"1":').replace("2:", '"2":')
    ) == {str(number): label for number, label in enumerate(LABELS)}
    assert "/" not in facts["description"]


def test_detector_reaches_the_recall_of_its_card(truth: SceneTruth) -> None:
    """Every fifth frame, so a little below the card's figures, which are for all frames."""
    frames = list(detect_clip(Detector(WEIGHTS_FILE.read_bytes()), every=5))
    events = [Span(first_frame=event.first_frame, last_frame=event.last_frame) for event in truth.events]
    assert noticed_events(events, frames_with_found_weapon(frames), within=30) == len(events)
    for label, recall, precision in (("handgun", 0.80, 0.80), ("long_gun", 0.75, 0.88), ("person", 0.85, 0.90)):
        quality = score_label(
            [frame for _, frame in frames], label, least_score=LEAST_SCORE, least_overlap=LEAST_OVERLAP
        )
        assert quality.recall >= recall, (label, quality)
        assert quality.precision >= precision, (label, quality)
    quiet = [frame for _, frame in frames if not any(true.label in WEAPONS for true in frame.truth)]
    assert len(quiet) > 30
    alarmed = [one for frame in quiet for one in frame.detections if one.label in WEAPONS and one.score >= LEAST_SCORE]
    assert alarmed == []


def test_truth_file_with_an_unknown_field_is_refused(tmp_path: Path) -> None:
    forged = tmp_path / "truth.json"
    forged.write_text('{"width_px": 1, "surprise": true}', "utf-8")
    with pytest.raises(msgspec.ValidationError):
        load_truth(forged)


def test_model_card_warns_and_names_the_license() -> None:
    card = MODEL_CARD_FILE.read_text("utf-8")
    for wanted in ("not for real use", "AGPL-3.0", "rendered", "scene.mp4", "handgun", "long_gun"):
        assert wanted in card
