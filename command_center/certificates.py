"""TLS for the console: the operator's certificate, or one of this center's own small certificate authority.

The own authority (``tls/ca.pem``, ten years) is made once; browsers and phones are told to trust that one file. Its server
certificate is for the names that the center is reached by, lasts 90 days, and is made anew at a start or while running
when less than 30 are left or the names have changed. Nodes don't depend on it: enrollment proves the authority by the
code's fingerprint, and everything after that is signed.
"""

import contextlib
import datetime as dt
import ipaddress
import os
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from command_center.config import TlsConfig
from relay.clock import Clock
from relay.errors import ConfigError

_CA_DAYS: Final = 3650
_SERVER_DAYS: Final = 90
_RENEW_BEFORE_DAYS: Final = 30
_BACKDATED: Final = dt.timedelta(hours=1)
_Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """What a server needs."""

    certificate_file: Path
    key_file: Path


class Tls:
    """The context that the web server uses, and its renewal."""

    def __init__(self, config: TlsConfig, tls_dir: Path, host: str, clock: Clock) -> None:
        """Load the certificate, the own one made first where it is due.

        Raises:
            ConfigError: the files can't be used.
        """
        self._config = config
        self._tls_dir = tls_dir
        self._host = host
        self._clock = clock
        files = self._files()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._load(files)

    def renew(self) -> bool:
        """Make the own certificate anew where that is due; new connections get it. Returns whether it was. Blocking."""
        if self._config.mode != "own" or not is_due(self._tls_dir, self._names(), self._now()):
            return False
        self._load(self._files())
        return True

    def _files(self) -> Files:
        if self._config.mode == "own":
            return own(self._tls_dir, self._names(), self._now())
        certificate, key = self._config.certificate_file, self._config.key_file
        if not certificate or not key:
            raise ConfigError('[tls] mode = "files" needs certificate_file and key_file, expected both')
        return Files(certificate_file=Path(certificate), key_file=Path(key))

    def _load(self, files: Files) -> None:
        try:
            self.context.load_cert_chain(files.certificate_file, files.key_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"can't use the certificate {files.certificate_file} with the key {files.key_file}: {error}; expected PEM "
                "files that belong together, readable by this user"
            ) from error

    def _names(self) -> list[str]:
        return sorted({"localhost", "127.0.0.1", "::1", socket.gethostname(), *self._config.names,
                       *([self._host] if self._host not in {"", "0.0.0.0", "::"} else [])})  # fmt: skip  # noqa: S104  comparing

    def _now(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self._clock.wall_ms() / 1000, dt.UTC)


def own(tls_dir: Path, names: Sequence[str], now: dt.datetime) -> Files:
    """The own server certificate for these names, made where there is none or it is due."""
    tls_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = Files(certificate_file=tls_dir / "server.pem", key_file=tls_dir / "server.key")
    if is_due(tls_dir, names, now):
        ca, ca_key = _authority(tls_dir, now)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Heard command center")])
        made = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(ca.subject).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - _BACKDATED)
            .not_valid_after(now + dt.timedelta(days=_SERVER_DAYS))
            .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
            .sign(ca_key, hashes.SHA256())
        )  # fmt: skip
        _write(files.key_file, _pem(key))
        _write(files.certificate_file, made.public_bytes(serialization.Encoding.PEM))
    return files


def is_due(tls_dir: Path, names: Sequence[str], now: dt.datetime) -> bool:
    """Whether the own server certificate is missing, unreadable, for other names, or has less than 30 days left."""
    try:
        found = x509.load_pem_x509_certificate((tls_dir / "server.pem").read_bytes())
        has = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return True
    left = found.not_valid_after_utc - now
    is_other = set(has) != {_general(name) for name in names}
    is_orphan = not (tls_dir / "ca.pem").exists() or not (tls_dir / "server.key").exists()
    return is_other or is_orphan or left < dt.timedelta(days=_RENEW_BEFORE_DAYS) or found.not_valid_before_utc > now


def _authority(tls_dir: Path, now: dt.datetime) -> tuple[x509.Certificate, _Key]:
    ca_file, key_file = tls_dir / "ca.pem", tls_dir / "ca.key"
    with contextlib.suppress(FileNotFoundError):
        try:
            key = serialization.load_pem_private_key(key_file.read_bytes(), None)
            ca = x509.load_pem_x509_certificate(ca_file.read_bytes())
        except ValueError as error:
            raise ConfigError(f"{ca_file} or {key_file} is damaged: {error}; restore them from a backup") from error
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return ca, key
    made_key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Heard command center CA, {socket.gethostname()}"[:64])])
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(made_key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - _BACKDATED)
        .not_valid_after(now + dt.timedelta(days=_CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, digital_signature=False, content_commitment=False,
                                     key_encipherment=False, data_encipherment=False, key_agreement=False,
                                     encipher_only=False, decipher_only=False), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(made_key.public_key()), critical=False)
        .sign(made_key, hashes.SHA256())
    )  # fmt: skip
    _write(key_file, _pem(made_key))
    _write(ca_file, made.public_bytes(serialization.Encoding.PEM))
    return made, made_key


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(key: _Key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(file: Path, data: bytes) -> None:
    """Whole or not at all, readable by the owner alone."""
    partial = file.with_suffix(file.suffix + ".part")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    partial.replace(file)
