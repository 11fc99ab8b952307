"""Each file of the corpus through its decoder: what is valid is accepted, the rest accepted or refused, and nothing else ever happens."""

import pytest

from tests.fuzz.decoders import DECODERS
from tests.fuzz.make_corpora import CORPORA_DIR, corpus_of


@pytest.mark.parametrize("name", DECODERS)
def test_the_corpus_is_accepted_or_refused(name: str) -> None:
    files = sorted((CORPORA_DIR / name).glob("*.bin"))
    assert files or not DECODERS[name].valid, "python -m tests.fuzz.make_corpora writes it"
    for file in files:
        is_taken = DECODERS[name].take(file.read_bytes())
        if file.name.startswith("valid-") and DECODERS[name].accepts_valid:
            assert is_taken, file.name


@pytest.mark.parametrize("name", DECODERS)
def test_the_written_corpus_is_the_one_that_the_decoders_are_made_for(name: str) -> None:
    for file, data in corpus_of(name).items():
        if file.startswith("valid-"):
            assert (CORPORA_DIR / name / file).read_bytes() == data, (
                f"{file}: python -m tests.fuzz.make_corpora writes it anew"
            )


@pytest.mark.parametrize("name", DECODERS)
def test_every_decoder_takes_every_other_decoder_s_corpus(name: str) -> None:
    for file in sorted(CORPORA_DIR.glob("*/*.bin")):
        DECODERS[name].take(file.read_bytes())


def test_no_corpus_is_left_of_a_decoder_that_is_gone() -> None:
    assert {folder.name for folder in CORPORA_DIR.iterdir()} <= set(DECODERS)
