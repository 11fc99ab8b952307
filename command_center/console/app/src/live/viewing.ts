/**
 * One viewing of one camera: WHEP to the center, WebRTC to the node, stills where no video comes through. No view code: it
 * tells `onChange` whenever something is different, and the owner draws. `stop` ends it at both ends.
 */

import { type Center, wordsOf } from "../wire/center";
import { between, type Counters, NO_WAY_AFTER_MS, type Readings } from "./readings";

const GATHERED_WITHIN_MS = 1500;
const LOOK_EVERY_MS = 1000;
const ASK_EVERY_MS = 3000;

export interface IceServers {
  ice_servers: { urls: string; username: string; credential: string }[];
  is_relay_only: boolean;
}

interface SessionState {
  rung: string;
  why: string;
  is_over: boolean;
  ended_why: string;
}

/** What the node says on the data channel. */
interface Said {
  rung?: string;
  why?: string;
  encoded?: string;
  silent_ms?: number;
  still?: number;
  age_ms?: number;
}

export type Phase = "connecting" | "video" | "stills" | "over";

export class Viewing {
  phase: Phase = "connecting";
  rung = "";
  /** Why the quality is what it is, or why it is over; the node's or the center's words. */
  why = "";
  /** Why the node encodes again, if it does. */
  encoded = "";
  stream: MediaStream | null = null;
  /** A blob's address: the newest still. */
  still: string | null = null;
  reading: Readings | null = null;
  joinMs: number | null = null;

  readonly #center: Center;
  readonly #path: string;
  readonly #query: string;
  readonly #onChange: () => void;
  readonly #beganAt = performance.now();
  readonly #abort = new AbortController();
  #connection: RTCPeerConnection | null = null;
  #session = "";
  #counters: Counters | null = null;
  #timer = 0;
  #askedAt = 0;
  #expected: Said | null = null;
  /** When the newest picture was taken, by this clock. */
  #takenAt: number | null = null;
  #isAskingStills = false;

  constructor(center: Center, node: string, camera: string, reason: string, incident: number, onChange: () => void) {
    this.#center = center;
    this.#path = `/live/nodes/${encodeURIComponent(node)}/cameras/${encodeURIComponent(camera)}`;
    this.#query = `?reason=${encodeURIComponent(reason)}&incident=${incident}`;
    this.#onChange = onChange;
  }

  /** The node has said that it will show it. */
  get isAnswered(): boolean {
    return this.#session !== "";
  }

  get waitedMs(): number {
    return performance.now() - this.#beganAt;
  }

  /** How old the picture on the screen is; null before the first. */
  get ageMs(): number | null {
    return this.#takenAt === null ? null : Math.max(0, performance.now() - this.#takenAt);
  }

  async start(): Promise<void> {
    this.#timer = window.setInterval(() => void this.#look(), LOOK_EVERY_MS);
    try {
      await this.#connect();
    } catch (error) {
      this.#end(wordsOf(error));
    }
  }

  /** A frame is on the screen: what the browser knows of its age. */
  shown(metadata: { captureTime?: number; receiveTime?: number }): void {
    const now = performance.now();
    this.#takenAt = metadata.captureTime ?? metadata.receiveTime ?? now;
    this.#arrived("video");
  }

  stop(): void {
    if (this.phase === "over") return;
    const session = this.#session;
    this.#end("");
    if (session) void this.#center.send("DELETE", `/live/sessions/${session}`).catch(() => undefined);
  }

  // ------------------------------------------------------------------ connecting

  async #connect(): Promise<void> {
    const ice = await this.#center.get<IceServers>("/live/ice-servers");
    const connection = new RTCPeerConnection({
      iceServers: ice.ice_servers.map((server) => (server.username ? server : { urls: server.urls })),
      iceTransportPolicy: ice.is_relay_only ? "relay" : "all",
    });
    this.#connection = connection;
    const transceiver = connection.addTransceiver("video", { direction: "recvonly" });
    preferH264(transceiver);
    connection.ontrack = (event) => {
      if ("jitterBufferTarget" in event.receiver) (event.receiver as RTCRtpReceiver & { jitterBufferTarget: number }).jitterBufferTarget = 0;
      this.stream = new MediaStream([event.track]);
      this.#onChange();
    };
    const channel = connection.createDataChannel("heard");
    channel.binaryType = "arraybuffer";
    channel.onmessage = (event: MessageEvent<string | ArrayBuffer>) => this.#heard(channel, event.data);
    await connection.setLocalDescription(await connection.createOffer());
    await gathered(connection);
    const { answer, location } = await this.#center.offer(this.#path + this.#query, connection.localDescription?.sdp ?? "");
    this.#session = location.split("/").at(-1) ?? "";
    if (this.#abort.signal.aborted) {
      void this.#center.send("DELETE", `/live/sessions/${this.#session}`).catch(() => undefined);
      return;
    }
    await connection.setRemoteDescription({ type: "answer", sdp: answer });
    connection.onconnectionstatechange = () => {
      if (["failed", "disconnected", "closed"].includes(connection.connectionState)) void this.#ask();
    };
  }

  // ------------------------------------------------------------------ what comes

  #heard(channel: RTCDataChannel, data: string | ArrayBuffer): void {
    if (typeof data !== "string") {
      const expected = this.#expected;
      if (expected?.still === undefined) return;
      channel.send(JSON.stringify({ got: expected.still }));
      this.#showStill(new Blob([data], { type: "image/jpeg" }), expected.age_ms ?? 0);
      return;
    }
    const said = JSON.parse(data) as Said;
    if (said.still !== undefined) {
      this.#expected = said;
      return;
    }
    this.rung = said.rung ?? this.rung;
    this.why = said.why ?? "";
    this.encoded = said.encoded ?? "";
    if (this.rung === "main" || this.rung === "sub") this.phase = this.phase === "stills" ? "video" : this.phase;
    this.#onChange();
  }

  #showStill(picture: Blob, ageMs: number): void {
    if (this.phase === "over") return;
    if (this.still) URL.revokeObjectURL(this.still);
    this.still = URL.createObjectURL(picture);
    this.#takenAt = performance.now() - ageMs;
    this.#arrived("stills");
  }

  #arrived(phase: Phase): void {
    if (this.phase === "over") return;
    const isNew = this.phase !== phase || this.joinMs === null;
    this.joinMs ??= performance.now() - this.#beganAt;
    this.phase = phase;
    if (isNew || phase === "stills") this.#onChange();
  }

  // ------------------------------------------------------------------ watching over it

  async #look(): Promise<void> {
    if (this.phase === "over") return;
    const now = performance.now();
    await this.#count(now);
    const isLate = this.joinMs === null && now - this.#beganAt > NO_WAY_AFTER_MS;
    if (this.#session && (isLate || now - this.#askedAt > ASK_EVERY_MS)) await this.#ask();
    this.#onChange();
  }

  async #count(now: number): Promise<void> {
    const report = await this.#connection?.getStats().catch(() => null);
    for (const entry of report?.values() ?? []) {
      if (entry.type !== "inbound-rtp" || entry.kind !== "video") continue;
      const counters: Counters = {
        at: now, bytes: entry.bytesReceived ?? 0, packets: entry.packetsReceived ?? 0, lost: entry.packetsLost ?? 0, frames: entry.framesDecoded ?? 0,
      };
      this.reading = this.#counters ? between(this.#counters, counters) : null;
      this.#counters = counters;
    }
  }

  /** Ask the center how the viewing is: it may be over, or go on as stills through the relay. */
  async #ask(): Promise<void> {
    if (!this.#session || this.phase === "over") return;
    this.#askedAt = performance.now();
    try {
      const state = await this.#center.get<SessionState>(`/live/sessions/${this.#session}`);
      if (state.is_over) this.#end(state.ended_why);
      else if (state.rung === "relay-stills") {
        this.rung = state.rung;
        this.why = state.why;
        void this.#askStills();
      }
    } catch (error) {
      this.why = wordsOf(error); // the center is out of reach for a moment; what comes from the node goes on
    }
  }

  /** One still after the other, for as long as they come this way. */
  async #askStills(): Promise<void> {
    if (this.#isAskingStills) return;
    this.#isAskingStills = true;
    let number = 0;
    try {
      while (!this.#abort.signal.aborted && this.rung === "relay-stills") {
        const still = await this.#center.still(this.#session, number, this.#abort.signal);
        if (!still) continue;
        number = still.number;
        this.#showStill(still.picture, still.ageMs);
      }
    } catch {
      await this.#ask(); // over, most likely: the center says why
    } finally {
      this.#isAskingStills = false;
    }
  }

  #end(why: string): void {
    if (this.phase === "over") return;
    this.phase = "over";
    this.why = why;
    window.clearInterval(this.#timer);
    this.#abort.abort();
    this.#connection?.close();
    this.stream = null;
    if (this.still) URL.revokeObjectURL(this.still);
    this.still = null;
    this.#onChange();
  }
}

/** Cameras send H.264; an offer that names it alone is a third as long. */
function preferH264(transceiver: RTCRtpTransceiver): void {
  const codecs = RTCRtpReceiver.getCapabilities("video")?.codecs.filter((codec) => /\/(h264|rtx)$/i.test(codec.mimeType)) ?? [];
  if (codecs.some((codec) => /h264$/i.test(codec.mimeType))) transceiver.setCodecPreferences(codecs);
}

/** The center takes no candidates later, so they are waited for; a server that does not answer is not waited for long. */
function gathered(connection: RTCPeerConnection): Promise<void> {
  if (connection.iceGatheringState === "complete") return Promise.resolve();
  return new Promise((resolve) => {
    window.setTimeout(resolve, GATHERED_WITHIN_MS);
    connection.onicegatheringstatechange = () => {
      if (connection.iceGatheringState === "complete") resolve();
    };
  });
}
