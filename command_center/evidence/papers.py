"""The texts in a bag: for a person who has none of our software, and for a court."""

from typing import Final

README: Final = """EVIDENCE PACKAGE
================

{facts}

Start with report.html (or report.pdf). To check that nothing was changed, read VERIFY.md: it takes one command, and
another way needs only sha256sum and openssl.

report.html, report.pdf   what happened, for reading
timeline.csv              the same as a table, from the center's journal
incidents.json            each incident as the center shows it
alerts/                   each alert: what was signed (.pae), the signature (.sig), both as DSSE (.dsse.json), what was
                          seen (.body, and .json for people)
retractions/              where a node took an alert back, signed like it; only if there are any
exhibits/                 which pictures belong to which alert, signed by the node
media/                    pictures and clips exactly as they arrived, named by their SHA-256
passports/, keys/         who holds which key, signed by the authority; key history; the list of the withdrawn
journal/                  the entries, proofs that each is in the journal, the signed checkpoint
custody/custody.csv       who received, viewed, acted on and exported what, this export included
custody/clocks.csv        what each time means and how good the clock was
eido/                     each incident as an Emergency Incident Data Object (NENA-STA-021), for another agency's system
redactions/               masked copies of pictures; completeness.json lists the originals' digests; only if there are any
models.json               which model raised each alert
completeness.json         what is in, what is not, and why; completeness/ has the tables
CERTIFICATION-902.pdf     a form for a certification under FRE 902(13) and (14), to be completed by a person
incident.db               the facts as an SQLite database (opens in Datasette)

Times of a node are by the node's clock, times of the center by the center's. custody/clocks.csv says how good they were.
"""

VERIFY: Final = """# How to check this bag

## With Python alone

    python3 data/verify.py

It says one line for each thing that it proved, or names the first file that is wrong. It needs no network and no library.
A forger could have changed the program, too: take `verify.py` and `verifier/` from the agency, or from the
source code of Heard, and run it with the name of this folder or of the ZIP. **Compare the authority's fingerprint** that
it prints with the one that the agency publishes (`--authority FINGERPRINT` does it for you):

    {authority}

## With sha256sum, bagit.py and openssl

In the bag's folder:

    sha256sum -c manifest-sha256.txt
    sha256sum -c tagmanifest-sha256.txt
    bagit.py --validate .
    openssl pkeyutl -verify -pubin -inkey signatures/center.pem -rawin -in tagmanifest-sha256.txt \\
        -sigfile signatures/tagmanifest-sha256.txt.sig

`sha256sum` finds what was changed or taken away, `bagit.py` also what was added under `data/`; `verify.py` finds all three anywhere.

If there is a timestamp (signatures/tagmanifest-sha256.txt.tsr):

    sha256sum -c signatures/timestamp-sha256.txt
    openssl ts -verify -data tagmanifest-sha256.txt -in signatures/tagmanifest-sha256.txt.tsr -CAfile signatures/tsa-chain.pem

(take the authority's chain from where you trust it: the file in the bag is what the center was configured with.)

One alert, with its node's key (`alerts/ID.json` names the node):

    openssl pkeyutl -verify -pubin -inkey data/keys/NODE.pem -rawin -in data/alerts/ID.pae -sigfile data/alerts/ID.sig

A passport, with the authority's key (use `data/keys/authority.pem` only after comparing its fingerprint):

    openssl pkeyutl -verify -pubin -inkey data/keys/authority.pem -rawin -in data/passports/NODE-SERIAL.pae \\
        -sigfile data/passports/NODE-SERIAL.sig

The fingerprint is the SHA-256 of the last 32 bytes of the key:

    openssl pkey -pubin -in data/keys/authority.pem -outform DER | tail -c 32 | sha256sum

## What was signed

A `.pae` file is `DSSEv1 LENGTH TYPE LENGTH PAYLOAD` (DSSE 1.0.2). The payload of an alert is a header of 76 bytes, big-endian:

| offset | bytes | field |
|---|---|---|
| 0 | 1 | kind: 1 alert, 3 exhibit |
| 1 | 1 | clock quality (high 4 bits: 0 unset, 1 free running, 2 synchronized, 3 satellite), precedence (low 4 bits) |
| 2 | 8 | node: first 8 bytes of the SHA-256 of its signing key |
| 10 | 4 | series |
| 14 | 2 | boot |
| 16 | 4 | number within the series, from 1 |
| 20 | 6 | the node's wall clock, ms since 1970 |
| 26 | 6 | the node's monotonic clock, ms |
| 32 | 4 | time to live, s |
| 36 | 8 | first 8 bytes of the SHA-256 of the header before |
| 44 | 32 | SHA-256 of the `.body` file |

The body of a clip's exhibit ends with its segments: size and SHA-256 of each, one after another; exhibits/ID.json shows them with their
first and last byte. A copy of which only a part is whole still proves that part.

The SHA-256 of the header is the alert's id and the name of its files. The body is msgpack; its first 8 bytes of facts are random.

## The journal

`journal/entries.jsonl` has one entry a line. Its leaf is SHA-256 of 0x00 and the msgpack array
`[1, id, at_ms, kind, actor, subject, SHA-256(payload)]`. `proof` is the RFC 9162 inclusion proof of leaf `id - 1` in the tree whose size
and root are in `journal/checkpoint`, a C2SP signed note; `journal/verifier-key` is its key for note tools. `journal/earlier-checkpoints.jsonl` holds
checkpoints that others were given before, each with the RFC 9162 consistency proof that this journal begins with it, and what witnesses
signed below it (`cosignatures`: C2SP cosignature v1; the witness's own key checks them). If you kept one,
`python3 data/verify.py --against FILE` says whether history is still the one that it spoke of.

## What is not proven

That a node's camera saw what it says; that its clock was right; that the center entered no alert of its own making (only a node's
key can sign one, and the passport says whose it is); that numbers listed as lying in other incidents do (the center says so,
under its signature).
"""

VERIFY_PY: Final = '''"""Checks this bag, or the one that is named, with nothing but Python 3.10 or later: ``python3 data/verify.py``."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.dont_write_bytecode = True  # a bag that is being checked must not grow
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    from verifier.main import main

    sys.exit(main(sys.argv[1:], Path(__file__).resolve().parent.parent, print))
'''

CERTIFICATION: Final = """CERTIFICATION OF ELECTRONIC RECORDS
Federal Rules of Evidence 902(13) and 902(14)

This form is not signed and certifies nothing until a qualified person has read, completed and signed it.

Package: {name}
Made: {made} by {software}, from the records of: {agency}
SHA-256 of the authority's key: {authority}
Selection: {selection}

I, ______________________________________ (name, title, organization), state:

1. I am qualified to make this certification by: _______________________________________________________

2. The process (902(13)). Cameras' gateways ("nodes") evaluate video. When a rule confirms a sighting, the node
composes a statement, numbers it, links it to the one before, signs it with an Ed25519 key that was made on the device, and stores
it durably before sending it. The command center verifies the signature against a passport that its authority signed, and
writes the exact signed bytes into an append-only journal whose entries are the leaves of an RFC 9162 Merkle tree. Pictures and
clips are accepted only when their SHA-256 is the one that the node signed. The records in this package were produced by this
process in the regular course of operation. The process produces an accurate result because (state your basis: tests, checks
with "command-center check", maintenance records): ________________________________________________

3. The copy (902(14)). The files under data/ are copies of these records, identified by their SHA-256 values, which
manifest-sha256.txt lists. I compared them by: ________________________________________ on (date) ________________,
with the result: ____________________________. The SHA-256 of tagmanifest-sha256.txt is (write it here):
__________________________________________________________________________________________

4. Exceptions, outages and known errors during the period: ________________________________________________

I certify under penalty of perjury that the foregoing is true and correct.

Date: ____________________   Place: ______________________   Signature: ______________________________
"""
