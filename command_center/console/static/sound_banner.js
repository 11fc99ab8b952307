// @ts-check
/** Shows whether a new alert would be heard in this room, and walks the person through the test. */

import { byId, element, setText } from "./element.js";
import { duration } from "./format.js";

const WORDS = {
  armed: "♪ Alarms armed",
  muted: "✕ Muted",
  untested: "♪ Alarms not tested",
  blocked: "✕ Alarms silent",
};

export class SoundBanner {
  #sound;
  #banner = byId("sound-banner");
  #indicator = byId("alarm-state");
  #lead = element("strong", {});
  #text = element("span", { class: "banner-text" });
  #play = element("button", { type: "button", class: "button", id: "sound-play" });
  #heard = element("button", { type: "button", class: "button primary", id: "sound-heard" }, "I heard it");
  #hasPlayed = false;

  /** @param {import("./alarm_sound.js").AlarmSound} sound */
  constructor(sound) {
    this.#sound = sound;
    this.#banner.append(this.#lead, this.#text, this.#play, this.#heard);
    this.#play.addEventListener("click", () => {
      this.#hasPlayed = true;
      void sound.test().then(() => this.refresh());
    });
    this.#heard.addEventListener("click", () => {
      this.#hasPlayed = false;
      sound.confirmHeard();
    });
    this.#indicator.addEventListener("click", () => {
      if (sound.state === "blocked") void sound.test();
      else sound.toggleMute();
    });
    sound.onChange = () => this.refresh();
    this.refresh();
  }

  refresh() {
    const { state } = this.#sound;
    this.#indicator.dataset.alarm = state;
    setText(this.#indicator, state === "muted" ? `${WORDS.muted} for ${duration(this.#sound.mutedForMs)}: m` : WORDS[state]);
    this.#indicator.title = state === "armed" ? "New alerts sound here. Press m to mute." : state === "muted" ? "New alerts make no sound here. Press m to unmute." : "";
    this.#banner.hidden = state === "armed" || state === "muted";
    setText(this.#lead, state === "blocked" ? "Alarms are silent." : "Sound check.");
    setText(this.#text, state === "blocked"
      ? "This browser plays no sound until you press something. Play the FLASH tone to turn it on."
      : this.#hasPlayed ? "Was the FLASH tone loud enough where you sit?" : "Play the FLASH tone and say whether you heard it. Until then nobody knows that alarms are heard here.");
    setText(this.#play, this.#hasPlayed ? "Play again" : "Play test tone");
    this.#heard.hidden = !this.#hasPlayed || state === "blocked";
  }
}
