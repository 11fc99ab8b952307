"""Opening a sealed original on the command line: journalled first, refused when it is another authority's."""

import json
import os
from pathlib import Path

from nacl.public import PrivateKey, PublicKey, SealedBox
from typer.testing import CliRunner

from command_center.cli import app
from command_center.state_dir import StateDir

PICTURE = b"\xff\xd8\xff" + os.urandom(5000)


def test_an_original_is_opened_for_a_reason_that_stands_in_the_journal(tmp_path: Path) -> None:
    state_dir, run = tmp_path / "state", CliRunner()
    assert run.invoke(app, ["init", "--http", "127.0.0.1:0", "--state", str(state_dir)]).exit_code == 0
    authority = StateDir(state_dir).load_issuer().authority
    sealed = tmp_path / f"{'ab' * 32}.sealed"
    sealed.write_bytes(SealedBox(PublicKey(authority.sealing_key)).encrypt(PICTURE))
    to = tmp_path / "original.jpg"
    done = run.invoke(
        app, ["unseal", str(sealed), "--to", str(to), "--reason", "court order 7", "--state", str(state_dir)]
    )
    assert done.exit_code == 0, done.output
    assert to.read_bytes() == PICTURE
    again = run.invoke(app, ["unseal", str(sealed), "--to", str(to), "--reason", "again", "--state", str(state_dir)])
    assert again.exit_code != 0, "nothing is overwritten"
    foreign = tmp_path / "foreign.sealed"
    foreign.write_bytes(SealedBox(PrivateKey.generate().public_key).encrypt(PICTURE))
    refused = run.invoke(
        app, ["unseal", str(foreign), "--to", str(tmp_path / "x.jpg"), "--reason", "why not", "--state", str(state_dir)]
    )
    assert refused.exit_code != 0
    assert not (tmp_path / "x.jpg").exists()
    database = StateDir(state_dir).open_database()
    try:
        rows = database.run_blocking(
            lambda c: c.execute("SELECT subject, payload FROM entry WHERE kind = 'original-unsealed'").fetchall()
        )
    finally:
        database.close()
    assert len(rows) == 1
    assert rows[0][0] == f"alert:{'ab' * 32}"
    assert b"court order 7" in rows[0][1]
    checked = run.invoke(app, ["check", "--state", str(state_dir), "--json"])
    assert json.loads(checked.output)["problems"] == []
