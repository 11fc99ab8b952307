"""One line of a GPIO chip, set for a while: a siren, a strobe, a relay board. By libgpiod, which needs no root and no sysfs.

The line is requested when it is wanted and given back when the time is over; a program that is killed gives it back too, because
the kernel does when the file is closed: no siren sounds for ever. Not run here on a real chip (this kernel has no gpio-sim): the
tests use a stand-in with libgpiod 2's documented interface. Needs the ``gpio`` extra. Source: libgpiod 2, Python bindings.
"""

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

from hardware.errors import DeviceFault


@contextlib.contextmanager
def line_set(chip: str, line: int, *, is_active_low: bool = False, module: str = "gpiod") -> Iterator[None]:
    """The line is active for the block.

    Raises:
        DeviceFault: no libgpiod, no such chip or line, no right to it, or somebody else holds it.
    """
    try:
        gpiod: Any = importlib.import_module(module)
        lines: Any = importlib.import_module(f"{module}.line")
    except ImportError as error:
        raise DeviceFault(
            f"a GPIO line needs the gpio extra ({error.name} is missing): pip install heard[gpio]"
        ) from error
    settings = gpiod.LineSettings(
        direction=lines.Direction.OUTPUT, output_value=lines.Value.ACTIVE, active_low=is_active_low
    )
    try:
        request = gpiod.request_lines(chip, consumer="heard", config={line: settings})
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DeviceFault(
            f"line {line} of {chip} can't be had ({reason}): check the chip's name with gpiodetect, that this user may open it, "
            "and that nobody else holds the line (gpioinfo)"
        ) from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            request.set_value(line, lines.Value.INACTIVE)
        request.release()
