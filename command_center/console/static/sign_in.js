// @ts-check
/** The sign-in form. */

import { ApiFailure } from "./api.js";
import { byId, inputById, setText } from "./element.js";

export class SignIn {
  #form = /** @type {HTMLFormElement} */ (byId("sign-in-form"));
  #error = byId("sign-in-error");
  #submit = /** @type {HTMLButtonElement} */ (byId("sign-in-submit"));

  /**
   * @param {import("./api.js").Api} api
   * @param {import("./alarm_sound.js").AlarmSound} sound
   */
  constructor(api, sound) {
    /** @type {(session: import("./types.js").Session) => void} */
    this.onSignedIn = () => {};
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      void sound.unlock(); // this click is the gesture that browsers ask for before they play a sound
      void this.#send(api);
    });
  }

  /** @param {string} [why] */
  show(why = "") {
    this.#say(why);
    inputById("password").value = "";
    (inputById("username").value ? inputById("password") : inputById("username")).focus();
  }

  /** @param {import("./api.js").Api} api */
  async #send(api) {
    this.#submit.disabled = true;
    setText(this.#submit, "Signing in…");
    this.#say("");
    try {
      const session = await api.signIn(inputById("username").value.trim(), inputById("password").value);
      inputById("password").value = "";
      this.onSignedIn(session);
    } catch (error) {
      this.#say(signInWords(error));
      inputById("password").select();
    } finally {
      this.#submit.disabled = false;
      setText(this.#submit, "Sign in");
    }
  }

  /** @param {string} text */
  #say(text) {
    this.#error.hidden = text === "";
    setText(this.#error, text);
  }
}

/** @param {unknown} error */
function signInWords(error) {
  const status = error instanceof ApiFailure ? error.status : -1;
  if (status === 401) return "Username or password is wrong. Check both and try again.";
  if (status === 429) return "Too many tries. Wait a minute, then try again, or ask an administrator.";
  if (status === 0) return "The command center could not be reached. Check the network of this desk and try again.";
  return `Sign-in failed. ${error instanceof Error ? error.message : ""}`;
}
