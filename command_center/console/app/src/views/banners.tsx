/** Loud where the screen is no longer live or a new alert would not be heard in this room; quiet otherwise. */

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { duration, localTime, plural } from "../model/format";
import type { Desk } from "../desk";
import { page } from "../page";
import type { Tone } from "../sound/alarm_sound";
import { useDesk } from "./desk_context";

const BACK_SHOWN_MS = 8000;
const LEVELS: readonly (readonly [Tone, string])[] = [["FLASH", "FLASH"], ["IMMEDIATE", "IMMEDIATE"], ["PRIORITY", "PRIORITY"]];
const ALARM_WORDS = { armed: "♪ Alarms armed", muted: "✕ Muted", untested: "♪ Alarms not tested", blocked: "✕ Alarms silent" } as const;

/** When the stream was lost and came back; by performance.now(). */
function useLoss(): { wentLostAt: number; cameBackAt: number } {
  const desk = useDesk();
  const state = desk.streamState.value;
  const held = useRef({ was: state, wentLostAt: 0, cameBackAt: -Infinity });
  if (held.current.was !== state) {
    if (state === "lost") held.current.wentLostAt = performance.now();
    if (state === "live" && held.current.was === "lost") held.current.cameBackAt = performance.now();
    held.current.was = state;
  }
  return held.current;
}

/** The wall time of the last word, by the center's clock as all times here: what this screen shows is as old as that. */
function lastWordWall(desk: Desk, wentLostAt: number): number {
  const { lastWordAt } = desk.stream;
  return desk.clock.now() - (performance.now() - (lastWordAt > 0 ? lastWordAt : wentLostAt));
}

export function StreamBanner(): JSX.Element {
  const desk = useDesk();
  const { wentLostAt, cameBackAt } = useLoss();
  const isLost = desk.streamState.value === "lost";
  void desk.second.value;
  const now = performance.now();
  const { lastWordAt, nextTryAt, caughtUp } = desk.stream;
  useEffect(() => {
    document.body.dataset.stream = desk.streamState.value;
  });
  if (!isLost && now - cameBackAt >= BACK_SHOWN_MS) return <div id="stream-banner" class="banner" role="alert" hidden />;
  if (!isLost) {
    return (
      <div id="stream-banner" class="banner good" role="alert">
        <strong>Live again.</strong>
        <span class="banner-text">The stream went on where it broke off: {plural(caughtUp, "event")} since, nothing skipped.</span>
      </div>
    );
  }
  const since = lastWordAt > 0
    ? `This screen has not changed since ${localTime(lastWordWall(desk, wentLostAt), desk.today.value)}, ${duration(now - lastWordAt)} ago.`
    : `No word from the command center for ${duration(now - wentLostAt)}.`;
  return (
    <div id="stream-banner" class="banner" role="alert">
      <strong>Stream lost.</strong>
      <span class="banner-text">{since} New alerts do not show here. {nextTryAt > now ? `Next try in ${duration(nextTryAt - now + 999)}.` : "Trying…"}</span>
      <button type="button" class="button" onClick={() => desk.stream.retryNow()}>Try now</button>
    </div>
  );
}

/** Across the whole page, below what is old, so that nobody takes it for the present. */
export function StaleMark(): JSX.Element {
  const desk = useDesk();
  const { wentLostAt } = useLoss();
  const isLost = desk.streamState.value === "lost";
  return <div id="stale-mark" class="stale-mark" aria-hidden="true" hidden={!isLost}>{isLost && `NOT LIVE since ${localTime(lastWordWall(desk, wentLostAt), desk.today.value)}`}</div>;
}

export function StreamStateWord(): JSX.Element {
  const desk = useDesk();
  const state = desk.streamState.value;
  void desk.second.value;
  return (
    <p id="stream-state" class="stream-state">
      <span>{state === "live" ? "● Live" : state === "lost" ? "○ Not live" : "… Connecting"}</span>
      <span class="stream-age">{state === "live" ? `, last word ${duration(performance.now() - desk.stream.lastWordAt)} ago` : ""}</span>
    </p>
  );
}

/** Shows whether a new alert would be heard here; a click mutes or unmutes. */
export function AlarmIndicator(): JSX.Element {
  const desk = useDesk();
  const state = desk.alarm.value;
  if (state === "muted") void desk.second.value;
  const title = state === "armed" ? "New alerts sound here. Press m to mute." : state === "muted" ? "New alerts make no sound here. Press m to unmute." : "";
  return (
    <button id="alarm-state" type="button" class="button quiet alarm-state" data-alarm={state} title={title}
      onClick={() => (state === "blocked" ? void desk.sound.test() : desk.sound.toggleMute())}>
      {state === "muted" ? `${ALARM_WORDS.muted} for ${duration(desk.sound.mutedForMs)}: m` : ALARM_WORDS[state]}
    </button>
  );
}

/** Where a person goes on after the sound check: the selected incident, or the page. */
function focusWork(desk: Desk): void {
  if (page.value === "incidents" && desk.queue.selectedId !== null) desk.focusAsked.value += 1;
  else document.getElementById(page.value === "incidents" ? "queue" : "page")?.focus();
}

/** The sound check: until somebody says that the tone was heard, nobody knows that alarms are heard here. */
export function SoundBanner(): JSX.Element {
  const desk = useDesk();
  const state = desk.alarm.value;
  const [hasPlayed, setPlayed] = useState(false);
  const isHidden = state === "armed" || state === "muted";
  useEffect(() => {
    // Nothing else has the focus after a sign-in, and this comes first.
    if (!isHidden && document.activeElement === document.body) document.getElementById("sound-play")?.focus();
  }, []);
  const play = (level: Tone) => {
    setPlayed(true);
    void desk.sound.test(level);
  };
  return (
    <div id="sound-banner" class="banner" hidden={isHidden}>
      <strong>{state === "blocked" ? "Alarms are silent." : "Sound check."}</strong>
      <span class="banner-text">
        {state === "blocked"
          ? "This browser plays no sound until you press something. Play the FLASH tone to turn it on."
          : hasPlayed ? "Was the FLASH tone loud enough where you sit?" : "Play the FLASH tone and say whether you heard it. Until then nobody knows that alarms are heard here."}
      </span>
      <button type="button" id="sound-play" class="button" onClick={() => play("FLASH")}>{hasPlayed ? "Play again" : "Play test tone"}</button>
      {hasPlayed && LEVELS.slice(1).map(([level, name]) => <button key={level} type="button" class="button quiet" onClick={() => play(level)}>Play {name}</button>)}
      {hasPlayed && state !== "blocked" && (
        <button type="button" id="sound-heard" class="button primary" onClick={() => {
          setPlayed(false);
          desk.sound.confirmHeard();
          focusWork(desk);
        }}>I heard it</button>
      )}
    </div>
  );
}
