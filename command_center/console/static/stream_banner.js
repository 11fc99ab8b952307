// @ts-check
/** Says loudly when the screen is no longer live, and quietly when it is again. */

import { byId, element, setText } from "./element.js";
import { duration, localTime, plural } from "./format.js";

const BACK_SHOWN_MS = 8000;

export class StreamBanner {
  #stream;
  #banner = byId("stream-banner");
  #stateWord = element("span");
  #stateAge = element("span", { class: "stream-age" });
  #mark = byId("stale-mark");
  #lead = element("strong", {});
  #text = element("span", { class: "banner-text" });
  #retry = element("button", { type: "button", class: "button" }, "Try now");
  #wentLostAt = 0;
  #cameBackAt = -Infinity;
  #lastWordWall = Date.now();

  /** @param {import("./stream.js").EventStream} stream */
  constructor(stream) {
    this.#stream = stream;
    this.#banner.append(this.#lead, this.#text, this.#retry);
    byId("stream-state").append(this.#stateWord, this.#stateAge);
    this.#banner.setAttribute("role", "alert");
    this.#retry.addEventListener("click", () => stream.retryNow());
  }

  /** @param {import("./stream.js").StreamState} state @param {import("./stream.js").StreamState} was */
  changed(state, was) {
    if (state === "lost") {
      this.#wentLostAt = performance.now();
      this.#lastWordWall = Date.now() - (stamp(this.#stream.lastWordAt) ?? 0);
    }
    if (state === "live" && was === "lost") this.#cameBackAt = performance.now();
    this.tick();
  }

  tick() {
    const { state, lastWordAt, nextTryAt, caughtUp } = this.#stream;
    const now = performance.now();
    document.body.dataset.stream = state;
    this.#mark.hidden = state !== "lost";
    this.#retry.hidden = state !== "lost";
    setText(this.#stateWord, state === "live" ? "● Live" : state === "lost" ? "○ Not live" : "… Connecting");
    setText(this.#stateAge, state === "live" ? `, last word ${duration(now - lastWordAt)} ago` : "");
    if (state === "lost") {
      const since = lastWordAt > 0 ? `This screen has not changed since ${localTime(this.#lastWordWall)}, ${duration(now - lastWordAt)} ago.` : `No word from the command center for ${duration(now - this.#wentLostAt)}.`;
      setText(this.#lead, "Stream lost.");
      setText(this.#text, `${since} New alerts do not show here. ${nextTryAt > now ? `Next try in ${duration(nextTryAt - now + 999)}.` : "Trying…"}`);
      setText(this.#mark, `NOT LIVE since ${localTime(lastWordAt > 0 ? this.#lastWordWall : Date.now() - (now - this.#wentLostAt))}`);
    } else if (now - this.#cameBackAt < BACK_SHOWN_MS) {
      setText(this.#lead, "Live again.");
      setText(this.#text, `The stream went on where it broke off: ${plural(caughtUp, "event")} since, nothing skipped.`);
    }
    this.#banner.hidden = state !== "lost" && now - this.#cameBackAt >= BACK_SHOWN_MS;
    this.#banner.classList.toggle("good", state !== "lost");
  }
}

/** How long ago a moment of performance.now() was. @param {number} at */
function stamp(at) {
  return at > 0 ? performance.now() - at : null;
}
