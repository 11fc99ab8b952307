/** The page as a whole: sign-in, or the bar, the banners and the page that was chosen. */

import type { JSX } from "preact";
import { useEffect } from "preact/hooks";

import { localTime, utcTime } from "../model/format";
import { nextTheme, theme } from "../theme";
import { goTo, page } from "../page";
import { AlarmIndicator, SoundBanner, StaleMark, StreamBanner, StreamStateWord } from "./banners";
import { focusCommandBar } from "./command_bar";
import { useDesk } from "./desk_context";
import { IncidentsPage } from "./incidents_page";
import { useKeyboard, type Shortcut } from "./keyboard";
import { KeysDialog, showKeys } from "./keys_dialog";
import { pagesFor } from "./pages";
import { focusNote } from "./response";
import { SignIn } from "./sign_in";

export function App(): JSX.Element | null {
  const desk = useDesk();
  const phase = desk.phase.value;
  useEffect(() => {
    document.body.dataset.view = phase;
  });
  if (phase === "loading") return null;
  return phase === "sign-in" ? <SignIn /> : <Console />;
}

function useShortcuts(): Shortcut[] {
  const desk = useDesk();
  const onQueue = (act: () => void) => () => {
    if (page.value === "incidents") act();
  };
  const shortcuts: Shortcut[] = [
    { keys: ["j", "ArrowDown"], shown: "j ↓", does: "Next incident", act: onQueue(() => desk.move(1)) },
    { keys: ["k", "ArrowUp"], shown: "k ↑", does: "Previous incident", act: onQueue(() => desk.move(-1)) },
    { keys: ["a"], shown: "a", does: "Acknowledge the selected incident", act: onQueue(() => void desk.acts.acknowledge(desk.queue.selectedId)) },
    { keys: ["c"], shown: "c", does: "Close it, with a disposition", act: onQueue(() => desk.toggleForm("close")) },
    { keys: ["g"], shown: "g", does: "Merge it into another incident", act: onQueue(() => desk.toggleForm("merge")) },
    { keys: ["u"], shown: "u", does: "Send a unit to it", act: onQueue(() => desk.toggleForm("assign")) },
    { keys: ["v"], shown: "v", does: "Watch its camera live", act: onQueue(() => document.querySelector<HTMLElement>(".live button")?.click()) },
    { keys: ["w"], shown: "w", does: "Write a note", act: onQueue(focusNote) },
    { keys: ["s"], shown: "s", does: "Shelve its source for a while", act: onQueue(() => desk.toggleForm("shelve")) },
    { keys: ["x"], shown: "x", does: "Have its node not tell a closed false alarm again", act: onQueue(() => desk.toggleForm("suppress")) },
    { keys: ["n"], shown: "n", does: "Bring in what is new and go to the first unacknowledged", act: () => {
      goTo("incidents");
      desk.goToNewest();
    } },
    { keys: ["/"], shown: "/", does: "Filter, or a command", act: () => {
      if (page.value === "incidents") focusCommandBar(); // at once: the next key is the first letter
      else {
        goTo("incidents");
        setTimeout(focusCommandBar);
      }
    } },
    { keys: ["m"], shown: "m", does: "Mute or unmute alarms", act: () => desk.sound.toggleMute() },
    { keys: ["?"], shown: "?", does: "This list", act: showKeys },
  ];
  useKeyboard(shortcuts, {
    isActive: () => desk.phase.value === "console",
    onEscape: () => {
      if (desk.form.value !== null) desk.form.value = null;
      else if (desk.queue.filter) desk.setFilter("");
      else desk.isDetailOpen.value = false;
    },
    onDigit: (digit) => {
      if (desk.form.value !== null) {
        desk.choose(digit - 1);
        return true;
      }
      const chosen = pagesFor(desk.session.value)[digit - 1];
      if (chosen) goTo(chosen.name);
      return chosen !== undefined;
    },
  });
  return shortcuts;
}

function Console(): JSX.Element {
  const desk = useDesk();
  const shortcuts = useShortcuts();
  const pages = pagesFor(desk.session.value);
  const shown = pages.find((candidate) => candidate.name === page.value) ?? pages[0];
  const target = shown?.name === "incidents" ? "queue" : "page";
  const isDetailOpen = desk.isDetailOpen.value;
  useEffect(() => document.querySelector(".page-link[aria-current=page]")?.scrollIntoView({ block: "nearest", inline: "nearest" }), [shown?.name]); // on a phone the rail scrolls
  useEffect(() => {
    document.body.classList.toggle("detail-open", isDetailOpen);
  });
  return (
    <div id="console" class="console">
      <a class="skip-link" href={`#${target}`} onClick={(event) => {
        event.preventDefault();
        document.getElementById(target)?.focus();
      }}>Skip to the {shown?.name === "incidents" ? "queue" : "page"}</a>
      <nav class="rail" aria-label="Pages">
        <h1 class="brand"><img src="./icon.svg" alt="" width="30" height="30" /><span class="brand-word">Heard</span></h1>
        {pages.map(({ name, title, icon }, at) => (
          <a key={name} class="page-link" href={`#/${name}`} aria-current={shown?.name === name ? "page" : undefined} aria-keyshortcuts={String(at + 1)} onClick={(event) => {
            event.preventDefault();
            goTo(name);
          }}><svg class="page-icon" viewBox="0 0 24 24" aria-hidden="true"><path d={icon} /></svg><span>{title}</span><kbd aria-hidden="true">{at + 1}</kbd></a>
        ))}
      </nav>
      <header class="bar">
        <Summary />
        <StreamStateWord />
        <AlarmIndicator />
        <WallClock />
        <button id="theme" type="button" class="button quiet theme" title="Colors: dark, light, or as the system" aria-label={`Colors: ${theme.value}. Change.`} onClick={nextTheme}>◐<span class="theme-word"> {theme.value}</span></button>
        <button id="help" type="button" class="button quiet help" aria-keyshortcuts="?" aria-label="Keys" title="All keys" onClick={showKeys}><span class="help-word">Keys </span><kbd>?</kbd></button>
        <p class="who"><span id="who" title={desk.session.value?.role}>{`${desk.session.value?.username ?? ""}, ${desk.session.value?.role ?? ""}`}</span><button id="sign-out" type="button" class="button quiet" onClick={() => void desk.signOut()}>Sign out</button></p>
      </header>
      <section id="banners" class="banners" aria-label="State of this desk"><StreamBanner /><SoundBanner /></section>
      {shown ? <shown.Page /> : <IncidentsPage />}
      <StaleMark />
      <KeysDialog shortcuts={shortcuts} />
    </div>
  );
}

/** How much waits for a person; the title of the tab says it, too. */
function Summary(): JSX.Element {
  const desk = useDesk();
  void desk.revision.value;
  const { waiting, flash, open } = desk.book.counts;
  const loading = desk.loading.value;
  const lead = waiting === 0 ? "Nothing unacknowledged" : `${waiting.toLocaleString()} unacknowledged${flash ? `, ${flash.toLocaleString()} FLASH` : ""}`;
  const isLost = desk.streamState.value === "lost";
  useEffect(() => {
    document.title = `${isLost ? "NOT LIVE · " : ""}${waiting ? `(${waiting}${flash ? " FLASH" : ""}) ` : ""}Heard`;
  });
  return (
    <p id="summary" class={`summary${flash > 0 ? " has-flash" : ""}`}>
      {lead} · {open.toLocaleString()} open{loading ? `, of ${loading.total.toLocaleString()}: the rest is coming` : ""}
    </p>
  );
}

function WallClock(): JSX.Element {
  const desk = useDesk();
  void desk.second.value;
  const now = desk.clock.now();
  return <p id="wall-clock" class="wall-clock" title={utcTime(now)}>{localTime(now, now)}</p>;
}
