/** The link of a unit's small page, to be scanned or sent: it opens that unit's page without a sign-in, so it is shown this once. */

import type { JSX } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";

import { QrCode } from "./qr_code";

export function PhoneLink({ unit, url, close }: { unit: string; url: string; close: () => void }): JSX.Element {
  const done = useRef<HTMLButtonElement>(null);
  useLayoutEffect(() => done.current?.focus(), [url]);
  return (
    <section class="card phone-link" aria-label={`Link for ${unit}'s phone`}>
      <QrCode text={url} label={`QR code of the link for ${unit}'s phone`} />
      <div>
        <h3>{unit}'s phone</h3>
        <p>Scan it, or send the link. It opens {unit}'s page for 12 hours, shown this once; a new link ends the old one.</p>
        <p><code class="link">{url}</code></p>
        <button type="button" class="button" ref={done} onClick={close}>Done</button>
      </div>
    </section>
  );
}
