"""The same report on paper, and the certification form. Bounded: what does not fit is named and stands in the HTML.

A picture comes from a node and is hostile until it is drawn: what the image library refuses is said in its place.
"""

import io
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final

from fpdf import FPDF
from fpdf.enums import XPos, YPos
from fpdf.errors import FPDFException
from PIL import Image

from command_center.evidence import site_plan
from command_center.evidence.reading import AlertFacts, IncidentFacts, Media, Reading
from command_center.evidence.report_html import alert_words, incident_facts, readable
from command_center.evidence.site_plan import SitePlan
from command_center.evidence.tables import Moment

_FACTS_MM: Final = 85
"""An incident's heading and facts, and the foot of the page."""
MAX_ALERTS: Final = 100
MAX_MOMENTS: Final = 200
MAX_PICTURES: Final = 40
MAX_PICTURE_BYTES: Final = 2 << 20
"""40 pictures of 2 MiB are what stays in memory."""
MAX_PIXELS: Final = 24_000_000
_WIDTH_MM: Final = 180


class PdfReport:
    """Grows with each incident; ``finish`` gives the file."""

    def __init__(self, facts: dict[str, str], reading: Reading, at_ms: int) -> None:
        self._reading = reading
        self._alerts = self._pictures = self._left_out = self._moments = 0
        self._pdf = _document(at_ms, facts["Package"])
        self._heading("Evidence report", 16)
        for label, value in facts.items():
            self._line(f"{label}: {value}")
        self._line("A reading aid. What counts are the signed statements; VERIFY.md says how to check them.")

    def begin_incident(self, shown: IncidentFacts, plan: SitePlan | None = None) -> None:
        """Facts of one incident."""
        if self._alerts >= MAX_ALERTS:
            return
        if self._pdf.get_y() + _FACTS_MM > self._pdf.h:
            self._pdf.add_page()  # the heading stays with its facts
        self._heading(f"{shown.number}: {shown.columns['label']}", 13)
        for label, value in incident_facts(shown):
            self._line(f"{label}: {value}")
        if plan is not None and self._pdf.get_y() + 90 > self._pdf.h:
            self._pdf.add_page()  # the heading stays with its plan
        self._heading("Where", 11)
        if plan is None:
            self._line("Nobody has configured a position for this camera, its node or its site.")
        else:
            site_plan.draw(self._pdf, plan)
            self._line(plan.words)
        self._heading("Alerts", 11)

    def alert(self, alert: AlertFacts) -> None:
        """One alert and its pictures."""
        self._alerts += 1
        if self._alerts > MAX_ALERTS:
            self._left_out += 1
            return
        quality = alert.said.envelope.header.quality.name.lower().replace("_", " ")
        self._line(f"Sighted {readable(alert.sighted_ms)} (clock {quality}), received "
                   f"{readable(alert.said.stored.received_wall_ms)}: {alert_words(alert)}. {alert.passport.name}, "
                   f"{alert.passport.site}. {alert.id}")  # fmt: skip
        for media in alert.media:
            self._media(media)

    def end_incident(self, moments: Iterable[Moment]) -> None:
        """What was done."""
        if self._alerts > MAX_ALERTS:
            return
        self._heading("What happened", 11)
        for moment in moments:
            self._moments += 1
            if self._moments > MAX_MOMENTS:
                self._line("What else happened is in timeline.csv")
                break
            _, _, number, what, who, _, detail = moment.row
            self._line(f"{readable(moment.entry.at_ms)}  entry {number}: {what} by {who} {detail}")

    def finish(self) -> bytes:
        """The file."""
        if self._left_out:
            self._line(f"{self._left_out} more alerts are in report.html")
        return bytes(self._pdf.output())

    def _media(self, media: Media) -> None:
        if media.masked:
            self._line(f"{media.absence.capitalize()}. SHA-256 of the original: {media.sha256.hex()}")
            self._pictures += 1
            if self._pictures <= MAX_PICTURES:
                self._draw(media)
        elif media.absence:
            self._line(f"Not in this bag: {media.name}: {media.absence}")
        elif not media.media_type.startswith("image/"):
            self._line(f"Clip: {media.name}")
        elif self._pictures >= MAX_PICTURES or media.size_bytes > MAX_PICTURE_BYTES:
            self._line(f"Picture, shown in report.html: {media.name}")
        else:
            self._pictures += 1
            self._draw(media)

    def _draw(self, media: Media) -> None:
        try:
            is_masked = bool(media.masked)
            data = (
                self._reading.masked(media.sha256)
                if is_masked
                else self._reading.blobs.file_of(media.sha256).read_bytes()
            )
            with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
                width, height = image.size
            if width * height <= MAX_PIXELS:
                self._pdf.image(io.BytesIO(data), w=min(_WIDTH_MM, 110.0 * width / height))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, FPDFException) as error:
            self._line(f"This picture can't be drawn ({error}); its bytes are in {media.name}")
            return
        self._line(media.masked or media.name)

    def _heading(self, text: str, size: int) -> None:
        self._pdf.set_font("Helvetica", "B", size)
        self._pdf.ln(2)
        _write(self._pdf, text)
        self._pdf.set_font("Helvetica", "", 9)

    def _line(self, text: str) -> None:
        _write(self._pdf, text)


def form(lines: str, at_ms: int, title: str) -> bytes:
    """A text as a PDF page, for a form to be signed by hand."""
    pdf = _document(at_ms, title)
    pdf.set_font("Helvetica", "", 8.5)  # the form's longest line fits
    for line in lines.split("\n"):
        _write(pdf, line or " ")
    return bytes(pdf.output())


class _Paper(FPDF):
    """Pages that say what they belong to, and how many there are: a page that is missing is missed."""

    def __init__(self, title: str) -> None:
        super().__init__(format="A4")
        self._title = title

    def footer(self) -> None:
        """Called by the library at each page's end."""
        self.set_y(-12)
        self.set_font("Helvetica", "", 7)
        self.cell(0, 4, f"{self._title}   page {self.page_no()} of {{nb}}", align="C")


def _document(at_ms: int, title: str) -> FPDF:
    pdf = _Paper(title)
    pdf.set_creation_date(datetime.fromtimestamp(at_ms / 1000, UTC))
    pdf.set_margin(15)
    pdf.set_auto_page_break(True, 15)
    pdf.add_page()
    return pdf


def _write(pdf: FPDF, text: str) -> None:
    """The fonts that every PDF reader has know Latin-1; other letters are written as their numbers, and report.html has them."""
    plain = text.replace("–", "-").replace("…", "...").encode("latin-1", "backslashreplace").decode("latin-1")
    for line in _lines(pdf, plain):
        pdf.cell(0, 5, line, new_x=XPos.LMARGIN, new_y=YPos.NEXT, align="L")


def _lines(pdf: FPDF, text: str) -> Iterator[str]:
    """Lines that fit, broken between words, and within a word only where it is longer than a line.

    The library's own breaking measures every beginning of a line anew: 25 ms a paragraph, which was two fifths of an export.
    """
    room, space = pdf.epw - 2 * pdf.c_margin - 0.5, pdf.get_string_width(" ")
    line, used = "", 0.0
    for whole in text.split(" "):
        word, width = whole, pdf.get_string_width(whole)
        if line and used + space + width > room:
            yield line
            line, used = "", 0.0
        while width > room:
            fitting = max(1, int(len(word) * room / width) - 1)
            yield word[:fitting]
            word = word[fitting:]
            width = pdf.get_string_width(word)
        line, used = (f"{line} {word}", used + space + width) if line else (word, width)
    yield line
