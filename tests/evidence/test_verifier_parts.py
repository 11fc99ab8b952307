"""The verifier's own arithmetic, against other people's: Ed25519, msgpack, Merkle proofs."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.signing import SigningKey

from command_center import merkle
from command_center.evidence.signatures import is_signature
from command_center.evidence.verifier import der, ed25519, packing
from command_center.evidence.verifier import journal as slices


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200), st.integers(0, 511))
def test_plain_python_ed25519_agrees_with_libsodium(seed: bytes, message: bytes, bit: int) -> None:
    signing = SigningKey(seed)
    key, signature = bytes(signing.verify_key), signing.sign(message).signature
    assert ed25519.verify(key, message, signature)
    changed = bytearray(signature)
    changed[bit // 8] ^= 1 << bit % 8
    for args in ((key, message, bytes(changed)), (key, message + b"x", signature),
                 (bytes([key[0] ^ 1]) + key[1:], message, signature)):  # fmt: skip
        assert not ed25519.verify(*args)
        assert not is_signature(*args)


@pytest.mark.parametrize("key", [bytes(32), b"\1" + bytes(31), b"\xec" + b"\xff" * 30 + b"\x7f", b"\xff" * 32,
                                 b"\xee" + b"\xff" * 30 + b"\x7f"])  # fmt: skip
def test_keys_that_fit_any_message_are_refused_by_both(key: bytes) -> None:
    """Small order or not canonical: with S = 0 and R = identity a lax verifier accepts every message."""
    for r in (bytes(32), b"\1" + bytes(31), key):
        for check in (ed25519.verify, is_signature):
            assert not check(key, b"anything", r + bytes(32))


def test_rfc_8032_vectors() -> None:
    vectors = [  # section 7.1: tests 1 and 2
        ("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
         "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"),
        ("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
         "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"),
    ]  # fmt: skip
    for key, message, signature in vectors:
        assert ed25519.verify(bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(signature))
        malleable = (
            int.from_bytes(bytes.fromhex(signature)[32:], "little") + 2**252 + 27742317777372353535851937790883648493
        )
        assert not ed25519.verify(
            bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(signature)[:32] + malleable.to_bytes(32, "little")
        )


@given(st.lists(st.integers(0, 2**64 - 1) | st.text(max_size=300) | st.binary(max_size=300), max_size=15))
def test_packing_agrees_with_msgpack(value: list[int | str | bytes]) -> None:
    import msgpack

    data = msgpack.packb(value, use_bin_type=True)
    assert packing.pack(value) == data  # type: ignore[arg-type]
    assert packing.unpack(data) == value


@pytest.mark.parametrize("length", [0, 31, 32, 255, 256, 65_535, 65_536])
def test_packing_agrees_with_msgpack_at_each_length(length: int) -> None:
    import msgpack

    for value in ("a" * length, b"a" * length):
        assert packing.pack(value) == msgpack.packb(value, use_bin_type=True)
        assert packing.unpack(packing.pack(value)) == value


@given(st.binary(max_size=64))
def test_unpacking_garbage_is_a_value_error_and_nothing_else(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        packing.unpack(data)
    for nested in (b"\x91" * 5000, b"\xdd\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff"):
        with pytest.raises(ValueError, match="not msgpack"):
            packing.unpack(nested)


@pytest.mark.parametrize("size", [*range(1, 34), 100])
def test_proofs_agree_with_the_journals_tree(size: int) -> None:
    leaves = [merkle.leaf_hash(bytes([n])) for n in range(size)]
    hashes = {(level, position): value for level, position, value in merkle.hashes_to_store(0, leaves, lambda *_: [])}

    def row_at(level: int, first: int, count: int) -> list[bytes]:
        if level == 0:
            return leaves[first : first + count]
        return [hashes[level, position] for position in range(first, first + count)]

    def at(level: int, position: int) -> bytes:
        return merkle.between(level, position, row_at)

    root = merkle.root(size, at)
    for n in range(size):
        proof = merkle.inclusion_proof(n, size, at)
        assert slices.root_from_inclusion(n, size, leaves[n], proof) == root
        assert slices.root_from_inclusion(n, size, leaves[n], [*proof, root]) != root
        assert slices.root_from_inclusion(n, size, leaves[n - 1], proof) != root or size == 1
        old = merkle.root(n + 1, at)
        steps = merkle.consistency_proof(n + 1, size, at)
        assert slices.is_consistent(n + 1, old, size, root, steps)
        assert not slices.is_consistent(n + 1, root if old != root else bytes(32), size, root, steps)


def test_a_key_or_a_name_without_end_is_refused_before_anything_is_reckoned() -> None:
    """A hostile token's exponent of a million bits would make one verification last for days."""
    modulus, signature = (1 << 2047) + 1, bytes(256)
    assert der._rsa(modulus, 1 << 1_000_000, "sha256", b"said", signature) is False
    assert der._rsa((1 << 1_000_000) + 1, 65537, "sha256", b"said", bytes(125_001)) is False
    with pytest.raises(ValueError, match="64 bytes"):
        der.oid(der.Node(der.OID, b"\xff" * 100_000, b""))
