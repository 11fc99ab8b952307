/** Evidence exports: order one, watch it, fetch it. Each of these is an entry of the journal. */

import type { JSX } from "preact";

import { bytes } from "../model/format";
import { announce } from "../sound/announcer";
import { wordsOf } from "../wire/center";
import type { ExportJob } from "../wire/audit_shapes";
import { useAnswer } from "./answer";
import { useDesk } from "./desk_context";
import { Notice, useNotice } from "./notice";
import { useOnce } from "./once";
import { Time } from "./time";

const LOOK_EVERY_MS = 1000;

export function Exports(): JSX.Element {
  const desk = useDesk();
  const jobs = useAnswer<{ exports: ExportJob[] }>("/exports", { everyMs: LOOK_EVERY_MS });
  const [notice, setNotice] = useNotice();
  const [isBusy, once] = useOnce();
  const order = async (form: HTMLFormElement) => {
    const given = new FormData(form);
    const text = (name: string) => String(given.get(name) ?? "").trim();
    const incidents = text("incidents").split(/[\s,]+/).filter(Boolean);
    const ways = [incidents.length > 0, given.get("everything") === "on", text("since") !== "" || text("until") !== "" || text("camera") !== ""];
    if (ways.filter(Boolean).length !== 1) {
      setNotice("Not ordered. Say which, in one way: incidents by their numbers, or a time or a camera, or everything.");
      announce("Not ordered. Say which incidents, in one way.", { isUrgent: true });
      return;
    }
    const at = (name: string) => (text(name) ? new Date(text(name)).toISOString() : "");
    try {
      await desk.center.send<ExportJob>("POST", "/exports", { incidents, everything: given.get("everything") === "on", since: at("since"), until: at("until"), camera: text("camera"), fetch: given.get("fetch") === "on", partial: given.get("fetch") === "on" });
      setNotice("Ordered: it is on its way below.");
      announce("Export ordered.");
      form.reset();
      jobs.again();
    } catch (error) {
      setNotice(`Not ordered. ${wordsOf(error)}`);
      announce(`Not ordered. ${wordsOf(error)}`, { isUrgent: true });
    }
  };
  const stop = async (job: ExportJob) => {
    try {
      await desk.center.send("DELETE", `/exports/${job.id}`);
      jobs.again();
    } catch (error) {
      setNotice(wordsOf(error));
    }
  };
  return (
    <>
      <form class="line-form" aria-label="Order an export" onSubmit={(event) => {
        event.preventDefault();
        const form = event.currentTarget;
        once(() => order(form));
      }}>
        <label>Incidents <input name="incidents" placeholder="INC-2026-000007, 12" autocomplete="off" /></label>
        <label>or since (local time) <input name="since" type="datetime-local" /></label>
        <label>until (local time) <input name="until" type="datetime-local" /></label>
        <label>or camera <input name="camera" maxLength={64} autocomplete="off" /></label>
        <label class="check"><input name="everything" type="checkbox" /> or everything</label>
        <label class="check" title="Clips that are still at their nodes are sent here before; of a node that can't be reached the bag says what is missing"><input name="fetch" type="checkbox" /> fetch clips from nodes first</label>
        <button type="submit" class="button primary" aria-disabled={isBusy}>Export</button>
      </form>
      <Notice said={notice} />
      {jobs.problem && <p class="notice problem" role="alert">{jobs.problem}</p>}
      <ul class="jobs" aria-label="Exports">
        {jobs.value?.exports.map((job) => <Job key={job.id} job={job} stop={() => void stop(job)} />)}
        {jobs.value?.exports.length === 0 && <li class="hint">Nothing has been exported yet.</li>}
      </ul>
    </>
  );
}

function Job({ job, stop }: { job: ExportJob; stop: () => void }): JSX.Element {
  const isUnderWay = job.state === "waiting" || job.state === "running";
  return (
    <li class="card job" data-state={job.state}>
      <p><strong>{job.selection}</strong> by {job.by}, <Time at={job.created_at_ms} /></p>
      {isUnderWay && <>
        <p>{job.state === "waiting" ? "Waiting" : job.phase}</p>
        <progress aria-label={`Export ${job.id}`} {...(job.total_bytes > 0 ? { value: job.done_bytes, max: job.total_bytes } : {})} />
        <button type="button" class="button quiet" onClick={stop}>Stop</button>
      </>}
      {job.state === "done" && <p>✓ Done, {bytes(job.size_bytes)}. <a class="button" href={job.file_url ?? ""} download>Download</a> <button type="button" class="button quiet" onClick={stop}>Delete the file</button></p>}
      {job.tag_manifest_sha256 && <p class="mono fingerprint">Whole bag: {job.tag_manifest_sha256}{job.authority && <><br />Authority: {job.authority}</>}</p>}
      {job.missing.length > 0 && <><p class="form-problem">What the bag can't have:</p><ul>{job.missing.map((line) => <li key={line}>{line}</li>)}</ul></>}
      {(job.state === "failed" || job.state === "stopped") && <p class="form-problem">× {job.problem.startsWith(job.state) ? job.problem : `${job.state}${job.problem && `: ${job.problem}`}`}</p>}
    </li>
  );
}
