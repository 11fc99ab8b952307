/** What an address of the center answers, for a view: asked when the view appears, and again when told to. */

import { useCallback, useEffect, useRef, useState } from "preact/hooks";

import { wordsOf } from "../wire/center";
import { useDesk } from "./desk_context";

export interface Answer<Value> {
  value: Value | null;
  problem: string;
  isAsking: boolean;
  again: () => void;
  set: (value: Value) => void;
}

/** @param path null: nothing to ask. */
export function useAnswer<Value>(path: string | null, { everyMs = 0, on = [] }: { everyMs?: number; on?: readonly string[] } = {}): Answer<Value> {
  const desk = useDesk();
  const [value, set] = useState<Value | null>(null);
  const [problem, setProblem] = useState("");
  const [isAsking, setAsking] = useState(false);
  const latest = useRef(0);
  const again = useCallback(() => {
    if (path === null) return;
    const number = (latest.current += 1);
    setAsking(true);
    desk.center.get<Value>(path).then((answer) => {
      if (number !== latest.current) return; // an older question's answer
      set(answer);
      setProblem("");
    }).catch((error: unknown) => {
      if (number === latest.current) setProblem(wordsOf(error));
    }).finally(() => {
      if (number === latest.current) setAsking(false);
    });
  }, [path]);
  useEffect(() => {
    set(null);
    setProblem("");
    again();
    return () => { latest.current += 1; };
  }, [path]);
  useEffect(() => {
    if (!everyMs) return undefined;
    const timer = setInterval(again, everyMs);
    return () => clearInterval(timer);
  }, [path, everyMs]);
  useEffect(() => {
    // A burst of events is one question.
    let timer: ReturnType<typeof setTimeout> | undefined;
    const soon = () => {
      clearTimeout(timer);
      timer = setTimeout(again, 150);
    };
    const stops = on.map((name) => desk.listen(name, soon));
    return () => {
      clearTimeout(timer);
      for (const stop of stops) stop();
    };
  }, [path, on.join()]);
  return { value, problem, isAsking, again, set };
}
