// The page: choose a video, follow its translation, show the result.
import { ask, follow, upload } from "./api.js";
import * as camera from "./camera.js";
import { lang, langName, problemText, setLang, size, t } from "./i18n.js";
import * as result from "./result.js";
import { make } from "./result.js";

const $ = (id) => document.getElementById(id);
const stored = { get: (key) => { try { return localStorage.getItem(key); } catch { return null; } }, set: (key, value) => { try { localStorage.setItem(key, value); } catch { /* private window */ } } };
let info, models = [], names = {}, chosen = new Set(), file = null, job = null, stop = null, request = null, retry = null;

const show = (...ids) => { for (const id of ["sign-in", "new", "work", "result"]) $(id).hidden = !ids.includes(id); };
function tell(place, words) { place.hidden = !words; place.textContent = words?.text ?? words ?? ""; place.lang = words?.lang ?? lang; }
// What changes ten times a second is read aloud now and then only.
let told = 0;
function tellStatus(words) {
  if (($("status").textContent) === (words.text ?? words)) return;
  tell($("status"), words);
  if (Date.now() - told > 4000) { told = Date.now(); $("status-live").textContent = words.text ?? words; }
}
const lost = (is) => tell($("connection"), is ? t("lost") : "");

// --- settings of the interface
function setTheme(to) { if (to === "auto") delete document.documentElement.dataset.theme; else document.documentElement.dataset.theme = to; }
$("ui-lang").onchange = () => { stored.set("slt-lang", $("ui-lang").value); setLang($("ui-lang").value); repaint(); };
$("ui-theme").onchange = () => { stored.set("slt-theme", $("ui-theme").value); setTheme($("ui-theme").value); };
$("ui-theme").value = stored.get("slt-theme") ?? "auto"; setTheme($("ui-theme").value);
$("ui-lang").value = stored.get("slt-lang") ?? (navigator.language?.startsWith("de") ? "de" : "en");
setLang($("ui-lang").value);

function repaint() {
  if (!info) return;
  const keep = info.keep_s >= 7200 ? t("hours", { n: Math.round(info.keep_s / 3600) }) : t("minutes", { n: Math.max(1, Math.round(info.keep_s / 60)) });
  $("kept").textContent = t("kept", { data: info.data || t("this_server"), time: keep });
  $("limits").textContent = t("limits", { size: size(info.max_upload_bytes), minutes: Math.round(info.max_duration_s / 60) });
  $("version").textContent = `slt ${info.version}`;
  showChosen(); showModel(); if (!job) showCorrections(); if (job) { showJob(); result.repaint(); } recent();
}

// --- begin
async function begin() {
  const token = /^#token=(.+)/.exec(location.hash);
  if (token) {
    history.replaceState(null, "", location.pathname);
    await signIn(decodeURIComponent(token[1]));
    return;
  }
  try { await load(); lost(false); } catch (error) {
    if (error.status === 401) { show("sign-in"); $("token").focus(); return; }
    lost(true); setTimeout(begin, 2000);
  }
}
async function load() {
  const [about, list, languages] = await Promise.all([ask("info"), ask("models"), ask("languages")]);
  [info, models, names] = [about, list, Object.fromEntries(languages.map((one) => [one.code, one.name]))];
  result.setUp(names);
  camera.setUp(info.max_duration_s, () => tell($("problem"), ""));
  $("model").replaceChildren(...models.map((one) => make("option", { value: one.name }, one.name)));
  $("from-server").hidden = !info.videos;
  suggestSpelling();
  chosen = new Set((stored.get("slt-langs") ?? "").split(",").filter(Boolean));
  repaint();
  window.onhashchange = route;
  route();
}
async function signIn(token) {
  try { await ask("session", { method: "POST", json: { token } }); await load(); } catch (error) {
    show("sign-in"); lost(error.status === 0); $("sign-in").querySelector(".bad")?.remove();
    $("token-form").append(make("p", { class: "note bad", role: "alert" }, problemText(error.error ?? { code: "network" }).text)); $("token").focus();
  }
}
$("token-form").onsubmit = (event) => { event.preventDefault(); const text = $("token").value.trim(); signIn(text.includes("#token=") ? decodeURIComponent(text.split("#token=")[1]) : text); };

function route() {
  const id = /^#t=(\w+)/.exec(location.hash)?.[1];
  if (id && id !== job?.id) watch(id); else if (!id) newVideo();
}
function newVideo() {
  stop?.(); stop = null; job = null; result.forget(); lost(false); clearTimeout(retry);
  if (location.hash) history.pushState(null, "", location.pathname);
  document.title = "slt"; show("new"); recent(); showCorrections();
}

// --- the first suggestion, where there is a camera and a model that reads fingerspelling
async function suggestSpelling() {
  const speller = models.find((one) => one.spells);
  $("spell").hidden = !speller || !await camera.isThere();
  $("spell-start").onclick = () => {
    $("model").value = speller.name; showModel();
    document.querySelector("input[name=mode][value=whole]").checked = true;
    document.querySelector("input[name=source][value=camera]").click();
    camera.start("spell_note");
  };
}

// --- choose a video
for (const radio of document.getElementsByName("source")) radio.onchange = () => {
  for (const one of ["file", "camera", "server"]) $(`pane-${one}`).hidden = source() !== one;
  tell($("problem"), "");
  if (source() !== "camera") camera.turnOff();
  if (source() === "server") listVideos();
};
const source = () => document.querySelector("input[name=source]:checked").value;
const mode = () => document.querySelector("input[name=mode]:checked").value;
$("file").onchange = () => choose($("file").files[0] ?? null);
for (const event of ["dragover", "dragleave", "drop"]) document.addEventListener(event, (drag) => {
  if (!drag.dataTransfer?.types.includes("Files")) return;
  drag.preventDefault(); // else the browser would leave the page for the file
  $("drop").classList.toggle("over", event === "dragover");
  if (event === "drop" && !$("new").hidden && drag.dataTransfer.files[0]) {
    document.querySelector("input[name=source][value=file]").click();
    choose(drag.dataTransfer.files[0]);
  }
});
function choose(one) { file = one; showChosen(); tell($("problem"), one && one.size > info.max_upload_bytes ? t("too_large", { size: size(one.size), most: size(info.max_upload_bytes) }) : ""); }
function showChosen() { tell($("chosen"), file ? t("chosen", { name: file.name, size: size(file.size) }) : ""); }
async function listVideos() {
  try {
    const videos = await ask("videos");
    $("server-video").replaceChildren(...videos.map((one) => make("option", { value: one.name }, `${one.name} (${size(one.size)})`)));
    if (!videos.length) tell($("problem"), t("no_server_videos"));
  } catch (error) { tell($("problem"), problemText(error.error)); }
}

// --- options
const model = () => models.find((one) => one.name === $("model").value) ?? models[0];
$("model").onchange = showModel;
function showModel() {
  const one = model();
  if (!one) return;
  $("model-about").replaceChildren(make("span", { lang: "en" }, one.summary.replace(/[.]?$/, ".")), ` ${t("licence", { licence: one.licence })}.`);
  $("rerank-box").hidden = !one.can_rerank;
  chosen = new Set([...chosen].filter((code) => one.languages.includes(code)));
  if (!chosen.size) chosen.add(one.languages.includes("eng_Latn") ? "eng_Latn" : one.languages[0]);
  $("lang-search").value = ""; showLanguages();
}
$("lang-search").oninput = showLanguages;
function showLanguages() {
  const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const wanted = plain($("lang-search").value.trim());
  const all = model().languages.map((code) => ({ code, name: langName(code, names[code]), english: names[code] })).sort((a, b) => a.name.localeCompare(b.name, lang));
  const found = all.filter((one) => !wanted || [one.name, one.english, one.code].some((text) => plain(text ?? "").includes(wanted)));
  $("lang-search").hidden = $("lang-search").previousElementSibling.hidden = all.length <= 8;
  $("lang-list").replaceChildren(...found.map((one) => make("label", {}, make("input", { type: "checkbox", value: one.code, checked: chosen.has(one.code),
    onchange: (event) => { chosen[event.target.checked ? "add" : "delete"](one.code); remember(); chips(); } }), `${one.name} (${one.code})`)));
  chips();
}
function chips() {
  const many = model().languages.length > 8;
  $("chips").replaceChildren(...(many ? [...chosen] : []).map((code) => make("li", {}, make("button", { type: "button", class: "small", "aria-label": t("lang_remove", { name: langName(code, names[code]) }),
    onclick: () => { chosen.delete(code); remember(); showLanguages(); $("lang-search").focus(); } }, `${langName(code, names[code])} ✕`))));
}
const remember = () => stored.set("slt-langs", [...chosen].join(","));

// --- send
$("new-form").onsubmit = (event) => { event.preventDefault(); send(); };
async function send() {
  const from = source(), video = from === "camera" ? camera.recording() : from === "file" ? file : $("server-video").value;
  const refused = !video ? t(from === "camera" ? "no_recording" : "no_file") : !chosen.size ? t("no_lang")
    : video.size > info.max_upload_bytes ? t("too_large", { size: size(video.size), most: size(info.max_upload_bytes) }) : "";
  tell($("problem"), refused);
  if (refused) return;
  const options = { model: model().name, sentences: mode() === "sentences", nbest: Number($("nbest").value), rerank: $("rerank").checked && model().can_rerank };
  working(video.name ?? video);
  try {
    const accepted = from === "server" ? await ask("translations", { method: "POST", json: { video, langs: [...chosen], ...options } }) : await uploaded(video, options);
    if (from === "camera") camera.sent();
    history.pushState(null, "", `#t=${accepted.id}`);
    watch(accepted.id, video, accepted);
  } catch (error) { notSent(error); }
}
function working(name) {
  job = null; show("work"); document.title = `slt: ${name}`;
  $("bar").removeAttribute("value"); tellStatus(t("uploading", { name, percent: 0 })); $("work-title").focus();
}
function uploaded(video, options) {
  const form = new FormData();
  for (const code of chosen) form.append("lang", code);
  for (const [name, value] of Object.entries(options)) form.append(name, value);
  form.append("file", video, video.name);
  return upload(form, {
    started: (one) => { request = one; },
    progress: (share) => { $("bar").value = share; tellStatus(t("uploading", { name: video.name, percent: Math.round(share * 100) })); },
  }).finally(() => { request = null; });
}
function notSent(error) {
  const again = error.status === 503 || error.status === 0;
  if (error.status === 401) { show("sign-in"); return; }
  if (again) {
    const n = error.retry || 3, said = error.status ? problemText(error.error) : { text: t("network"), lang };
    tellStatus({ text: t("retry_in", { message: said.text, n }), lang: said.lang }); $("bar").removeAttribute("value");
    retry = setTimeout(send, n * 1000);
    return;
  }
  show("new"); tell($("problem"), error.status === -1 ? t("cancelled") : problemText(error.error)); $("translate").focus();
}
$("cancel").onclick = async () => {
  clearTimeout(retry);
  if (request) { request.abort(); return; }
  if (!job) { notSent({ status: -1 }); return; }
  $("cancel").disabled = true;
  try { await ask(`translations/${job.id}/cancel`, { method: "POST" }); } catch (error) { if (error.status === 0) lost(true); }
  $("cancel").disabled = false;
};

// --- follow
function watch(id, video, accepted) {
  stop?.();
  job = accepted ?? { id, name: "", state: "queued", options: { langs: [] } };
  result.begin(id, video); remembered(id);
  show("work"); showJob();
  stop = follow(id, {
    lost,
    job: (now) => { if (now.n_sentences < result.count()) result.restart(); job = now; showJob(); },
    sentence: (sentence) => { result.addSentence(sentence, job); $("result").hidden = false; $("result-title").textContent = job.name; },
    end: (error) => { stop = null; if (error) gone(error); else finished(); },
  });
}
function showJob() {
  document.title = `slt: ${job.name}`;
  if (["done", "failed", "cancelled"].includes(job.state)) return;
  const bar = $("bar");
  let words = t("starting");
  bar.removeAttribute("value");
  if (job.state === "queued") words = job.position ? t("queued", { n: job.position }) : t("queued_next");
  else if (job.stage.startsWith("loading")) words = t("stage_model");
  else if (job.stage.startsWith("opening")) words = t("stage_open");
  else if (job.stage) {
    const unit = t(`unit_${job.stage.startsWith("seconds") ? "seconds" : job.stage.startsWith("window") ? "windows" : "frames"}`);
    words = t(job.total ? "stage_units" : "stage_units_open", { done: job.done, total: job.total, unit });
    if (job.total) bar.value = Math.min(1, job.done / job.total);
  }
  if (job.options.sentences && job.n_sentences) words += `. ${t("sentences_so_far", { n: job.n_sentences })}`;
  tellStatus(words);
}
function finished() {
  show("result"); result.finish(job); $("result-title").focus();
  for (const id of ["stage", "texts"]) $(id).hidden = false;
  recent();
}
function gone(error) {
  if (error.status === 401) { show("sign-in"); return; }
  forgetId(job.id); show("new"); tell($("problem"), problemText(error.error)); newVideo();
}
$("another").onclick = () => { newVideo(); $("new-title").scrollIntoView(); $("file").value = ""; choose(null); $("file").focus(); };

// --- delete
async function sure(question) {
  const dialog = $("confirm");
  $("confirm-text").textContent = question;
  dialog.returnValue = "no"; dialog.showModal();
  await new Promise((resolve) => { dialog.onclose = resolve; });
  return dialog.returnValue === "yes";
}
async function showCorrections() {
  const kept = await ask("corrections").catch(() => ({ n_corrections: 0 }));
  $("corrections").hidden = !kept.n_corrections;
  $("corrections").firstElementChild.textContent = t("corrections", { n: kept.n_corrections, where: kept.manifest || t("this_server") });
  $("delete-corrections").onclick = async () => {
    if (!await sure(t("confirm_corrections", { n: kept.n_corrections }))) return;
    await ask("corrections", { method: "DELETE" }).catch((error) => tell($("problem"), problemText(error.error)));
    await showCorrections(); $("main").focus();
  };
}
async function remove(id, name) {
  if (!await sure(t("confirm_delete", { name }))) return;
  try { await ask(`translations/${id}`, { method: "DELETE" }); } catch (error) { if (error.status !== 404) { tell($("connection"), problemText(error.error)); return; } }
  forgetId(id);
  if (job?.id === id) { newVideo(); $("main").focus(); } else recent();
}
$("delete").onclick = () => remove(job.id, job.name);

// --- recent videos of this browser
const ids = () => (stored.get("slt-recent") ?? "").split(",").filter(Boolean);
function remembered(id) { stored.set("slt-recent", [id, ...ids().filter((one) => one !== id)].slice(0, 20).join(",")); }
function forgetId(id) { stored.set("slt-recent", ids().filter((one) => one !== id).join(",")); }
async function recent() {
  const wanted = new Set(ids());
  if (!wanted.size) { $("recent").hidden = true; return; }
  let found = [];
  try { found = (await ask("translations")).filter((one) => wanted.has(one.id)); } catch { return; }
  stored.set("slt-recent", ids().filter((id) => found.some((one) => one.id === id)).join(","));
  $("recent-list").replaceChildren(...found.map((one) => make("li", {}, make("a", { href: `#t=${one.id}` }, one.name), make("span", { class: "soft" }, `${t(`state_${one.state}`)}, ${new Date(one.created_s * 1000).toLocaleString(lang)}`),
    make("button", { type: "button", class: "small danger", "aria-label": `${t("delete_now")}: ${one.name}`, onclick: () => remove(one.id, one.name) }, t("delete_now")))));
  $("recent").hidden = !found.length || Boolean(job);
}

begin();
