/** Something is done, and the page says what became of it, to who looks and to who listens. */

import { announce } from "../sound/announcer";
import { wordsOf } from "../wire/center";

/**
 * @param work Does it, and returns what is then to be said.
 * @returns Whether it was done.
 */
export async function attempt(work: () => Promise<string>, setNotice: (text: string) => void): Promise<boolean> {
  try {
    const done = await work();
    setNotice(done);
    announce(done);
    return true;
  } catch (error) {
    setNotice(`Not done. ${wordsOf(error)}`);
    announce(`Not done. ${wordsOf(error)}`, { isUrgent: true });
    return false;
  }
}
