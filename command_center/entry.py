"""The console script: hands over to ``cli``, and to ``verify`` alone where that is what was asked for.

Importing a whole center takes two seconds; checking a small bag takes a tenth of one.
"""

import sys


def main() -> None:
    """Run the command line."""
    if sys.argv[1:2] == ["verify"]:
        from command_center.evidence.verify_cli import app

        app(args=sys.argv[2:], prog_name="command-center verify")
    else:
        from command_center.cli import main as whole

        whole()
