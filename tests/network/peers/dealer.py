"""A plain ZeroMQ DEALER, connected over every link, with heartbeats of 1 s and 3 s."""

import threading
from pathlib import Path

import zmq

from tests.network.peers.exchange import PORT, Pace, Ready, number_of, tell


def center(_: Path) -> None:
    """Answer each message with its number, for as long as the process lives."""
    router: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.ROUTER)
    router.bind(f"tcp://0.0.0.0:{PORT}")
    tell(Ready())
    while True:
        sender, data = router.recv_multipart()
        router.send_multipart([sender, data[:8]])


def node(_: Path, addresses: list[str]) -> None:
    """One socket, as many connections as there are links; ZeroMQ spreads the messages over those that it believes in."""
    dealer: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
    dealer.setsockopt(zmq.LINGER, 0)
    dealer.setsockopt(zmq.HEARTBEAT_IVL, 1000)
    dealer.setsockopt(zmq.HEARTBEAT_TIMEOUT, 3000)
    for address in addresses:
        dealer.connect(f"tcp://{address}:{PORT}")
    pace, stop = Pace(), threading.Event()
    outbox: list[bytes] = []

    def work() -> None:  # a ZeroMQ socket belongs to one thread
        while not stop.is_set():
            while outbox:
                dealer.send(outbox.pop(0))
            if dealer.poll(1):
                pace.heard(number_of(dealer.recv()))

    thread = threading.Thread(target=work, name="dealer")
    thread.start()
    try:
        pace.run(outbox.append)
    finally:
        stop.set()
        thread.join()
