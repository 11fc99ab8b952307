"""H.264 in the form that WebRTC takes, from both forms that cameras and files give."""

from pathlib import Path

import av
import pytest

from camera_node.annex_b import START_CODE, form_of, to_annex_b
from tests.camera_node.film import write_film


def test_packets_of_a_file_decode_alone_from_every_key_frame_on(tmp_path: Path) -> None:
    with av.open(str(write_film(tmp_path / "film.mp4"))) as container:
        stream = container.streams.video[0]
        form = form_of(bytes(stream.codec_context.extradata or b""))
        assert form.length_bytes == 4
        packets = [(bytes(p), p.is_keyframe) for p in container.demux(stream) if p.size]
    assert sum(is_key for _, is_key in packets) > 1
    start = [number for number, (_, is_key) in enumerate(packets) if is_key][1]
    decoder = av.CodecContext.create("h264", "r")
    decoded = [
        frame
        for data, is_key in packets[start:]
        for frame in decoder.decode(av.Packet(to_annex_b(data, form, is_key=is_key)))
    ]
    decoded += decoder.decode(None)
    assert len(decoded) == len(packets) - start


def test_parameters_of_the_sdp_go_before_key_frames_that_carry_none() -> None:
    parameters = START_CODE + b"\x67sps" + START_CODE + b"\x68pps"
    form = form_of(parameters)
    key = START_CODE + b"\x65slice"
    assert to_annex_b(key, form, is_key=True) == parameters + key
    assert to_annex_b(START_CODE + b"\x41slice", form, is_key=False) == START_CODE + b"\x41slice"
    assert to_annex_b(parameters + key, form, is_key=True) == parameters + key


@pytest.mark.parametrize("extradata", [b"\x01", b"\x01\x42\x00\x1e\xff\xe1\x00\x40short", b"\x01\x42\x00\x1e\xff\xe1"])
def test_damaged_configuration_record_is_refused(extradata: bytes) -> None:
    with pytest.raises(ValueError, match="expected"):
        form_of(extradata)


@pytest.mark.parametrize("packet", [b"\x00\x00\x00\x09abc", b"\x00\x00\x00\x00", b"\x00\x00"])
def test_lengths_that_do_not_add_up_are_refused(packet: bytes) -> None:
    form = form_of(b"\x01\x42\x00\x1e\xff\xe1\x00\x02ab\x01\x00\x02cd")
    with pytest.raises(ValueError, match="expected a unit"):
        to_annex_b(packet, form, is_key=False)
