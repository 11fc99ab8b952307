/** The nodes as the center last told of them, with the age that their last word has now. */

import { signal } from "@preact/signals";

import { quietWords, STATES, stateOf } from "./model/fleet";
import type { ServerClock } from "./model/server_clock";
import type { FleetNode } from "./wire/shapes";

export class Fleet {
  readonly #clock: ServerClock;
  #nodes = new Map<string, FleetNode>();
  /** Whether what is shown is fed by a live stream; without one, no node can be called live. */
  isStreamLive = true;
  /** Sorted: whoever needs a look comes first. */
  readonly nodes = signal<readonly FleetNode[]>([]);

  constructor(clock: ServerClock) {
    this.#clock = clock;
  }

  replace(nodes: readonly FleetNode[]): void {
    this.#nodes = new Map(nodes.map((node) => [node.id, node]));
    this.#sort();
  }

  take(node: FleetNode): void {
    const held = this.#nodes.get(node.id);
    if (held && (held.last_heard_at_ms ?? 0) > (node.last_heard_at_ms ?? 0)) return;
    this.#nodes.set(node.id, node);
    this.#sort();
  }

  /** A node that has become late since comes forward. */
  tick(): void {
    const order = this.nodes.value;
    if (order.some((node, at) => at > 0 && this.#compare(order[at - 1] as FleetNode, node) > 0)) this.#sort();
  }

  age(node: FleetNode): number | null {
    return this.#clock.age(node.last_heard_at_ms);
  }

  state(node: FleetNode): FleetNode["state"] {
    return stateOf(node, this.age(node), this.isStreamLive);
  }

  quietWords(): string {
    return quietWords(this.nodes.value, (node) => this.state(node), (node) => this.age(node));
  }

  #sort(): void {
    this.nodes.value = [...this.#nodes.values()].sort((one, other) => this.#compare(one, other));
  }

  #compare(one: FleetNode, other: FleetNode): number {
    return STATES.indexOf(this.state(one)) - STATES.indexOf(this.state(other)) || one.name.localeCompare(other.name);
  }
}
