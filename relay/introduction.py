"""How two neighbors come to know each other: passports, and a proof that each holds the keys in its own.

Where the carrier has proved the other end's transport key (CURVE), the passport that names that key is proof enough. Where
it has not (HTTPS, MQTT, radio), each side signs the other's challenge: 16 fresh random bytes with both ids, so that neither a
recorded proof nor one made for somebody else is worth anything.

Not promised: that nobody sits on the wire between the two. Who does can drop parcels and invent hop notes, as a broken
wire can; envelopes and receipts carry their own signatures, and no note ever frees a copy.

Where CURVE has proved the key in a passport that the caller holds already, the answerer's welcome tells it nothing new, and over a satellite
it takes 600 ms to come. There the caller *presumes* it: alerts follow the hello at once, on the same ordered connection, so that the
answerer knows who speaks when it reads them. If it does not take the hello it asks ``Who``: then, and on a path whose last presumed
welcome never came, nothing goes before the welcome, so a neighbor that refuses us costs the alerts of one round trip and no more.
"""

import secrets
from typing import Final

from relay import dsse, hop
from relay.errors import BadSignature, NotForUs
from relay.identity import Identity
from relay.ids import NodeId
from relay.links import Link, Links
from relay.passport import Passport, SignedPassport
from relay.trust import TrustBook

CHALLENGE_BYTES: Final = 16


class Introducer:
    """Speaks the hello. Holds our keys and passport; what it learns goes into ``links`` and ``trust``."""

    def __init__(self, *, identity: Identity, own_passport: bytes, trust: TrustBook, links: Links) -> None:
        self._identity = identity
        self._own_passport = own_passport
        self._trust = trust
        self._links = links
        self._disappointing: set[str] = set()
        """Paths on which a welcome was presumed, and has not come yet."""

    def begin(self, link: Link) -> bool:
        """A session is open: say hello where we called; True where the other end is a neighbor at once, without one or before its welcome.

        Raises:
            UnknownSender, Revoked: the neighbor that the carrier names may not be spoken to.
        """
        if link.known is not None:
            self._links.introduce(link, self._trust.passport_of(link.known.peer_id))
            return True
        if link.session.is_outgoing:
            self.greet(link)
            return self._presume(link)
        return False

    def _presume(self, link: Link) -> bool:
        key, path = link.session.transport_key, link.session.facts.name
        passport = self._trust.speaking_by(key) if key else None
        if passport is None or path in self._disappointing:
            return False
        self._disappointing.add(path)
        self._links.introduce(link, passport, is_presumed=True)
        return True

    def greet(self, link: Link) -> None:
        """Say hello on a session that we made."""
        link.note(hop.Hello(self._own_passport, self._trust.roster_number, self._challenge(link)))

    def hello_arrived(self, link: Link, note: hop.Hello) -> SignedPassport | None:
        """Answer a hello. The caller is introduced at once where its transport key is proved; else by ``proved_arrived``.

        Raises:
            Malformed, BadSignature, Revoked: not a passport of our authority, or withdrawn.
            NotForUs: the passport names another transport key than the one that was proved.
        """
        signed = self._trust.admit(note.passport)
        if link.session.transport_key:
            self._links.introduce(link, signed.passport)
        proof = self._prove(note.challenge, signed.passport)
        link.claimed = signed
        link.note(hop.Welcome(self._own_passport, self._trust.roster_number, self._challenge(link), proof))
        return signed if link.session.transport_key else None

    def welcome_arrived(self, link: Link, note: hop.Welcome) -> SignedPassport:
        """Take the answer to our hello, and prove ourselves in turn.

        Raises:
            Malformed, BadSignature, Revoked, NotForUs: see ``hello_arrived``; also a proof that does not hold.
        """
        signed = self._trust.admit(note.passport)
        if not link.session.transport_key:
            self._check(link, note.proof, signed.passport)
        self._links.introduce(link, signed.passport)
        self._disappointing.discard(link.session.facts.name)
        if not link.session.transport_key:
            link.note(hop.Proved(self._prove(note.challenge, signed.passport)))
        return signed

    def proved_arrived(self, link: Link, note: hop.Proved) -> SignedPassport | None:
        """The caller's own proof; None where none was asked for.

        Raises:
            BadSignature: it does not hold.
        """
        signed, link.claimed = link.claimed, None
        if signed is None or link.peer is not None:
            return None
        self._check(link, note.proof, signed.passport)
        self._links.introduce(link, signed.passport)
        return signed

    def passport_wire_of(self, node_id: NodeId) -> bytes | None:
        """A node's signed passport, to show to others; our own included."""
        return self._own_passport if node_id == self._identity.node_id else self._trust.wire_of(node_id)

    def show_passport(self, link: Link, origin: NodeId) -> None:
        """Show an origin's passport to a neighbor once a session, before its first envelope."""
        if origin in link.shown:
            return
        wire = self.passport_wire_of(origin)
        if wire is not None and link.note(hop.Passports((wire,))):
            link.shown.add(origin)

    def _challenge(self, link: Link) -> bytes:
        # Kept until it is answered: on a slow path a second hello goes out before the first one's welcome is back.
        link.challenge = link.challenge or secrets.token_bytes(CHALLENGE_BYTES)
        return link.challenge

    def _prove(self, challenge: bytes, to: Passport) -> bytes:
        statement = challenge + self._identity.node_id + to.node_id
        return dsse.sign(dsse.INTRODUCTION_TYPE, statement, self._identity.signing)

    def _check(self, link: Link, proof: bytes, by: Passport) -> None:
        challenge, link.challenge = link.challenge, b""
        if len(challenge) != CHALLENGE_BYTES:
            raise BadSignature(f"{by.name} answers a challenge that was not given, or was answered before")
        if by.node_id == self._identity.node_id:
            raise NotForUs("our own passport was shown to us")
        dsse.verify(dsse.INTRODUCTION_TYPE, challenge + by.node_id + self._identity.node_id, proof, by.signing_key)
