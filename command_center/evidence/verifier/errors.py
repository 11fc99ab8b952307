"""What a check can find.

Wrong          the bag does not say what it must; names the file, and the bytes where it can
└── Unreadable it is not such a bag at all, or one of a later format: nothing in it was judged
"""


class Wrong(Exception):
    """The bag does not say what it must."""

    def __init__(self, file: str, text: str) -> None:
        super().__init__(f"{file}: {text}")
        self.file = file


class Unreadable(Wrong):
    """Not such a bag at all, or one of a later format."""
