// @ts-check
/** The command center's HTTP API. One method a call; every failure is an ApiFailure that says what to do. */

/** @typedef {import("./types.js").Incident} Incident */
/** @typedef {import("./types.js").FleetNode} FleetNode */
/** @typedef {import("./types.js").Session} Session */

const DEADLINE_MS = 10_000;

export class ApiFailure extends Error {
  /**
   * @param {string} message
   * @param {number} status 0: the center could not be reached.
   * @param {any} [body]
   */
  constructor(message, status, body) {
    super(message);
    this.status = status;
    this.body = body;
  }
}

export class Api {
  #csrf = "";
  #root;
  #clock;

  /**
   * @param {import("./server_clock.js").ServerClock} clock Told the center's time with every answer.
   * @param {string} [root]
   */
  constructor(clock, root = "/api/v1") {
    this.#clock = clock;
    this.#root = root;
    /** Called when the center says that nobody is signed in here. */
    this.onSignedOut = () => {};
  }

  /** @returns {Promise<Session>} */
  async session() {
    return this.#keep(await this.#call("GET", "/session"));
  }

  /**
   * @param {string} username
   * @param {string} password
   * @returns {Promise<Session>}
   */
  async signIn(username, password) {
    return this.#keep(await this.#call("POST", "/session", { username, password }));
  }

  async signOut() {
    await this.#call("DELETE", "/session");
    this.#csrf = "";
  }

  /**
   * @param {"open"|"all"} state
   * @returns {Promise<{watermark: number, incidents: Incident[]}>}
   */
  incidents(state) {
    return this.#call("GET", `/incidents?state=${state}&limit=500`);
  }

  /**
   * @param {number} id
   * @returns {Promise<Incident>}
   */
  incident(id) {
    return this.#call("GET", `/incidents/${id}`);
  }

  /** @returns {Promise<{nodes: FleetNode[]}>} */
  nodes() {
    return this.#call("GET", "/nodes");
  }

  /**
   * @param {number} id
   * @param {number} version
   * @returns {Promise<Incident>}
   */
  acknowledge(id, version) {
    return this.#call("POST", `/incidents/${id}/acknowledge`, { version });
  }

  /**
   * @param {number} id
   * @param {number} version
   * @param {import("./types.js").Disposition} disposition
   * @param {string} note
   * @returns {Promise<Incident>}
   */
  close(id, version, disposition, note) {
    return this.#call("POST", `/incidents/${id}/close`, { version, disposition, note });
  }

  /**
   * @param {number} id
   * @param {number} version
   * @param {number} into
   * @returns {Promise<Incident>}
   */
  merge(id, version, into) {
    return this.#call("POST", `/incidents/${id}/merge`, { version, into });
  }

  /**
   * @param {number} id
   * @param {number} version
   * @returns {Promise<Incident>}
   */
  unmerge(id, version) {
    return this.#call("POST", `/incidents/${id}/unmerge`, { version });
  }

  /** @returns {Promise<{shelves: import("./types.js").Shelf[]}>} */
  shelves() {
    return this.#call("GET", "/shelves");
  }

  /** @param {import("./types.js").Shelving} shelving */
  shelve(shelving) {
    return this.#call("POST", "/shelves", shelving);
  }

  /** @param {number} id */
  agreeToShelf(id) {
    return this.#call("POST", `/shelves/${id}/agree`, {});
  }

  /** @param {number} id */
  endShelf(id) {
    return this.#call("DELETE", `/shelves/${id}`);
  }

  /**
   * Opens the event stream after an event id; the caller reads the body.
   *
   * @param {number} after
   * @param {AbortSignal} signal
   */
  async events(after, signal) {
    const response = await fetch(`${this.#root}/events?after=${after}`, {
      headers: { Accept: "text/event-stream", "Last-Event-ID": String(after) }, cache: "no-store", signal,
    });
    this.#hearTime(response);
    if (response.status === 401) this.onSignedOut();
    if (!response.ok || !response.body) throw new ApiFailure(`the event stream answered ${response.status}`, response.status);
    return response.body;
  }

  /** @param {Session} session */
  #keep(session) {
    this.#csrf = session.csrf;
    return session;
  }

  /** @param {Response} response */
  #hearTime(response) {
    this.#clock.heard(Date.parse(response.headers.get("Date") ?? ""));
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {object} [body]
   * @returns {Promise<any>}
   */
  async #call(method, path, body) {
    /** @type {Record<string, string>} */
    const headers = { Accept: "application/json" };
    if (body) headers["Content-Type"] = "application/json";
    if (method !== "GET" && this.#csrf) headers["X-Heard-CSRF"] = this.#csrf;
    let response;
    try {
      response = await fetch(this.#root + path, {
        method, headers, body: body && JSON.stringify(body), cache: "no-store", signal: AbortSignal.timeout(DEADLINE_MS),
      });
    } catch {
      throw new ApiFailure("The command center could not be reached.", 0);
    }
    this.#hearTime(response);
    const answer = response.status === 204 ? null : await response.json().catch(() => null);
    if (response.ok) return answer;
    if (response.status === 401 && path !== "/session") this.onSignedOut();
    const detail = typeof answer?.detail === "string" ? answer.detail : `The command center answered ${response.status}.`;
    throw new ApiFailure(detail, response.status, answer);
  }
}
