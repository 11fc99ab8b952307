/** A QR code, drawn here as one path: no picture is fetched, and none leaves. */

import type { JSX } from "preact";
import qrcode from "qrcode-generator";

/** @param label What it holds, for whoever can't see it; what it holds must stand beside it as text, too. */
export function QrCode({ text, label }: { text: string; label: string }): JSX.Element {
  const code = qrcode(0, "M");
  code.addData(text);
  code.make();
  const count = code.getModuleCount();
  const modules = Array.from({ length: count * count }, (_, at) => [at % count, Math.floor(at / count)] as const).filter(([x, y]) => code.isDark(y, x));
  return (
    <svg class="qr" viewBox={`-4 -4 ${count + 8} ${count + 8}`} role="img" aria-label={label}>
      <rect x="-4" y="-4" width={count + 8} height={count + 8} fill="#fff" />
      <path d={modules.map(([x, y]) => `M${x} ${y}h1v1h-1z`).join("")} fill="#000" />
    </svg>
  );
}
