"""The folder that holds a center: keys, passport, configuration, database, pictures. ``init`` makes it, once.

========================  =====================================================================
authority.key             signs passports and rosters; bodies are sealed for it. Back it up offline
identity.key              this center's own keys: receipts, checkpoints
enrollment.msgpack        this center's passport, as every station has one
center.toml               configuration
plans.toml                response plans (run cards), where there are any
center.sqlite             spool, ledger, journal, views, accounts, fleet: one file, so that one commit covers them
intake.log                alerts that were receipted and that center.sqlite gets in this very moment
audit.sqlite              where each word is in the journal: may be deleted, is made anew, and is in no backup
blobs/                    snapshots and clips, named by their SHA-256
standby.redo              while this folder follows another machine's center: what came and is not in center.sqlite yet
admin.sock                the running center's local door, mode 600
========================  =====================================================================
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from command_center import accounts, config, facts, fleet, journal, journeys, view_schema
from command_center.callbacks import store as callback_store
from command_center.config import CenterConfig
from command_center.custody import schema as custody_schema
from command_center.enrollments import VALIDITY_MS, Issuer
from command_center.errors import AlreadyInitialized, NotInitialized
from command_center.facts import Remark
from command_center.responses import plan_file
from command_center.responses import schema as response_schema
from command_center.units import schema as unit_schema
from relay import intake_log, ledger, passport
from relay.clock import PLAUSIBLE_SINCE_MS, Clock, ClockQuality
from relay.database import Database
from relay.enrollment import Enrollment
from relay.errors import OperatorError
from relay.identity import Identity
from relay.passport import Role

DATABASE_NAME: Final = "center.sqlite"
REDO_NAME: Final = "standby.redo"
PROMOTING_NAME: Final = "standby.promoting"
LOG_PAGES: Final = 8_000
"""32 MiB of write-ahead log: folding it into the file costs what its different pages cost, and most are written again and again."""
PARTS: Final[Mapping[str, Sequence[str]]] = {
    "journal": journal.SCHEMA,
    "views": view_schema.SCHEMA,
    "accounts": accounts.SCHEMA,
    "callbacks": callback_store.SCHEMA,
    "units": unit_schema.SCHEMA,
    "journeys": journeys.SCHEMA,
    "custody": custody_schema.SCHEMA,
    "responses": response_schema.SCHEMA,
    "fleet": fleet.SCHEMA,
}
OFFLINE_PARTS: Final[Mapping[str, Sequence[str]]] = {"ledger": ledger.SCHEMA, **PARTS}
"""What commands need while nothing runs; the station adds its own."""


class StateDir:
    """Where everything is."""

    def __init__(self, root_dir: Path) -> None:
        self.root_dir = root_dir
        self.authority_key_file = root_dir / "authority.key"
        self.identity_key_file = root_dir / "identity.key"
        self.config_file = root_dir / config.FILE_NAME
        self.plans_file = root_dir / plan_file.FILE_NAME
        self.database_file = root_dir / DATABASE_NAME
        self.intake_log_file = root_dir / intake_log.FILE_NAME
        self.audit_index_file = root_dir / "audit.sqlite"
        self.blobs_dir = root_dir / "blobs"
        self.redo_file = root_dir / REDO_NAME
        self.promoting_file = root_dir / PROMOTING_NAME
        self.admin_socket_file = root_dir / "admin.sock"

    def require_initialized(self) -> None:
        """Refuse to work where there is no center.

        Raises:
            NotInitialized: there is none, or a standby.
        """
        self.require_keys()
        if self.redo_file.exists() or self.promoting_file.exists():
            raise NotInitialized(
                f"{self.root_dir} is a standby: its center is on the other machine. If that one is lost for good, run "
                f"command-center promote --state {self.root_dir}"
            )

    def require_keys(self) -> None:
        """Refuse to work where there are no center's keys.

        Raises:
            NotInitialized: there are none.
        """
        if not self.config_file.exists() or not self.authority_key_file.exists():
            raise NotInitialized(
                f"expected a command center in {self.root_dir}, found none: run command-center init --state {self.root_dir}"
            )

    def load_config(self) -> CenterConfig:
        """The configuration."""
        return config.load(self.root_dir)

    def load_issuer(self) -> Issuer:
        """The authority's keys, and this center's passport.

        Raises:
            KeyFileError: missing, damaged, or readable by others.
        """
        own = Enrollment.load(self.root_dir).own_passport()
        return Issuer(
            authority=Identity.load(self.authority_key_file), agency=own.passport.agency, center_passport=own.wire
        )

    def renew_own_passport(self, clock: Clock) -> int | None:
        """Give this center a new passport once half of its time is over; until when it is good (ms UTC), or nothing where it stays.

        The keys stay, and who knows the old one believes the newer: neighbors hear it in the greeting, nodes behind relays before the first
        order or acknowledgement of a connection. Half of its time is what they have for that.

        Raises:
            KeyFileError: missing, damaged, or readable by others.
        """
        enrollment, now = Enrollment.load(self.root_dir), clock.wall_ms()
        own = enrollment.own_passport().passport
        if clock.quality() is ClockQuality.UNSET or now < own.not_after_ms - VALIDITY_MS // 2:
            return None
        authority, until_ms = Identity.load(self.authority_key_file), now + VALIDITY_MS
        signed = passport.issue(
            authority.signing, role=own.role, name=own.name, site=own.site, agency=own.agency,
            keys=(own.signing_key, own.sealing_key, own.transport_key), not_before_ms=own.not_before_ms,
            not_after_ms=until_ms, serial=own.serial + 1,
        )  # fmt: skip
        msgspec.structs.replace(enrollment, passport=signed.wire).save(self.root_dir)
        return until_ms

    def open_database(self) -> Database:
        """Open the database while nothing runs.

        Raises:
            SpoolBusy: a center is running.
        """
        return Database.open(self.database_file, parts=OFFLINE_PARTS)

    def init(self, clock: Clock, *, name: str, site: str, agency: str, http: str, url: str) -> Identity:
        """Make a center: the authority's keys, its own, its passport, configuration and database.

        Raises:
            AlreadyInitialized: there is one, or a part of one.
        """
        for file in (self.authority_key_file, self.identity_key_file, self.config_file, self.database_file):
            if file.exists():
                raise AlreadyInitialized(
                    f"{file} is there already and is never overwritten: choose another --state, or move it away"
                )
        try:
            self.root_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.blobs_dir.mkdir(exist_ok=True)
            authority, own = Identity.generate(), Identity.generate()
            now = max(clock.wall_ms(), PLAUSIBLE_SINCE_MS)
            signed = passport.issue(
                authority.signing, role=Role.CENTER, name=name, site=site, agency=agency,
                keys=(own.signing_key, own.sealing_key, own.transport_key), not_before_ms=0,
                not_after_ms=now + VALIDITY_MS, serial=1,
            )  # fmt: skip
            authority.save(self.authority_key_file)
            own.save(self.identity_key_file)
            Enrollment(authority_signing_key=authority.signing_key, authority_sealing_key=authority.sealing_key,
                       passport=signed.wire, peers=()).save(self.root_dir)  # fmt: skip
            self._first_entry(clock, name)
            self.config_file.write_text(config.default_text(name, http, url), encoding="utf-8")
        except OSError as error:
            raise OperatorError(f"can't make a command center in {self.root_dir}: {error.strerror or error}") from error
        return own

    def _first_entry(self, clock: Clock, name: str) -> None:
        database = self.open_database()
        try:
            database.run_blocking(
                lambda connection: journal.append(
                    connection, at_ms=clock.wall_ms(), kind="initialized", actor="center", subject="center",
                    payload=facts.encode(Remark(what="initialized", detail=name)),
                )
            )  # fmt: skip
        finally:
            database.close()
