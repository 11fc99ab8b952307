/** Speaks to screen readers: what is urgent interrupts, the rest waits its turn. */

export function announce(text: string, { isUrgent = false }: { isUrgent?: boolean } = {}): void {
  const region = document.getElementById(isUrgent ? "announce-assertive" : "announce-polite");
  if (!region) return;
  // The same words twice are news again only if the region was empty in between.
  region.textContent = "";
  setTimeout(() => {
    region.textContent = text;
  }, 20);
}
