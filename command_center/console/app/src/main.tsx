/** Puts the console on the page. */

import "./styles/styles.css";
import "./styles/queue.css";
import "./styles/detail.css";
import "./styles/live.css";
import "./styles/fleet.css";
import "./styles/pages.css";
import "./styles/regions.css";

import { render } from "preact";

import { Desk } from "./desk";
import { startTheme } from "./theme";
import { App } from "./views/app";
import { DeskContext } from "./views/desk_context";
import { keepFocus } from "./views/kept_focus";

startTheme();
keepFocus(document);
const desk = new Desk();
const root = document.getElementById("desk");
if (!root) throw new Error('expected an element with id "desk" in index.html, found none');
render(<DeskContext.Provider value={desk}><App /></DeskContext.Provider>, root);
void desk.start();
