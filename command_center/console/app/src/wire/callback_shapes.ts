/** The shapes of callbacks, as the console reads them. Times are ms since 1970 UTC. */

export interface CallbackReceiver {
  name: string;
  url: string;
  kind: string;
  only_flash: boolean;
  /** Told only when a response plan or an assignment calls it. */
  only_called: boolean;
  disabled_why: string;
}

export interface CallbackDelivery {
  id: string;
  receiver: string;
  event: string;
  incident: number;
  created_at_ms: number;
  attempts: number;
  next_at_ms: number;
  state: "pending" | "delivered" | "dead";
  last_answer: string;
}
