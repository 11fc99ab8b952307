"""The console script: hands over to ``cli``, and to ``verify`` alone where that is what was asked for.

Importing a whole center takes two seconds; checking a small bag takes a tenth of one.
"""

import sys


def main() -> None:
    """Run the command line."""
    if sys.argv[1:2] == ["verify"]:
        from command_center.evidence.verify_cli import app
        from relay import command_line

        command_line.run(app, sys.argv[2:], name="command-center verify")
    else:
        from command_center.cli import main as whole

        whole()
