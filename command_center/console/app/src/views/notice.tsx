/** What became of an act, and when: half an hour later it may be true no more, and it must not look new. */

import type { JSX } from "preact";
import { useCallback, useState } from "preact/hooks";

import { useDesk } from "./desk_context";
import { Time } from "./time";

interface Said {
  text: string;
  atMs: number;
}

/** @returns What was said last, and how to say something; an empty text takes it away. */
export function useNotice(): [said: Said, tell: (text: string) => void] {
  const desk = useDesk();
  const [said, setSaid] = useState<Said>({ text: "", atMs: 0 });
  return [said, useCallback((text: string) => setSaid({ text, atMs: desk.clock.now() }), [])];
}

export function Notice({ said }: { said: Said }): JSX.Element {
  return <p class="notice" role="status">{said.text}{said.text && <> <Time at={said.atMs} class="notice-at" /></>}</p>;
}
