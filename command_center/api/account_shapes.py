"""What browsers and programs see of accounts, sessions, second factors and tokens."""

from typing import Annotated, Literal

from pydantic import Field

from command_center.api.shapes import Shape
from command_center.config import RoleName

Password = Annotated[str, Field(max_length=1024)]
ShortText = Annotated[str, Field(max_length=64)]
UserName = Annotated[str, Field(max_length=64)]
Code = Annotated[str, Field(max_length=64)]
StageName = Literal["full", "second_factor", "enrollment", "password"]


class Session(Shape):
    """Who is signed in, and what they may do."""

    username: str
    role: RoleName
    csrf: str
    """To be sent as ``X-Heard-CSRF`` with every change; another one after each step of a sign-in."""
    stage: StageName
    """``full``, or the next step: ``second_factor`` (send the code), ``enrollment`` (set up an authenticator), ``password``."""
    permissions: list[str]
    unit: str
    """The field unit that this person speaks for; empty for the rest."""


class Ways(Shape):
    """How people may sign in here."""

    single_sign_on: str | None
    """What stands on its button; null where there is none."""


class SignIn(Shape):
    """What a person types."""

    username: UserName
    password: Annotated[str, Field(max_length=4096)]


class GivenCode(Shape):
    """A code of the authenticator app, or a recovery code."""

    code: Code


class Enrollment(Shape):
    """What an authenticator app needs; shown this once."""

    secret: str
    uri: str
    """``otpauth://…``, for the QR code."""


class RecoveryCodes(Shape):
    """For the day on which the phone is lost; each is good once, and they are shown this once."""

    codes: list[str]
    session: Session


class NewPassword(Shape):
    """Change one's own."""

    current: Password
    new: Password


class SessionRow(Shape):
    """A browser that somebody is signed in at."""

    id: str
    address: str
    agent: str
    opened_at_ms: int
    used_at_ms: int
    is_this: bool


class TokenRow(Shape):
    """An API token, without itself."""

    id: str
    account: str
    name: str
    scopes: list[str]
    created_at_ms: int
    expires_at_ms: int
    used_at_ms: int | None
    used_from: str
    revoked_at_ms: int | None


class OwnAccount(Shape):
    """One's own account."""

    username: str
    role: RoleName
    unit: str
    is_external: bool
    """Signs in at the identity provider: password and second factor are kept there."""
    has_second_factor: bool
    needs_second_factor: bool
    """This role's policy."""
    recovery_codes_left: int
    sessions: list[SessionRow]
    tokens: list[TokenRow]
    possible_scopes: list[str]


class MakeToken(Shape):
    """A token for a program."""

    name: ShortText
    scopes: Annotated[list[ShortText], Field(max_length=64)]
    days: Annotated[float, Field(gt=0, le=366)] = 90


class MadeToken(Shape):
    """Shown this once."""

    secret: str
    token: TokenRow


class AccountRow(Shape):
    """An account, for administrators and auditors."""

    name: str
    role: RoleName
    unit: str
    is_disabled: bool
    is_external: bool
    must_change: bool
    has_second_factor: bool
    needs_second_factor: bool
    created_at_ms: int
    session_count: int


class AccountList(Shape):
    """Every account, by name."""

    accounts: list[AccountRow]


class AddAccount(Shape):
    """Let somebody in. Without a password one is made, shown once, and must be changed at the first sign-in."""

    name: UserName
    role: RoleName
    unit: ShortText = ""
    password: Password | None = None


class ChangeAccount(Shape):
    """What is named is changed."""

    role: RoleName | None = None
    unit: ShortText | None = None
    is_disabled: bool | None = None


class MadePassword(Shape):
    """A password that was made here, shown this once; null where the administrator chose it."""

    name: str
    password: str | None


class SessionList(Shape):
    """Where somebody is signed in."""

    sessions: list[SessionRow]


class TokenList(Shape):
    """API tokens, the latest first."""

    tokens: list[TokenRow]
