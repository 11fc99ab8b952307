/** The command center's HTTP API. One method a call; every failure is an ApiFailure that says what to do. */

import type { ServerClock } from "../model/server_clock";
import type { Disposition, Enrollment, FleetNode, Incident, IncidentPage, Session, Shelf, Shelving } from "./shapes";

const DEADLINE_MS = 10_000;
/** A node that does not answer is the center's to name; it waits for at most a minute. */
const OFFER_DEADLINE_MS = 70_000;

export class ApiFailure extends Error {
  constructor(
    message: string,
    /** 0: the center could not be reached. */
    readonly status: number,
    readonly body?: unknown,
  ) {
    super(message);
  }

  /** Somebody else was first: the incident as it is now. */
  get conflict(): Incident | undefined {
    const body = this.body as { incident?: Incident } | null | undefined;
    return this.status === 409 ? body?.incident : undefined;
  }
}

export class Center {
  #csrf = "";
  readonly #root: string;
  readonly #clock: ServerClock;
  /** Called when the center says that nobody is signed in here. */
  onSignedOut: () => void = () => {};

  /** @param clock Told the center's time with every answer. */
  constructor(clock: ServerClock, root = "/api/v1") {
    this.#clock = clock;
    this.#root = root;
  }

  async session(): Promise<Session> {
    return this.#keep(await this.get("/session"));
  }

  async signIn(username: string, password: string): Promise<Session> {
    return this.#keep(await this.send("POST", "/session", { username, password }));
  }

  /** The step after the password; another CSRF token comes with it. */
  async secondFactor(code: string): Promise<Session> {
    return this.#keep(await this.send("POST", "/session/second-factor", { code }));
  }

  /** What an authenticator app needs; shown this once. */
  enrollment(): Promise<Enrollment> {
    return this.send("POST", "/account/second-factor", {});
  }

  /** The app shows the right code: from now on it is asked for. */
  async confirmEnrollment(code: string): Promise<{ codes: string[]; session: Session }> {
    const confirmed = await this.send<{ codes: string[]; session: Session }>("POST", "/account/second-factor/confirm", { code });
    this.#keep(confirmed.session);
    return confirmed;
  }

  async changePassword(current: string, chosen: string): Promise<Session> {
    return this.#keep(await this.send("POST", "/account/password", { current, new: chosen }));
  }

  async signOut(): Promise<void> {
    await this.send("DELETE", "/session");
    this.#csrf = "";
  }

  incidents(state: "open" | "all", limit: number, after?: string): Promise<IncidentPage> {
    return this.get(`/incidents?state=${state}&limit=${limit}${after ? `&after=${encodeURIComponent(after)}` : ""}`);
  }

  incident(id: number): Promise<Incident> {
    return this.get(`/incidents/${id}`);
  }

  nodes(): Promise<{ nodes: FleetNode[] }> {
    return this.get("/nodes");
  }

  acknowledge(id: number, version: number): Promise<Incident> {
    return this.send("POST", `/incidents/${id}/acknowledge`, { version });
  }

  close(id: number, version: number, disposition: Disposition, note: string): Promise<Incident> {
    return this.send("POST", `/incidents/${id}/close`, { version, disposition, note });
  }

  merge(id: number, version: number, into: number): Promise<Incident> {
    return this.send("POST", `/incidents/${id}/merge`, { version, into });
  }

  unmerge(id: number, version: number): Promise<Incident> {
    return this.send("POST", `/incidents/${id}/unmerge`, { version });
  }

  shelves(): Promise<{ shelves: Shelf[] }> {
    return this.get("/shelves");
  }

  shelve(shelving: Shelving): Promise<unknown> {
    return this.send("POST", "/shelves", shelving);
  }

  agreeToShelf(id: number): Promise<unknown> {
    return this.send("POST", `/shelves/${id}/agree`, {});
  }

  endShelf(id: number): Promise<unknown> {
    return this.send("DELETE", `/shelves/${id}`);
  }

  /** Opens the event stream after an event id; the caller reads the body. */
  async events(after: number, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
    const response = await fetch(`${this.#root}/events?after=${after}`, {
      headers: { Accept: "text/event-stream", "Last-Event-ID": String(after) }, cache: "no-store", signal,
    });
    this.#hearTime(response);
    if (response.status === 401) this.onSignedOut();
    if (!response.ok || !response.body) throw new ApiFailure(`the event stream answered ${response.status}`, response.status);
    return response.body;
  }

  get<Answer>(path: string): Promise<Answer> {
    return this.send("GET", path);
  }

  async send<Answer>(method: string, path: string, body?: object): Promise<Answer> {
    const headers: Record<string, string> = { Accept: "application/json" };
    if (body) headers["Content-Type"] = "application/json";
    if (method !== "GET" && this.#csrf) headers["X-Heard-CSRF"] = this.#csrf;
    const request: RequestInit = { method, headers, cache: "no-store", signal: AbortSignal.timeout(DEADLINE_MS) };
    if (body) request.body = JSON.stringify(body);
    let response: Response;
    try {
      response = await fetch(this.#root + path, request);
    } catch {
      throw new ApiFailure("The command center could not be reached.", 0);
    }
    return this.#answerOf<Answer>(response, path);
  }

  /** An SDP offer for a camera (WHEP); the center answers when the node has. */
  async offer(path: string, sdp: string): Promise<{ answer: string; location: string }> {
    const headers = { Accept: "application/sdp", "Content-Type": "application/sdp", "X-Heard-CSRF": this.#csrf };
    const request: RequestInit = { method: "POST", headers, body: sdp, cache: "no-store", signal: AbortSignal.timeout(OFFER_DEADLINE_MS) };
    const response = await fetch(this.#root + path, request).catch(() => {
      throw new ApiFailure("The command center could not be reached.", 0);
    });
    if (!response.ok) await this.#answerOf(response, path);
    return { answer: await response.text(), location: response.headers.get("Location") ?? "" };
  }

  /** The next still of a viewing after this number; null where none came in time. */
  async still(session: string, after: number, signal: AbortSignal): Promise<{ number: number; ageMs: number; picture: Blob } | null> {
    const response = await fetch(`${this.#root}/live/sessions/${session}/still?after=${after}`, { cache: "no-store", signal });
    if (response.status === 204) return null;
    if (!response.ok) await this.#answerOf(response, "/live");
    return {
      number: Number(response.headers.get("X-Heard-Still")), ageMs: Number(response.headers.get("X-Heard-Age-Ms")), picture: await response.blob(),
    };
  }

  /** Sends a file as it is; large ones take their time. */
  async upload<Answer>(path: string, file: Blob): Promise<Answer> {
    const headers = { Accept: "application/json", "Content-Type": "application/zip", "X-Heard-CSRF": this.#csrf };
    const response = await fetch(this.#root + path, { method: "POST", headers, body: file, cache: "no-store" }).catch(() => {
      throw new ApiFailure("The command center could not be reached, or ended the upload.", 0);
    });
    return this.#answerOf<Answer>(response, path);
  }

  async #answerOf<Answer>(response: Response, path: string): Promise<Answer> {
    this.#hearTime(response);
    const answer: unknown = response.status === 204 ? null : await response.json().catch(() => null);
    if (response.ok) return answer as Answer;
    if (response.status === 401 && !path.startsWith("/session")) this.onSignedOut();
    throw new ApiFailure(refusal(answer) ?? `The command center answered ${response.status}.`, response.status, answer);
  }

  #keep(session: Session): Session {
    this.#csrf = session.csrf;
    return session;
  }

  #hearTime(response: Response): void {
    this.#clock.heard(Date.parse(response.headers.get("Date") ?? ""));
  }
}

/** The center's own words; a list of them where a field was wrong. */
function refusal(answer: unknown): string | null {
  const detail = (answer as { detail?: unknown } | null)?.detail;
  if (typeof detail === "string") return detail;
  if (Array.isArray(detail)) return detail.map((item: { msg?: string; loc?: string[] }) => `${item.loc?.at(-1) ?? ""}: ${item.msg ?? ""}`).join("; ");
  return null;
}

/** What went wrong, for a person: a sentence of its own. */
export function wordsOf(error: unknown): string {
  const said = error instanceof Error ? error.message : String(error);
  return said.charAt(0).toUpperCase() + said.slice(1);
}
