// @ts-check
/** What the forms of the details and the shelf lead to: each act goes to the center, and only its answer is shown. */

/**
 * @param {{
 *   incidents: import("./incidents.js").Incidents, queue: import("./queue.js").Queue, detail: import("./detail.js").Detail,
 *   shelves: import("./shelves.js").Shelves, actions: import("./actions.js").Actions, api: import("./api.js").Api,
 * }} parts
 */
export function connectForms({ incidents, queue, detail, shelves, actions, api }) {
  actions.onNotice = (id, text, tone) => {
    queue.notice(id, text);
    if (id === queue.selectedId) detail.notice(text, tone);
  };
  detail.onBack = () => document.body.classList.remove("detail-open");
  detail.closeForm.onClose = (id, disposition, note) => {
    const incident = incidents.get(id);
    if (incident) void actions.close(incident, disposition, note);
  };
  detail.others = () => incidents.all();
  detail.mergeForm.onMerge = (id, into) => {
    const incident = incidents.get(id);
    if (incident) void actions.merge(incident, into).then(() => queue.select(into));
  };
  detail.onUnmerge = (id) => void api.incident(id).then((part) => actions.unmerge(id, part.version)).catch(() => undefined); // it is still shown as a part
  detail.shelveForm.onShelve = (shelving) => void actions.shelf(queue.selectedId, () => api.shelve(shelving));
  shelves.onEnd = (id) => void actions.shelf(queue.selectedId, () => api.endShelf(id));
  shelves.onAgree = (id) => void actions.shelf(queue.selectedId, () => api.agreeToShelf(id));
}
