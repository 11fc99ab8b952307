/**
 * The desk: what one signed-in person's console knows, and how news reaches it. Views read its signals; nothing else
 * writes them. Acts of the person are in `acts`.
 */

import { computed, signal } from "@preact/signals";

import { Acts } from "./acts";
import { DispatchActs } from "./dispatch_acts";
import { Fleet } from "./fleet";
import { loadPages } from "./loading";
import { startOfDay } from "./model/format";
import { IncidentBook } from "./model/incident_book";
import { type Permission, permits } from "./model/permissions";
import { Queue } from "./model/queue";
import { ServerClock } from "./model/server_clock";
import { Units } from "./units";
import { AlarmSound, type AlarmState } from "./sound/alarm_sound";
import { announce } from "./sound/announcer";
import { hear } from "./sound/hearing";
import { ApiFailure, Center, wordsOf } from "./wire/center";
import { EventStream, type StreamState } from "./wire/event_stream";
import type { Place, Unit } from "./wire/dispatch_shapes";
import type { FleetNode, Incident, Session, Shelf } from "./wire/shapes";

const SIGNED_IN_KEY = "heard.signed-in";
const SHOW_WITHIN_MS = 8;
const ASK_NODES_EVERY_MS = 30_000;
const DESK_RESTS_MS = 20_000; // nobody has touched anything: then the details follow the queue
const DETAIL_AFTER_MS = 60; // a held arrow key passes over rows that nobody looks at

export type FormName = "close" | "merge" | "shelve" | "assign" | "suppress";
const FORM_NEEDS: Record<FormName, Permission> = { close: "incidents.act", merge: "incidents.act", shelve: "sources.shelve", assign: "units.dispatch", suppress: "alarms.suppress" };
/** Where a field unit works: a page for a phone, which the center serves. */
const UNIT_PAGE = "/unit";
/** Only what was closed as a false alarm is suppressed; everything else is done to what is open. */
function fits(form: FormName, { state, disposition }: Incident): boolean {
  return form === "suppress" ? state === "closed" && disposition === "false_alarm" : state !== "closed";
}

export interface Notice {
  text: string;
  tone: "plain" | "problem";
}

export class Desk {
  readonly clock = new ServerClock();
  readonly center = new Center(this.clock);
  readonly book = new IncidentBook();
  readonly queue = new Queue(this.book);
  readonly sound = new AlarmSound();
  readonly fleet = new Fleet(this.clock);
  readonly stream = new EventStream((after, signal) => this.center.events(after, signal));
  readonly units = new Units();
  readonly acts = new Acts(this);
  readonly dispatch = new DispatchActs(this);

  readonly phase = signal<"loading" | "sign-in" | "console">("loading");
  readonly session = signal<Session | null>(null);
  /** Why nobody is signed in. */
  readonly leftBecause = signal("");
  /** Ticks each second. */
  readonly second = signal(0);
  /** When the local day began, by the center's clock: what stands on the screen over midnight gets its date. */
  readonly today = computed(() => {
    void this.second.value;
    return startOfDay(this.clock.now());
  });
  /** Counts changes of incidents and of the queue's order. */
  readonly revision = signal(0);
  /** Counts requests to put the focus on the selected row. */
  readonly focusAsked = signal(0);
  readonly selectedId = signal<number | null>(null);
  readonly shelves = signal<readonly Shelf[]>([]);
  readonly streamState = signal<StreamState>("connecting");
  readonly alarm = signal<AlarmState>("blocked");
  readonly notices = signal<ReadonlyMap<number, Notice>>(new Map());
  readonly form = signal<FormName | null>(null);
  readonly isDetailOpen = signal(false);
  /** How much of the queue is here, while the rest is on its way. */
  readonly loading = signal<{ have: number; total: number } | null>(null);
  /** Other parts of the page that want events by name, such as the unit board. */
  readonly listeners = new Map<string, Set<(value: unknown) => void>>();
  /** What a digit chooses in the open form. */
  choose: (at: number) => void = () => {};

  /** A sign-in that is not complete yet. */
  pending: Session | null = null;

  #mustLoad = false;
  #isLoading = false;
  #load = new AbortController();
  #askedNodesAt = 0;
  #touchedAt = 0;
  #changed = new Set<number>();
  #detailTimer: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    this.center.onSignedOut = () => this.phase.value === "console" && this.leave("Your session has ended. Sign in again; alerts went on being stored.");
    this.stream.onEvent = (name, value) => this.#take(name, value);
    this.stream.onReset = () => {
      this.#mustLoad = true;
      void this.#loadAnew();
    };
    this.stream.onState = (state, was) => {
      this.streamState.value = state;
      this.fleet.isStreamLive = state !== "lost";
      if (state === "lost") this.sound.stream("lost");
      if (state === "live" && was === "lost") this.sound.stream("back");
    };
    this.sound.onChange = () => {
      this.alarm.value = this.sound.state;
    };
    for (const name of ["pointermove", "pointerdown", "wheel", "keydown"]) document.addEventListener(name, () => { this.#touchedAt = performance.now(); }, { passive: true });
    // After a reload the browser is mute until the first touch, whichever it is.
    for (const name of ["pointerdown", "keydown"]) {
      document.addEventListener(name, () => this.phase.value === "console" && this.sound.state === "blocked" && void this.sound.unlock(), { passive: true });
    }
    setInterval(() => this.#tick(), 1000);
  }

  async start(): Promise<void> {
    // Asked only where somebody has signed in: a refusal at every first visit would look like a fault in the log.
    if (localStorage.getItem(SIGNED_IN_KEY) === null) {
      this.leave("");
      return;
    }
    try {
      await this.enter(await this.center.session());
    } catch (error) {
      this.leave(error instanceof ApiFailure && error.status === 401 ? "" : wordsOf(error));
    }
  }

  /** Somebody signed in, or is about to elsewhere: after a reload it is worth asking who. */
  rememberSignedIn(): void {
    localStorage.setItem(SIGNED_IN_KEY, "yes");
  }

  async enter(session: Session): Promise<void> {
    if ((session.stage ?? "full") !== "full") {
      this.pending = session;
      this.phase.value = "sign-in";
      return;
    }
    this.pending = null;
    if (!permits(session, "incidents.read")) {
      this.rememberSignedIn();
      location.assign(UNIT_PAGE);
      return;
    }
    this.session.value = session;
    await this.load();
    this.rememberSignedIn();
    this.phase.value = "console";
    this.#tick();
  }

  leave(why: string): void {
    this.pending = null;
    this.phase.value = "sign-in";
    this.session.value = null;
    this.leftBecause.value = why;
    this.#load.abort();
    this.stream.stop();
    document.title = "Heard";
  }

  async signOut(): Promise<void> {
    try {
      await this.center.signOut();
    } catch (error) {
      announce(`Not signed out: ${wordsOf(error)}`, { isUrgent: true });
      return;
    }
    this.sound.forget();
    localStorage.removeItem(SIGNED_IN_KEY);
    this.leave("");
  }

  /**
   * Everything anew from the center: the first page of the queue, the most urgent, then the stream from that moment on,
   * then the other pages while the person already works. What changed since the first page comes as an event.
   */
  async load(): Promise<void> {
    this.#load.abort();
    const load = (this.#load = new AbortController());
    const state = this.queue.showsClosed ? "all" : "open";
    const [first, { nodes }, { shelves }, { units }, { places }] = await Promise.all([
      this.center.incidents(state, 200), this.center.nodes(), this.center.shelves(), this.center.get<{ units: Unit[] }>("/units"), this.center.get<{ places: Place[] }>("/places"),
    ]);
    if (load.signal.aborted) return;
    this.shelves.value = shelves;
    this.units.replace(units);
    this.units.places.value = places;
    this.#askedNodesAt = performance.now();
    this.book.replace(first.incidents);
    for (const node of nodes) this.clock.heard(node.last_heard_at_ms);
    for (const incident of first.incidents) this.clock.heard(incident.last_alert_at_ms);
    this.fleet.replace(nodes);
    this.queue.settle();
    this.#show();
    this.askDetail();
    this.stream.start(first.watermark);
    void loadPages(this, state, first, load.signal);
  }

  /** A page of the queue that arrived later than the stream began: what the stream told meanwhile is newer. */
  takePage(incidents: readonly Incident[], newestAtFirst: number, loading: { have: number; total: number } | null): void {
    for (const incident of incidents) {
      // One that came since is news, and sounds, whichever way it gets here first.
      if (incident.id > newestAtFirst) this.takeIncident(incident);
      else this.book.take(incident);
    }
    this.loading.value = loading;
    this.queue.refresh();
    this.#show();
  }

  /** Takes one incident as the center told it, by the stream or as an answer. */
  takeIncident(incident: Incident): void {
    if (!Number.isSafeInteger(incident?.id) || !incident.node) throw new Error(`expected an incident with id and node, found ${JSON.stringify(incident)}`);
    this.clock.heard(incident.last_alert_at_ms);
    const held = this.book.get(incident.id);
    const taken = this.book.take(incident);
    if (taken === "old") return;
    if (held && held.state !== incident.state) this.notify(incident.id, "");
    hear(incident, taken === "new" ? undefined : held, this.sound);
    this.#changed.add(incident.id);
    // A burst of events is shown at once, not row by row.
    if (this.#changed.size === 1) setTimeout(() => this.#showChanges(), SHOW_WITHIN_MS);
  }

  /** The pages beside the queue: which names of events they want to hear. Returns how to stop. */
  listen(name: string, take: (value: unknown) => void): () => void {
    const listeners = this.listeners.get(name) ?? new Set();
    this.listeners.set(name, listeners.add(take));
    return () => listeners.delete(take);
  }

  select(id: number | null, { focus = false }: { focus?: boolean } = {}): void {
    if (this.queue.selectedId !== id) {
      this.queue.selectedId = id;
      this.form.value = null;
      this.#show();
      this.askDetail();
    }
    if (focus) this.focusAsked.value += 1;
  }

  move(steps: number): void {
    this.queue.touch();
    const next = this.queue.stepFrom(steps);
    if (next !== null) this.select(next, { focus: true });
  }

  /** Brings in what is new and goes to the first that nobody has acknowledged. */
  goToNewest(): void {
    this.settle();
    const first = this.queue.order[0];
    if (first !== undefined) this.select(first, { focus: true });
  }

  settle(): void {
    this.queue.settle();
    this.#show();
    if (this.queue.selectedId !== null && !this.book.get(this.queue.selectedId)?.timeline) this.askDetail();
  }

  setFilter(filter: string): void {
    this.queue.filter = filter;
    this.settle();
  }

  async showClosed(showsClosed: boolean): Promise<void> {
    this.queue.showsClosed = showsClosed;
    this.settle();
    await this.load().catch(() => undefined); // what is held stays on screen; a lost center is told by the stream
  }

  /** The whole of the selected incident; until it comes, the row's own facts stand. Looking is journalled. */
  askDetail(): void {
    clearTimeout(this.#detailTimer);
    const id = this.queue.selectedId;
    if (id === null) return;
    this.#detailTimer = setTimeout(() => {
      void this.center.incident(id).then((whole) => {
        const held = this.book.get(whole.id);
        if (!held || this.book.take(whole) === "old") return;
        hear(whole, held, this.sound); // it may know of a step that the stream has yet to tell
        this.queue.refresh();
        this.#show();
      }).catch(() => undefined); // a lost center is told by the stream
    }, DETAIL_AFTER_MS);
  }

  notify(id: number, text: string, tone: Notice["tone"] = "plain"): void {
    const notices = new Map(this.notices.value);
    if (text) notices.set(id, { text, tone });
    else if (!notices.delete(id)) return;
    this.notices.value = notices;
  }

  toggleForm(name: FormName): void {
    const incident = this.book.get(this.queue.selectedId);
    if (incident && !permits(this.session.value, FORM_NEEDS[name])) {
      this.acts.tell(incident.id, `A ${this.session.value?.role ?? "stranger"} may look, not do this.`);
      return;
    }
    this.form.value = this.form.value === name || !incident || !fits(name, incident) ? null : name;
  }

  /** Loads until it has worked: what the stream skipped comes from nowhere else. */
  async #loadAnew(): Promise<void> {
    if (!this.#mustLoad || this.#isLoading) return;
    this.#isLoading = true;
    try {
      await this.load();
      this.#mustLoad = false;
    } catch (error) {
      announce(`Not up to date: ${wordsOf(error)} Trying again.`, { isUrgent: true });
    } finally {
      this.#isLoading = false;
    }
  }

  #take(name: string, value: unknown): void {
    if (name === "incident") this.takeIncident(value as Incident);
    if (name === "shelves") this.shelves.value = (value as { shelves: Shelf[] }).shelves;
    if (name === "unit") this.units.take(value as Unit);
    if (name === "places") this.units.places.value = (value as { places: Place[] }).places;
    // Something is gone that the event can't name any more; of what is shown that can only be a unit.
    if (name === "gone") void this.center.get<{ units: Unit[] }>("/units").then(({ units }) => this.units.replace(units)).catch(() => undefined); // a lost center is told by the stream
    if (name === "node") {
      this.clock.heard((value as FleetNode).last_heard_at_ms);
      this.fleet.take(value as FleetNode);
    }
    for (const take of this.listeners.get(name) ?? []) take(value);
  }

  #showChanges(): void {
    const selected = this.queue.selectedId;
    const isSelectedChanged = selected !== null && this.#changed.has(selected);
    this.#changed.clear();
    this.queue.refresh();
    this.#show();
    if (isSelectedChanged || this.queue.selectedId !== selected) this.askDetail();
  }

  #show(): void {
    if (this.selectedId.value !== this.queue.selectedId) {
      this.selectedId.value = this.queue.selectedId;
      if (this.queue.selectedId === null) this.isDetailOpen.value = false;
    }
    const selected = this.book.get(this.queue.selectedId);
    if (this.form.value !== null && (!selected || !fits(this.form.value, selected))) this.form.value = null;
    this.revision.value += 1;
  }

  #tick(): void {
    if (this.phase.value !== "console") return;
    void this.#loadAnew();
    this.fleet.tick();
    const now = performance.now();
    if (!this.queue.isAtWork) {
      const selected = this.queue.selectedId;
      this.queue.settle();
      if (this.queue.selectedId !== selected) this.askDetail();
      this.#show();
    }
    if (now - this.#touchedAt > DESK_RESTS_MS && this.form.value === null) this.#followNewest();
    this.second.value += 1;
    this.alarm.value = this.sound.state;
    this.sound.tick(this.book.counts.flash > 0);
    if (now - this.#askedNodesAt > ASK_NODES_EVERY_MS && this.stream.state === "live") void this.#askNodes();
  }

  /** Shows the first unacknowledged incident, unless the selected one is itself waiting for a person. */
  #followNewest(): void {
    const first = this.book.get(this.queue.order[0] ?? null);
    if (first?.state === "unacknowledged" && this.book.get(this.queue.selectedId)?.state !== "unacknowledged") this.select(first.id);
  }

  async #askNodes(): Promise<void> {
    this.#askedNodesAt = performance.now();
    await this.center.nodes().then(({ nodes }) => this.fleet.replace(nodes)).catch(() => undefined); // asked again soon
  }
}
