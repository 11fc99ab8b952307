"""Who may come in and what they may do: accounts, passwords, second factors, sessions, tokens, the permission table."""

from command_center.accounts.door import Door
from command_center.accounts.failures import ALLOWED_WIDE as FAILURES_ALLOWED_WIDE
from command_center.accounts.failures import WINDOW_MS as FAILURE_WINDOW_MS
from command_center.accounts.passwords import Passwords
from command_center.accounts.passwords import require_good as require_good_password
from command_center.accounts.permissions import Permission, UserRole
from command_center.accounts.person import SignedIn, Stage
from command_center.accounts.register import Account, account, accounts, add, disable
from command_center.accounts.schema import SCHEMA

__all__ = [
    "FAILURES_ALLOWED_WIDE",
    "FAILURE_WINDOW_MS",
    "SCHEMA",
    "Account",
    "Door",
    "Passwords",
    "Permission",
    "SignedIn",
    "Stage",
    "UserRole",
    "account",
    "accounts",
    "add",
    "disable",
    "require_good_password",
]
