import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { AlarmSound } from "../src/sound/alarm_sound";

let played: number[] = [];

class Parameter {
  setValueAtTime(): void {}
  linearRampToValueAtTime(): void {}
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["performance"] });
  played = [];
  vi.stubGlobal("sessionStorage", { getItem: () => null, setItem: () => {}, removeItem: () => {} });
  vi.stubGlobal("AudioContext", class { state = "running"; currentTime = 0; destination = {}; addEventListener(): void {} });
  vi.stubGlobal("GainNode", class { gain = new Parameter(); connect<Node>(to: Node): Node { return to; } });
  vi.stubGlobal("OscillatorNode", class {
    constructor(_: unknown, { frequency }: { frequency: number }) { played.push(frequency); }
    connect<Node>(to: Node): Node { return to; }
    start(): void {}
    stop(): void {}
  });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test("a burst is one sound, and something more urgent breaks through it", async () => {
  const sound = new AlarmSound();
  await sound.unlock();
  vi.advanceTimersByTime(5000);
  sound.alert("IMMEDIATE");
  sound.alert("IMMEDIATE");
  sound.alert("PRIORITY");
  expect(played).toEqual([659, 880]);
  sound.alert("FLASH");
  expect(played.slice(2)).toHaveLength(6);
  vi.advanceTimersByTime(2001);
  sound.alert("PRIORITY");
  expect(played.at(-1)).toBe(523);
});

test("a FLASH that waits for a person sounds again every 15 seconds, and no longer once nobody has to come", async () => {
  const sound = new AlarmSound();
  await sound.unlock();
  vi.advanceTimersByTime(20_000);
  sound.alert("FLASH");
  const once = played.length;
  for (let second = 0; second < 14; second += 1) {
    vi.advanceTimersByTime(1000);
    sound.tick(true);
  }
  expect(played).toHaveLength(once);
  vi.advanceTimersByTime(1000);
  sound.tick(true);
  expect(played).toHaveLength(2 * once);
  vi.advanceTimersByTime(60_000);
  sound.tick(false);
  sound.tick(true);
  expect(played).toHaveLength(2 * once);
});

test("what came while it was muted does not keep the next alert silent", async () => {
  const sound = new AlarmSound();
  await sound.unlock();
  vi.advanceTimersByTime(5000);
  sound.toggleMute();
  sound.alert("FLASH");
  expect(played).toEqual([]);
  sound.toggleMute();
  sound.alert("FLASH");
  expect(played).toHaveLength(6);
});

test("alarms are armed only when somebody heard the test, and blocked before the first touch", async () => {
  const sound = new AlarmSound();
  expect(sound.state).toBe("blocked");
  await sound.unlock();
  expect(sound.state).toBe("untested");
  sound.confirmHeard();
  expect(sound.state).toBe("armed");
  sound.toggleMute();
  expect(sound.state).toBe("muted");
  sound.forget();
  expect(sound.state).toBe("untested");
});
