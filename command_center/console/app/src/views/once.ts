/** A press that is under way is not pressed again: a double click is one act. */

import { useCallback, useEffect, useRef, useState } from "preact/hooks";

/** @returns Whether an act is under way, and how to begin one; while one is, another beginning does nothing. */
export function useOnce(): [isBusy: boolean, once: (act: () => Promise<unknown>) => void] {
  const [isBusy, setBusy] = useState(false);
  const isUnderWay = useRef(false); // at once: a second click comes before the page is drawn anew
  const isGone = useRef(false);
  useEffect(() => () => { isGone.current = true; }, []);
  const once = useCallback((act: () => Promise<unknown>) => {
    if (isUnderWay.current) return;
    isUnderWay.current = true;
    setBusy(true);
    void act().finally(() => {
      isUnderWay.current = false;
      if (!isGone.current) setBusy(false);
    });
  }, []);
  return [isBusy, once];
}
