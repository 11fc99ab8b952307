"""A network camera that speaks as much ONVIF as events take: SOAP over HTTP on loopback, with a login by password digest.

Stands in for a real camera; its answers follow the Core Specification's examples (chapter 9.1 and 9.5).
"""

import base64
import hashlib
import http.server
import re
import threading
from collections import deque
from types import TracebackType
from typing import Self

_ENVELOPE = """<?xml version="1.0" encoding="UTF-8"?>
<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:wsa="http://www.w3.org/2005/08/addressing"
 xmlns:tds="http://www.onvif.org/ver10/device/wsdl" xmlns:tev="http://www.onvif.org/ver10/events/wsdl"
 xmlns:tt="http://www.onvif.org/ver10/schema" xmlns:wsnt="http://docs.oasis-open.org/wsn/b-2"
 xmlns:tns1="http://www.onvif.org/ver10/topics"><s:Body>{body}</s:Body></s:Envelope>"""
_FAULT = """<s:Fault><s:Code><s:Value>s:Sender</s:Value></s:Code>
<s:Reason><s:Text xml:lang="en">{reason}</s:Text></s:Reason></s:Fault>"""


def notice(topic: str, *, source: dict[str, str], data: dict[str, str], operation: str = "Changed") -> str:
    """One NotificationMessage."""
    items = [
        "".join(f'<tt:SimpleItem Name="{name}" Value="{value}"/>' for name, value in pairs.items())
        for pairs in (source, data)
    ]
    dialect = "http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet"
    return (
        f'<wsnt:NotificationMessage><wsnt:Topic Dialect="{dialect}">{topic}</wsnt:Topic><wsnt:Message>'
        f'<tt:Message UtcTime="2026-09-21T10:00:00Z" PropertyOperation="{operation}"><tt:Source>{items[0]}</tt:Source>'
        f"<tt:Data>{items[1]}</tt:Data></tt:Message></wsnt:Message></wsnt:NotificationMessage>"
    )


class OnvifCamera:
    """The camera; ``say`` puts a notice where the next pull finds it."""

    def __init__(self, password: str = "secret") -> None:
        self.password = password
        self.waiting: deque[str] = deque()
        self.calls: list[str] = []
        self.refused = 0
        self.forgets_subscription = False
        camera = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
                status, body = camera.answer(asked)
                data = _ENVELOPE.format(body=body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/soap+xml; charset=utf-8")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def say(self, *notices: str) -> None:
        self.waiting.extend(notices)

    def answer(self, asked: str) -> tuple[int, str]:
        found = re.search(r"<(?:[\w-]+:)?Body[^>]*>\s*<(?:[\w-]+:)?(\w+)", asked)
        call = found.group(1) if found else ""
        self.calls.append(call)
        if call == "GetSystemDateAndTime":
            return 200, self._clock()
        if not self._is_known(asked):
            self.refused += 1
            return 400, _FAULT.format(reason="Sender not authorized")
        match call:
            case "GetServices":
                services = {
                    "http://www.onvif.org/ver10/device/wsdl": "device",
                    "http://www.onvif.org/ver10/events/wsdl": "events",
                }
                listed = "".join(
                    f"<tds:Service><tds:Namespace>{namespace}</tds:Namespace><tds:XAddr>{self.address}/onvif/{path}</tds:XAddr>"
                    "<tds:Version><tt:Major>2</tt:Major><tt:Minor>0</tt:Minor></tds:Version></tds:Service>"
                    for namespace, path in services.items()
                )
                return 200, f"<tds:GetServicesResponse>{listed}</tds:GetServicesResponse>"
            case "CreatePullPointSubscription":
                return 200, (
                    "<tev:CreatePullPointSubscriptionResponse><tev:SubscriptionReference>"
                    f"<wsa:Address>{self.address}/onvif/pull</wsa:Address></tev:SubscriptionReference>"
                    "<wsnt:CurrentTime>2026-09-21T10:00:00Z</wsnt:CurrentTime>"
                    "<wsnt:TerminationTime>2026-09-21T10:10:00Z</wsnt:TerminationTime></tev:CreatePullPointSubscriptionResponse>"
                )
            case "PullMessages":
                return self._pulled()
            case "Unsubscribe":
                return 200, "<wsnt:UnsubscribeResponse/>"
            case "Renew":
                return 200, (
                    "<wsnt:RenewResponse><wsnt:TerminationTime>2026-09-21T10:10:00Z</wsnt:TerminationTime>"
                    "<wsnt:CurrentTime>2026-09-21T10:00:00Z</wsnt:CurrentTime></wsnt:RenewResponse>"
                )
        return 400, _FAULT.format(reason=f"Action not supported: {call}")

    def _pulled(self) -> tuple[int, str]:
        if self.forgets_subscription:
            self.forgets_subscription = False
            return 400, _FAULT.format(reason="Resource unknown")
        threading.Event().wait(0.05)
        said = "".join(self.waiting.popleft() for _ in range(len(self.waiting)))
        return 200, (
            "<tev:PullMessagesResponse><tev:CurrentTime>2026-09-21T10:00:00Z</tev:CurrentTime>"
            f"<tev:TerminationTime>2026-09-21T10:10:00Z</tev:TerminationTime>{said}</tev:PullMessagesResponse>"
        )

    @staticmethod
    def _clock() -> str:
        return (
            "<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:DateTimeType>NTP</tt:DateTimeType>"
            "<tt:DaylightSavings>false</tt:DaylightSavings><tt:UTCDateTime><tt:Time><tt:Hour>10</tt:Hour><tt:Minute>0</tt:Minute>"
            "<tt:Second>0</tt:Second></tt:Time><tt:Date><tt:Year>2026</tt:Year><tt:Month>9</tt:Month><tt:Day>21</tt:Day></tt:Date>"
            "</tt:UTCDateTime></tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>"
        )

    def _is_known(self, asked: str) -> bool:
        """WS-UsernameToken: digest = base64(sha1(nonce + created + password))."""
        parts = {
            name: (re.search(rf"<(?:[\w-]+:)?{name}[^>]*>([^<]*)<", asked) or [None, ""])[1]
            for name in ("Password", "Nonce", "Created")
        }
        nonce = base64.b64decode(parts["Nonce"] or "")
        wanted = hashlib.sha1(nonce + (parts["Created"] or "").encode() + self.password.encode()).digest()
        return base64.b64decode(parts["Password"] or "") == wanted
