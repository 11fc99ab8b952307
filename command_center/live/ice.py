"""The ICE servers that a viewing may use: from the configuration only, with credentials that are good for this viewing's time.

TURN credentials as coturn checks them with ``use-auth-secret``: the user name is the second until which they hold, the
password its HMAC-SHA1 under the shared secret (draft-uberti-behave-turn-rest-00, section 2.2). The secret never leaves here.
"""

import base64
import hashlib
import hmac
import re
from pathlib import Path
from typing import Final

from command_center.config import LiveConfig
from relay.errors import ConfigError
from relay.kinds.instruction import MAX_ICE_SERVERS, IceServer

_URL: Final = re.compile(r"^(stun|stuns|turn|turns):[A-Za-z0-9.\-:\[\]]{1,150}(\?transport=(udp|tcp))?$")
_SLACK_S: Final = 300
_LEAST_SECRET_BYTES: Final = 16


class IceServers:
    """Made once, at start.

    Raises:
        ConfigError: not an ICE server's address, or TURN without its secret.
    """

    def __init__(self, config: LiveConfig, base_dir: Path) -> None:
        self._urls = config.ice_urls
        self._valid_s = config.longest_s + _SLACK_S
        self.is_relay_only = config.is_relay_only
        bad = next((url for url in config.ice_urls if not _URL.match(url)), None)
        if bad is not None:
            raise ConfigError(
                f"[live] ice_urls: expected turn:host:port?transport=udp or stun:host:port, found {bad!r}"
            )
        if len(config.ice_urls) > MAX_ICE_SERVERS:
            raise ConfigError(f"[live] ice_urls: expected at most {MAX_ICE_SERVERS}, found {len(config.ice_urls)}")
        has_turn = any(url.startswith("turn") for url in config.ice_urls)
        if config.is_relay_only and not has_turn:
            raise ConfigError("[live] is_relay_only needs a turn: server among ice_urls")
        self._secret = b""
        if has_turn:
            self._secret = _secret(base_dir / config.turn_secret_file if config.turn_secret_file else None)

    def for_viewing(self, name: str, now_ms: int) -> tuple[IceServer, ...]:
        """The servers, for ``name`` (a viewer or a node) from now on."""
        username = f"{now_ms // 1000 + self._valid_s}:{name}"
        credential = base64.b64encode(hmac.new(self._secret, username.encode(), hashlib.sha1).digest()).decode()
        return tuple(
            IceServer(url=url, username=username, credential=credential)
            if url.startswith("turn")
            else IceServer(url=url)
            for url in self._urls
        )


def _secret(file: Path | None) -> bytes:
    if file is None:
        raise ConfigError("[live] turn_secret_file: a turn: server needs it, the same as coturn's static-auth-secret")
    try:
        secret = file.read_bytes().strip()
    except OSError as error:
        raise ConfigError(f"[live] turn_secret_file: can't read {file}: {error.strerror}") from error
    if len(secret) < _LEAST_SECRET_BYTES:
        raise ConfigError(
            f"[live] turn_secret_file: expected at least {_LEAST_SECRET_BYTES} bytes in {file}, found {len(secret)}"
        )
    return secret
