"""Single sign-on: against a real provider library on the loopback, and against one that lies."""

import base64
import hashlib
import json
import threading
import time
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from command_center.accounts import UserRole, oidc
from command_center.accounts.oidc import Provider
from command_center.config import CenterConfig, OidcConfig
from relay.clock import SimulatedClock
from relay.errors import ConfigError
from tests.command_center.house import House, running_center

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its own libraries
    import oidc_provider_mock
    from oidc_provider_mock import User

ROLES: dict[str, str] = {"leads": "supervisor", "dispatch": "dispatcher"}


def config_for(issuer: str, **more: object) -> CenterConfig:
    oidc = OidcConfig(issuer=issuer, client_id="heard", roles=ROLES, **more)  # type: ignore[arg-type]
    return CenterConfig(http="127.0.0.1:0", oidc=oidc)


@asynccontextmanager
async def house_at(tmp_path: Path, config: CenterConfig) -> AsyncIterator[House]:
    """A center whose clock is right: a provider's tokens carry the real time."""
    clock = SimulatedClock(wall_ms=time.time_ns() // 1_000_000)
    (tmp_path / "center").mkdir(exist_ok=True)
    secret_file = tmp_path / "center" / "sign-on.secret"
    secret_file.write_text("of this center, made by the provider\n")
    secret_file.chmod(0o600)
    async with running_center(tmp_path / "center", clock=clock, config=config) as house:
        yield house


# ---------------------------------------------------------------------- a real provider


@contextmanager
def provider(*users: User) -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with oidc_provider_mock.run_server_in_thread(user_claims=users, require_nonce=True) as server:
            yield f"http://localhost:{server.server_port}"


def known(sub: str, **claims: object) -> User:
    """Somebody whom the provider knows."""
    return User(sub=sub, claims=claims)


async def back_from(client: httpx.AsyncClient, sub: str) -> httpx.Response:
    """The browser's way: to the provider, the form there, and back."""
    begun = await client.get("/api/v1/session/oidc")
    assert begun.status_code == 303
    asked = parse_qs(urlsplit(begun.headers["location"]).query)
    assert asked["code_challenge_method"] == ["S256"]
    async with httpx.AsyncClient(timeout=20, trust_env=False) as outside:
        answered = await outside.post(begun.headers["location"], data={"sub": sub})
    assert answered.status_code in {302, 303}, answered.text
    returned = urlsplit(answered.headers["location"])
    return await client.get(f"{returned.path}?{returned.query}")


async def test_somebody_whom_the_provider_knows_comes_in_with_the_role_of_their_group(tmp_path: Path) -> None:
    nora = User(sub="n-17", claims={"preferred_username": "Nora.Vik", "groups": ["staff", "dispatch"]})
    with provider(nora) as issuer:
        async with (
            house_at(tmp_path, config_for(issuer, client_secret_file="sign-on.secret")) as house,
            house.browser() as client,
        ):
            assert (await client.get("/api/v1/session/ways")).json() == {"single_sign_on": "Single sign-on"}
            answer = await back_from(client, "n-17")
            assert answer.status_code == 200, answer.text
            assert "http-equiv='refresh'" in answer.text, (
                "a page of our own goes on, so that the strict cookie comes along"
            )
            shown = (await client.get("/api/v1/session")).json()
            assert (shown["username"], shown["role"], shown["stage"]) == ("nora.vik", "dispatcher", "full")
            assert (await client.get("/api/v1/incidents")).status_code == 200
            wrong = await client.post("/api/v1/session", json={"username": "nora.vik", "password": ""})
            assert wrong.status_code == 401, "there is no password here that could be guessed"
            kinds = [
                row[0]
                for row in await house.query("SELECT kind FROM entry WHERE subject = 'user:nora.vik' ORDER BY id")
            ]
            assert kinds == ["user-added", "signed-in", "denied"]


async def test_a_role_that_changed_there_changes_here_and_ends_what_was_open(tmp_path: Path) -> None:
    def as_of(*groups: str) -> User:
        return User(sub="n-17", claims={"preferred_username": "nora", "groups": list(groups)})

    with provider(as_of("dispatch")) as issuer:
        async with (
            house_at(tmp_path, config_for(issuer, client_secret_file="sign-on.secret")) as house,
            house.browser() as first,
            house.browser() as second,
        ):
            await back_from(first, "n-17")
            async with httpx.AsyncClient(timeout=20, trust_env=False) as outside:
                changed = {"preferred_username": "nora", "groups": ["leads"]}
                assert (await outside.put(f"{issuer}/users/n-17", json=changed)).is_success
            await back_from(second, "n-17")
            assert (await second.get("/api/v1/session")).json()["role"] == "supervisor"
            assert (await first.get("/api/v1/session")).status_code == 401
            await house.query("UPDATE account SET is_disabled = 1 WHERE name = 'nora'")
            assert (await back_from(second, "n-17")).status_code == 403


async def test_nobody_comes_in_without_a_role_or_under_somebody_elses_name(tmp_path: Path) -> None:
    users = [User(sub="1", claims={"preferred_username": "visitor", "groups": ["staff"]}),
             User(sub="2", claims={"preferred_username": "alice", "groups": ["leads"]})]  # fmt: skip
    with provider(*users) as issuer:
        async with (
            house_at(tmp_path, config_for(issuer, client_secret_file="sign-on.secret")) as house,
            house.browser() as client,
        ):
            await house.add_user("alice", UserRole.DISPATCHER)
            visitor = await back_from(client, "1")
            assert (visitor.status_code, "no role here" in visitor.text) == (403, True)
            namesake = await back_from(client, "2")
            assert (namesake.status_code, "another account" in namesake.text) == (403, True)
            assert (await client.get("/api/v1/session")).status_code == 401
            denied = await house.query("SELECT COUNT(*) FROM entry WHERE kind = 'denied'")
            assert denied == [(2,)]
            assert await house.query("SELECT role FROM account") == [("dispatcher",)]


# ---------------------------------------------------------------------- one that lies


@dataclass
class Liar:
    """An issuer whose ID tokens say what a test wants; it does check PKCE, as a good one would."""

    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one", "alg": "RS256", "use": "sig"}))
    claims: dict[str, object] = field(default_factory=dict)
    signed_with: RSAKey | OctKey | ECKey | None = None
    algorithm: str = "RS256"
    issuer_in_discovery: str = ""
    issuer: str = ""
    challenge: str = ""
    nonce: str = ""
    codes_given: list[str] = field(default_factory=list)

    def discovery(self) -> dict[str, object]:
        named = self.issuer_in_discovery or self.issuer
        return {"issuer": named, "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token", "jwks_uri": f"{self.issuer}/keys"}  # fmt: skip

    def tokens(self, form: dict[str, list[str]]) -> dict[str, object] | None:
        made = hashlib.sha256(form["code_verifier"][0].encode()).digest()
        if base64.urlsafe_b64encode(made).decode().rstrip("=") != self.challenge:
            return None
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": "heard", "sub": "s-1", "nonce": self.nonce, "iat": now, "exp": now + 300,
                  "preferred_username": "liar", "groups": "dispatch", **self.claims}  # fmt: skip
        said = {name: value for name, value in claims.items() if value is not None}
        header = {"alg": self.algorithm, "kid": "one"}
        if self.algorithm == "none":
            parts = [
                base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (header, said)
            ]
            return {"id_token": ".".join([*parts, ""]), "access_token": "x", "token_type": "Bearer"}
        token = jwt.encode(header, said, self.signed_with or self.key, algorithms=[self.algorithm])
        return {"id_token": token, "access_token": "x", "token_type": "Bearer"}


@contextmanager
def lying(liar: Liar) -> Iterator[Liar]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = {
                "/.well-known/openid-configuration": liar.discovery(),
                "/keys": {"keys": [liar.key.as_dict(private=False)]},
            }
            self._say(known.get(self.path))

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self._say(liar.tokens(form))

        def _say(self, body: object) -> None:
            content = json.dumps(body).encode()
            self.send_response(200 if body else 400)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name of the library
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    liar.issuer = f"http://127.0.0.1:{server.server_port}"
    try:
        yield liar
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def come_back(client: httpx.AsyncClient, liar: Liar, **changed: str) -> httpx.Response:
    begun = await client.get("/api/v1/session/oidc")
    assert begun.status_code == 303, begun.text
    asked = {name: values[0] for name, values in parse_qs(urlsplit(begun.headers["location"]).query).items()}
    liar.challenge, liar.nonce = asked["code_challenge"], asked["nonce"]
    return await client.get("/api/v1/session/oidc/callback", params={"state": asked["state"], "code": "c", **changed})


_OLD = int(time.time()) - 4000
LIES: dict[str, dict[str, object]] = {
    "another nonce": {"claims": {"nonce": "of another sign-in"}}, "no nonce": {"claims": {"nonce": None}},
    "for somebody else": {"claims": {"aud": "shop"}}, "of somebody else": {"claims": {"iss": "https://evil.example"}},
    "for two, not saying whose": {"claims": {"aud": ["heard", "shop"]}}, "expired": {"claims": {"exp": _OLD + 60, "iat": _OLD}},
    "no end": {"claims": {"exp": None}}, "no subject": {"claims": {"sub": None}}, "not signed": {"algorithm": "none"},
    "another key": {"signed_with": RSAKey.generate_key(2048)},
    "the public key as a password": {"algorithm": "HS256", "signed_with": OctKey.import_key("the public key, as it were, of the liar")},
}  # fmt: skip


@pytest.mark.parametrize("lie", list(LIES))
async def test_an_id_token_that_does_not_hold_opens_nothing(tmp_path: Path, lie: str) -> None:
    with lying(Liar(**LIES[lie])) as liar:  # type: ignore[arg-type]
        async with house_at(tmp_path, config_for(liar.issuer)) as house, house.browser() as client:
            answer = await come_back(client, liar)
            assert answer.status_code == 401, answer.text
            assert (await client.get("/api/v1/session")).status_code == 401
            assert await house.query("SELECT COUNT(*) FROM account") == [(0,)]
            assert await house.query("SELECT COUNT(*) FROM entry WHERE kind = 'denied'") == [(1,)]


async def test_the_same_provider_telling_the_truth_lets_in_once(tmp_path: Path) -> None:
    """The lies above fail for what they are: without them this way works; and a state is good once."""
    with lying(Liar()) as liar:
        async with house_at(tmp_path, config_for(liar.issuer)) as house, house.browser() as client:
            begun = await client.get("/api/v1/session/oidc")
            asked = {name: values[0] for name, values in parse_qs(urlsplit(begun.headers["location"]).query).items()}
            liar.challenge, liar.nonce = asked["code_challenge"], asked["nonce"]
            kept = client.cookies["heard_sign_on"]
            params = {"state": asked["state"], "code": "c"}
            assert (await client.get("/api/v1/session/oidc/callback", params=params)).status_code == 200
            client.cookies.set("heard_sign_on", kept)
            assert (await client.get("/api/v1/session/oidc/callback", params=params)).status_code == 401
            assert house.services.metrics["sign_ins"] == 1


async def test_who_begins_without_end_makes_nobody_else_begin_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oidc, "MOST_UNDER_WAY", 20)
    monkeypatch.setattr(oidc, "MOST_OF_ONE", 10)
    with lying(Liar()) as liar:
        async with house_at(tmp_path, config_for(liar.issuer)) as house, house.browser() as client, house.browser("203.0.113.9") as flood:  # fmt: skip
            begun = await client.get("/api/v1/session/oidc")
            for _ in range(100):
                assert (await flood.get("/api/v1/session/oidc")).status_code == 303
            state = parse_qs(urlsplit(begun.headers["location"]).query)["state"][0]
            answer = await client.get(f"/api/v1/session/oidc/callback?state={state}&error=cancelled")
            assert "not begun here" not in answer.text
            assert "cancelled" in answer.text


async def test_a_sign_in_that_another_browser_began_is_refused(tmp_path: Path) -> None:
    """Somebody sends a link with a code of their own: the victim's browser has not begun that (login CSRF)."""
    with lying(Liar()) as liar:
        async with (
            house_at(tmp_path, config_for(liar.issuer)) as house,
            house.browser() as attacker,
            house.browser() as victim,
        ):
            begun = await attacker.get("/api/v1/session/oidc")
            state = parse_qs(urlsplit(begun.headers["location"]).query)["state"][0]
            answer = await victim.get("/api/v1/session/oidc/callback", params={"state": state, "code": "c"})
            assert answer.status_code == 401
            late = await come_back(victim, liar, state="")
            assert late.status_code == 401


async def test_a_wrong_verifier_gets_no_token(tmp_path: Path) -> None:
    with lying(Liar()) as liar:
        async with house_at(tmp_path, config_for(liar.issuer)) as house, house.browser() as client:
            begun = await client.get("/api/v1/session/oidc")
            state = parse_qs(urlsplit(begun.headers["location"]).query)["state"][0]
            liar.challenge = "of another request"
            answer = await client.get("/api/v1/session/oidc/callback", params={"state": state, "code": "c"})
            assert (answer.status_code, "no ID token" in answer.text) == (401, True)


async def test_a_provider_under_another_name_or_out_of_reach_is_said(tmp_path: Path) -> None:
    with lying(Liar(issuer_in_discovery="https://other.example")) as liar:
        config = config_for(liar.issuer)
        async with house_at(tmp_path, config) as house, house.browser() as client:
            assert "calls itself" in (await client.get("/api/v1/session/oidc")).text
    async with house_at(tmp_path, config) as house, house.browser() as client:
        gone = await client.get("/api/v1/session/oidc")
        assert (gone.status_code, "local accounts still sign in" in gone.text) == (503, True)


async def test_without_a_provider_there_is_no_such_way(house: House) -> None:
    async with house.browser() as client:
        assert (await client.get("/api/v1/session/ways")).json() == {"single_sign_on": None}
        assert (await client.get("/api/v1/session/oidc")).status_code == 404
        assert (await client.get("/api/v1/session/oidc/callback")).status_code == 404


@pytest.mark.parametrize(("change", "says"), [
    ({"issuer": "http://login.example"}, "https"), ({"client_id": ""}, "client_id"), ({"roles": {}}, "oidc.roles"),
    ({"scopes": ("profile",)}, "openid"), ({"client_secret_file": "secret.txt"}, "default or a very short secret"),
    ({"client_secret_file": "open.txt"}, "chmod 600"), ({"client_secret_file": "none.txt"}, "can't read"),
])  # fmt: skip
def test_a_configuration_that_is_not_safe_is_refused(tmp_path: Path, change: dict[str, object], says: str) -> None:
    (tmp_path / "secret.txt").write_text("changeme")
    (tmp_path / "secret.txt").chmod(0o600)
    (tmp_path / "open.txt").write_text("a" * 40)
    (tmp_path / "open.txt").chmod(0o644)
    good: dict[str, object] = {"issuer": "https://login.example", "client_id": "heard", "roles": ROLES}
    Provider(OidcConfig(**good), base_url="https://c", clock=SimulatedClock(), state_dir=tmp_path)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=says):
        Provider(OidcConfig(**{**good, **change}), base_url="https://c", clock=SimulatedClock(), state_dir=tmp_path)  # type: ignore[arg-type]
