// @ts-check
/** Puts the console together: session, stream, queue, details, fleet, sound, keys. */

import { Actions } from "./actions.js";
import { AlarmSound } from "./alarm_sound.js";
import { announce } from "./announcer.js";
import { Api, ApiFailure } from "./api.js";
import { Detail } from "./detail.js";
import { byId, inputById, setText } from "./element.js";
import { Fleet } from "./fleet.js";
import { connectForms } from "./forms.js";
import { localTime, utcTime } from "./format.js";
import { hear } from "./hearing.js";
import { Incidents } from "./incidents.js";
import { Keyboard } from "./keyboard.js";
import { Queue } from "./queue.js";
import { ServerClock } from "./server_clock.js";
import { Shelves } from "./shelves.js";
import { SignIn } from "./sign_in.js";
import { SoundBanner } from "./sound_banner.js";
import { EventStream } from "./stream.js";
import { StreamBanner } from "./stream_banner.js";
import { showSummary } from "./summary.js";
import { startTheme } from "./theme.js";

/** @typedef {import("./types.js").Incident} Incident */

const SIGNED_IN_KEY = "heard.signed-in";
const SHOW_WITHIN_MS = 16;
const ASK_NODES_EVERY_MS = 30_000;
const DESK_RESTS_MS = 20_000; // nobody has touched anything: then the details follow the queue

class Console {
  #clock = new ServerClock();
  #api = new Api(this.#clock);
  #incidents = new Incidents();
  #sound = new AlarmSound();
  #queue = new Queue(this.#incidents, this.#clock);
  #detail = new Detail(this.#clock);
  #fleet = new Fleet(this.#clock);
  #shelves = new Shelves(this.#clock);
  #stream = new EventStream(this.#api);
  #actions = new Actions(this.#api, this.#clock);
  #signIn = new SignIn(this.#api, this.#sound);
  #soundBanner = new SoundBanner(this.#sound);
  #streamBanner = new StreamBanner(this.#stream);
  #isSignedIn = false;
  #showsAll = false;
  #mustLoad = false;
  #isLoading = false;
  #askedNodesAt = 0;
  #touchedAt = 0;
  /** @type {Set<number>} */
  #changedIds = new Set();

  constructor() {
    this.#connect();
    this.#connectKeys();
    byId("sign-out").addEventListener("click", () => void this.#signOut());
    byId("show-open").addEventListener("click", () => void this.#show(false));
    byId("show-all").addEventListener("click", () => void this.#show(true));
    inputById("filter").addEventListener("input", () => this.#queue.filter(inputById("filter").value));
    for (const name of ["pointermove", "pointerdown", "wheel", "keydown"]) document.addEventListener(name, () => { this.#touchedAt = performance.now(); }, { passive: true });
    setInterval(() => this.#tick(), 1000);
  }

  async start() {
    // Asked only where somebody has signed in: a refusal at every first visit would look like a fault in the log.
    if (localStorage.getItem(SIGNED_IN_KEY) === null) {
      this.#leave("");
      return;
    }
    try {
      await this.#enter(await this.#api.session());
    } catch (error) {
      const isExpected = error instanceof ApiFailure && error.status === 401;
      this.#leave(isExpected ? "" : error instanceof Error ? error.message : String(error));
    }
  }

  #connect() {
    this.#signIn.onSignedIn = (session) => void this.#enter(session).catch((error) => this.#leave(error.message));
    this.#api.onSignedOut = () => this.#isSignedIn && this.#leave("Your session has ended. Sign in again; alerts went on being stored.");
    this.#stream.onEvent = (name, value) => this.#take(name, value);
    this.#stream.onReset = () => {
      this.#mustLoad = true;
      void this.#loadAnew();
    };
    this.#stream.onState = (state, was) => {
      this.#streamBanner.changed(state, was);
      this.#fleet.tick();
      if (state === "lost") this.#sound.stream("lost");
      if (state === "live" && was === "lost") this.#sound.stream("back");
    };
    this.#fleet.isStreamLive = () => this.#stream.state !== "lost";
    this.#queue.quietWords = () => this.#fleet.quietWords();
    this.#queue.onSelect = (id) => this.#showDetail(id);
    this.#queue.onOpen = () => document.body.classList.add("detail-open");
    this.#queue.onAcknowledge = (id) => this.#acknowledge(id);
    this.#detail.onAcknowledge = (id) => this.#acknowledge(id);
    connectForms({ incidents: this.#incidents, queue: this.#queue, detail: this.#detail, shelves: this.#shelves, actions: this.#actions, api: this.#api });
    this.#actions.onIncident = (incident) => this.#takeIncident(incident);
  }

  #connectKeys() {
    const keyboard = new Keyboard([
      { keys: ["j", "ArrowDown"], shown: "j ↓", does: "Next incident", act: () => this.#queue.move(1) },
      { keys: ["k", "ArrowUp"], shown: "k ↑", does: "Previous incident", act: () => this.#queue.move(-1) },
      { keys: ["a"], shown: "a", does: "Acknowledge the selected incident", act: () => this.#acknowledge(this.#queue.selectedId) },
      { keys: ["c"], shown: "c", does: "Close it, with a disposition", act: () => this.#detail.toggleCloseForm() },
      { keys: ["g"], shown: "g", does: "Merge it into another incident", act: () => this.#detail.toggleMergeForm() },
      { keys: ["s"], shown: "s", does: "Shelve its source for a while", act: () => this.#detail.toggleShelveForm() },
      { keys: ["n"], shown: "n", does: "Bring in what is new and go to the first unacknowledged", act: () => this.#queue.goToNewest() },
      { keys: ["/"], shown: "/", does: "Filter", act: () => inputById("filter").focus() },
      { keys: ["m"], shown: "m", does: "Mute or unmute alarms", act: () => this.#sound.toggleMute() },
      { keys: ["?"], shown: "?", does: "This list", act: () => keyboard.showHelp() },
    ], {
      isActive: () => this.#isSignedIn,
      onEscape: () => this.#escape(),
      onDigit: (digit) => {
        const isOpen = this.#detail.isClosing;
        this.#detail.choose(digit - 1);
        return isOpen;
      },
    });
    byId("help").addEventListener("click", () => keyboard.showHelp());
    // After a reload the browser is mute until the first touch: any touch will do.
    for (const name of ["pointerdown", "keydown"]) {
      document.addEventListener(name, () => this.#isSignedIn && this.#sound.state === "blocked" && void this.#sound.unlock(), { passive: true });
    }
  }

  /** @param {import("./types.js").Session} session */
  async #enter(session) {
    this.#shelves.session = session;
    await this.#load();
    this.#isSignedIn = true;
    localStorage.setItem(SIGNED_IN_KEY, "yes");
    setText(byId("who"), `${session.username}, ${session.role}`);
    byId("sign-in").hidden = true;
    byId("console").hidden = false;
    document.body.dataset.view = "console";
    this.#tick();
    this.#soundBanner.refresh();
  }

  /** @param {string} why */
  #leave(why) {
    this.#isSignedIn = false;
    this.#stream.stop();
    byId("console").hidden = true;
    byId("sign-in").hidden = false;
    document.body.dataset.view = "sign-in";
    document.title = "Heard";
    this.#signIn.show(why);
  }

  async #signOut() {
    try {
      await this.#api.signOut();
    } catch (error) {
      announce(`Not signed out: ${error instanceof Error ? error.message : ""}`, { isUrgent: true });
      return;
    }
    this.#sound.forget();
    localStorage.removeItem(SIGNED_IN_KEY);
    this.#leave("");
  }

  /** Everything anew from the center, then the stream from that moment on. */
  async #load() {
    const [{ watermark, incidents }, { nodes }, { shelves }] = await Promise.all([this.#api.incidents(this.#showsAll ? "all" : "open"), this.#api.nodes(), this.#api.shelves()]);
    this.#shelves.replace(shelves);
    const selected = this.#queue.selectedId;
    this.#askedNodesAt = performance.now();
    this.#incidents.replace(incidents);
    for (const node of nodes) this.#clock.heard(node.last_heard_at_ms);
    for (const incident of incidents) this.#clock.heard(incident.last_alert_at_ms);
    this.#fleet.replace(nodes);
    this.#queue.settle();
    this.#queue.refresh();
    this.#showDetail(this.#queue.selectedId ?? selected);
    this.#stream.start(watermark);
  }

  /** Loads until it has worked: what the stream skipped comes from nowhere else. */
  async #loadAnew() {
    if (!this.#mustLoad || this.#isLoading) return;
    this.#isLoading = true;
    try {
      await this.#load();
      this.#mustLoad = false;
    } catch (error) {
      announce(`Not up to date: ${error instanceof Error ? error.message : ""} Trying again.`, { isUrgent: true });
    } finally {
      this.#isLoading = false;
    }
  }

  /** @param {string} name @param {any} value */
  #take(name, value) {
    if (name === "incident") this.#takeIncident(value);
    if (name === "shelves") this.#shelves.replace(value.shelves);
    if (name === "node") {
      this.#clock.heard(value.last_heard_at_ms);
      this.#fleet.take(value);
    }
  }

  /** @param {Incident} incident */
  #takeIncident(incident) {
    if (!Number.isSafeInteger(incident?.id) || !incident.node) throw new Error(`expected an incident with id and node, found ${JSON.stringify(incident)}`);
    this.#clock.heard(incident.last_alert_at_ms);
    const held = this.#incidents.get(incident.id);
    const taken = this.#incidents.take(incident);
    if (taken === "old") return;
    hear(incident, taken === "new" ? undefined : held, this.#sound);
    this.#changedIds.add(incident.id);
    if (this.#changedIds.size === 1) setTimeout(() => this.#showChanges(), SHOW_WITHIN_MS);
  }

  /** A burst of events is shown at once, not row by row. */
  #showChanges() {
    const selected = this.#queue.selectedId;
    const isShown = selected !== null && this.#changedIds.has(selected);
    this.#changedIds.clear();
    this.#queue.refresh();
    if (isShown && selected === this.#queue.selectedId) this.#showDetail(selected);
    this.#showSummary();
  }

  /** @param {number|null} id */
  #showDetail(id) {
    const incident = this.#incidents.get(id);
    this.#detail.show(incident);
    if (!incident) {
      document.body.classList.remove("detail-open");
      return;
    }
    void this.#api.incident(incident.id).then((whole) => {
      if (this.#incidents.get(whole.id)) this.#incidents.take(whole);
      this.#queue.refresh();
      if (this.#queue.selectedId === whole.id) this.#detail.show(this.#incidents.get(whole.id));
    }).catch(() => undefined); // the row's own facts stay on screen; a lost center is told by the stream
  }

  /** @param {number|null} id */
  #acknowledge(id) {
    const incident = this.#incidents.get(id);
    if (incident) void this.#actions.acknowledge(incident);
  }

  /** @param {boolean} showsAll */
  async #show(showsAll) {
    this.#showsAll = showsAll;
    byId("show-open").setAttribute("aria-pressed", String(!showsAll));
    byId("show-all").setAttribute("aria-pressed", String(showsAll));
    this.#queue.showClosed(showsAll);
    await this.#load().catch(() => undefined); // what is held stays on screen; a lost center is told by the stream
  }

  #escape() {
    if (this.#detail.isClosing) this.#detail.hideForms();
    else if (inputById("filter").value || document.activeElement === inputById("filter")) {
      inputById("filter").value = "";
      this.#queue.filter("");
      this.#queue.select(this.#queue.selectedId, { focus: true });
    } else document.body.classList.remove("detail-open");
  }

  #showSummary() {
    showSummary(this.#incidents, this.#stream.state === "lost");
  }

  #tick() {
    if (!this.#isSignedIn) return;
    const now = this.#clock.now();
    setText(byId("wall-clock"), localTime(now));
    byId("wall-clock").title = utcTime(now);
    void this.#loadAnew();
    this.#streamBanner.tick();
    this.#queue.tick();
    if (performance.now() - this.#touchedAt > DESK_RESTS_MS && !this.#detail.isClosing) this.#queue.followNewest();
    this.#detail.tick();
    this.#fleet.tick();
    this.#shelves.tick();
    this.#showSummary();
    if (this.#sound.state === "muted") this.#soundBanner.refresh();
    this.#sound.tick(this.#incidents.unacknowledged().some((incident) => incident.precedence === "FLASH"));
    if (performance.now() - this.#askedNodesAt > ASK_NODES_EVERY_MS && this.#stream.state === "live") void this.#askNodes();
  }

  async #askNodes() {
    this.#askedNodesAt = performance.now();
    await this.#api.nodes().then(({ nodes }) => this.#fleet.replace(nodes)).catch(() => undefined); // asked again soon
  }
}

startTheme();
void new Console().start();
