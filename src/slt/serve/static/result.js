// The result: video, captions, sentences, what the model saw, corrections, downloads.
import { ask, address } from "./api.js";
import { clock, langName, problemText, t, tag, warningText } from "./i18n.js";

const $ = (id) => document.getElementById(id);
const YELLOW = "#ffd400";
let job = null, sentences = [], joints = null, names = {}, url = "";

export const make = (kind, attributes = {}, ...children) => {
  const one = document.createElement(kind);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) one[name] = value;
    else if (value !== undefined && value !== false) one.setAttribute(name, value === true ? "" : value);
  }
  one.append(...children.filter((child) => child !== null && child !== undefined));
  return one;
};
const best = (sentence, code) => sentence.corrections?.[code] ?? sentence.texts[code][0].text;
const current = () => { const now = $("video").currentTime; return sentences.find((one) => now >= one.start_s && now < one.end_s) ?? sentences.findLast((one) => now >= one.end_s && now < one.end_s + 0.25); };

export function setUp(languageNames) {
  names = languageNames;
  const video = $("video");
  for (const event of ["timeupdate", "seeked", "loadedmetadata"]) video.addEventListener(event, () => { followTime(); draw(); });
  video.addEventListener("play", frameByFrame);
  video.addEventListener("error", () => { if (video.getAttribute("src")) $("unplayable").hidden = false; });
  $("show-seen").addEventListener("change", showSeen);
  $("full").onclick = () => document.fullscreenElement ? document.exitFullscreen() : $("stage").requestFullscreen();
  new ResizeObserver(draw).observe(video);
}
export function begin(id, file) {
  job = null; sentences = []; joints = null;
  if (url) URL.revokeObjectURL(url);
  url = file instanceof Blob ? URL.createObjectURL(file) : "";
  $("unplayable").hidden = true; $("show-seen").checked = false; $("seen-note").hidden = true;
  $("video").src = url || address(`translations/${id}/video`);
  $("sentences").replaceChildren(); $("downloads").replaceChildren(); $("download-title").hidden = true; $("outcome").replaceChildren(); $("captions").replaceChildren();
}
export function forget() { $("video").removeAttribute("src"); $("video").load(); if (url) URL.revokeObjectURL(url); url = ""; job = null; sentences = []; }
export function addSentence(sentence, of) {
  job = of ?? job;
  sentences[sentence.index] = sentence;
  const item = sentenceItem(sentence), before = $("sentences").children[sentence.index];
  if (before) before.replaceWith(item); else $("sentences").append(item);
  followTime(true);
}
export function restart() { sentences = []; $("sentences").replaceChildren(); }
export function count() { return sentences.length; }
export function repaint() { if (job) { $("sentences").replaceChildren(...sentences.map(sentenceItem)); finish(job); followTime(true); } }

export function finish(of) {
  job = of;
  $("result-title").textContent = job.name;
  $("outcome").replaceChildren(...outcome());
  $("downloads").replaceChildren(...downloads());
  $("download-title").hidden = !sentences.length;
  $("expires").textContent = job.expires_s ? t("expires", { when: new Date(job.expires_s * 1000).toLocaleString(document.documentElement.lang) }) : "";
  for (const button of $("sentences").querySelectorAll(".correct")) button.hidden = job.state !== "done";
}
function outcome() {
  const parts = [];
  if (job.state === "failed") {
    const said = problemText(job.error ?? {});
    parts.push(make("div", { class: "note bad", role: "alert" }, make("strong", {}, t("failed")), make("p", { lang: said.lang }, said.text)));
  }
  if (job.state === "cancelled") parts.push(make("p", { class: "note" }, t("cancelled")));
  if (job.note) parts.push(make("p", { class: "note", lang: "en" }, job.note));
  if (job.state === "done" && !sentences.length) parts.push(make("p", { class: "note" }, t("no_signing")));
  const warnings = [...new Set(sentences.flatMap((one) => one.warnings))];
  if (warnings.length) {
    const items = warnings.map((one) => { const said = warningText(one); return make("li", { lang: said.lang }, said.text); });
    parts.push(make("div", { class: "note", id: "warnings" }, make("strong", {}, t("warnings")), make("ul", {}, ...items)));
  }
  return parts;
}
const language = (code) => langName(code, names[code] ?? code);

function sentenceItem(sentence) {
  const from = clock(sentence.start_s);
  const seek = make("button", { type: "button", class: "small seek", "aria-label": t("play_from", { time: from }), onclick: () => seekTo(sentence) }, `▶ ${from}`);
  return make("li", { "data-index": sentence.index }, seek, ...Object.keys(sentence.texts).map((code) => textBlock(sentence, code)));
}
function textBlock(sentence, code) {
  const [first, ...others] = sentence.texts[code], corrected = sentence.corrections?.[code] !== undefined;
  const facts = [language(code), corrected && t("corrected"), ...rating(first)].filter(Boolean).join(" · ");
  const words = make("span", { lang: tag(code), dir: "auto", class: "words" }, best(sentence, code));
  const row = make("div", { class: "row" },
    make("button", { type: "button", class: "small", onclick: (event) => copy(event.target, best(sentence, code)) }, t("copy")),
    "speechSynthesis" in window ? make("button", { type: "button", class: "small", onclick: (event) => speak(event.target, best(sentence, code), code) }, t("speak")) : null,
    make("button", { type: "button", class: "small correct", hidden: job?.state !== "done", onclick: () => edit(block, sentence, code) }, t("correct")));
  const block = make("div", { "data-lang": code }, make("p", { class: "text" }, words, make("small", {}, facts)), lettersOf(first, corrected), othersOf(others, sentence, code), row);
  return block;
}
// Of fingerspelling: each letter, and how sure the model is of it.
function lettersOf(one, corrected) {
  if (!one.letters || corrected) return null;
  if (!one.letters.length) return make("p", { class: "soft" }, t("nothing_spelled"));
  const items = one.letters.map(({ letter, confidence }) => {
    const percent = Math.round(confidence * 100), said = t("letter_sure", { letter, percent });
    return make("li", { class: percent < 60 ? "unsure" : undefined, "aria-label": said }, make("strong", {}, letter), make("small", {}, `${percent} %`));
  });
  return make("ol", { class: "letters", "aria-label": t("letters") }, ...items);
}
function rating(one) {
  const parts = [t("score", { score: one.score.toFixed(2) })];
  if (one.agreement !== undefined) parts.push(t("agreement", { value: one.agreement.toFixed(2) }));
  if (one.confidence !== undefined) parts.push(t("confidence", { percent: Math.round(one.confidence * 100) }));
  return parts;
}
function othersOf(others, sentence, code) {
  if (!others.length) return null;
  const items = others.map((one) => make("li", {}, make("span", { lang: tag(code), dir: "auto" }, one.text), make("small", { class: "soft" }, ` · ${rating(one).join(" · ")} `),
    make("button", { type: "button", class: "small correct", hidden: job?.state !== "done", onclick: () => keep(sentence, code, one.text) }, t("use"))));
  return make("details", { class: "alternatives" }, make("summary", {}, t("others", { n: others.length })), make("ol", { start: 2 }, ...items));
}
async function copy(button, text) {
  try { await navigator.clipboard.writeText(text); } catch {
    const area = make("textarea", {}); area.value = text; document.body.append(area); area.select(); document.execCommand("copy"); area.remove(); button.focus();
  }
  button.textContent = t("copied"); setTimeout(() => { button.textContent = t("copy"); }, 1500);
}
function speak(button, text, code) {
  if (speechSynthesis.speaking) { speechSynthesis.cancel(); return; }
  const said = new SpeechSynthesisUtterance(text), base = tag(code);
  said.lang = base;
  said.voice = speechSynthesis.getVoices().find((voice) => voice.lang.split(/[-_]/)[0] === base) ?? null;
  if (!said.voice) { button.textContent = t("no_voice", { name: language(code) }); setTimeout(() => { button.textContent = t("speak"); }, 3000); return; }
  button.textContent = t("quiet"); said.onend = said.onerror = () => { button.textContent = t("speak"); };
  speechSynthesis.speak(said);
}
function edit(block, sentence, code) {
  const area = make("textarea", { rows: 2, maxlength: 2000, lang: tag(code), dir: "auto", "aria-label": t("correction_of", { name: language(code) }) });
  area.value = best(sentence, code);
  const done = () => block.replaceWith(textBlock(sentence, code));
  const problem = make("p", { class: "note bad", role: "alert", hidden: true });
  const save = (text) => keep(sentence, code, text).catch((error) => { problem.hidden = false; problem.textContent = problemText(error.error ?? {}).text; });
  area.onkeydown = (event) => { if (event.key === "Escape") { done(); focusOn(sentence, code); } if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) save(area.value); };
  const undo = sentence.corrections?.[code] === undefined ? null : make("button", { type: "button", class: "small", onclick: () => save("") }, t("undo"));
  block.replaceChildren(area, problem, make("div", { class: "row" }, make("button", { type: "button", class: "small main", onclick: () => save(area.value) }, t("save")),
    make("button", { type: "button", class: "small", onclick: () => { done(); focusOn(sentence, code); } }, t("back")), undo));
  area.focus();
}
async function keep(sentence, code, text) {
  const kept = await ask(`translations/${job.id}/sentences/${sentence.index}/corrections/${code}`, { method: "PUT", json: { text } });
  addSentence(kept); focusOn(kept, code);
}
function focusOn(sentence, code) { $("sentences").children[sentence.index]?.querySelector(`[data-lang="${code}"] .row .correct`)?.focus(); }

function downloads() {
  const codes = job.options.langs, rows = codes.map((code) => make("div", { class: "downloads-row" }, make("span", {}, language(code)),
    ...["srt", "vtt", "txt"].map((format) => link(format, code))));
  return sentences.length ? [...rows, make("div", { class: "downloads-row" }, link("json"))] : [];
}
function link(format, code) {
  const label = `${format.toUpperCase()}${code ? ` ${language(code)}` : ""}`;
  return make("a", { href: address(`translations/${job.id}/results/${format}${code ? `?lang=${code}` : ""}`), download: "", "aria-label": `${t("download")}: ${label}` }, format.toUpperCase());
}

function seekTo(sentence) {
  const video = $("video");
  video.currentTime = sentence.start_s + 0.001;
  video.play().catch(() => {});
}
let shown;
function followTime(force = false) {
  const now = current();
  if (now === shown && !force) return;
  shown = now;
  for (const item of $("sentences").children) {
    const is = now && Number(item.dataset.index) === now.index;
    item.classList.toggle("current", Boolean(is));
    if (is) item.setAttribute("aria-current", "true"); else item.removeAttribute("aria-current");
    // Inside the list only: the page itself stays where its reader has it.
    if (is && !item.contains(document.activeElement)) item.parentElement.scrollTop = item.offsetTop - item.parentElement.offsetTop - 8;
  }
  $("captions").replaceChildren(...(now ? Object.keys(now.texts).map((code) => make("p", { lang: tag(code), dir: "auto" }, best(now, code))) : []));
}
function frameByFrame() {
  const video = $("video");
  if (video.paused || video.ended) return;
  followTime(); draw(); requestAnimationFrame(frameByFrame);
}

async function showSeen() {
  const note = $("seen-note");
  note.hidden = !$("show-seen").checked;
  if (!note.hidden && job?.has_joints && !joints) joints = await ask(`translations/${job.id}/joints`).catch(() => null);
  note.textContent = joints ? t("seen_joints") : t("seen_box", { how: (current() ?? sentences[0])?.signer?.method ?? "" });
  draw();
}
function draw() {
  const canvas = $("overlay"), video = $("video"), pen = canvas.getContext("2d");
  canvas.width = canvas.clientWidth; canvas.height = canvas.clientHeight;
  if (!$("show-seen").checked || !video.videoWidth) return;
  const scale = Math.min(canvas.width / video.videoWidth, canvas.height / video.videoHeight);
  const left = (canvas.width - video.videoWidth * scale) / 2, top = (canvas.height - video.videoHeight * scale) / 2;
  const now = current() ?? sentences[0];
  if (!now) return;
  pen.strokeStyle = pen.fillStyle = YELLOW; pen.lineWidth = 3;
  const of = joints?.findLast((one) => video.currentTime >= one.start_s - 0.05);
  if (of) {
    const points = of.frames[Math.min(of.frames.length - 1, Math.max(0, Math.floor((video.currentTime - of.start_s) * of.fps)))] ?? [];
    for (const point of points) if (point) { pen.beginPath(); pen.arc(left + point[0] * video.videoWidth * scale, top + point[1] * video.videoHeight * scale, 3, 0, 7); pen.fill(); }
    return;
  }
  const [x0, y0, x1, y1] = now.signer.box;
  pen.strokeRect(left + x0 * scale + 1.5, top + y0 * scale + 1.5, (x1 - x0) * scale - 3, (y1 - y0) * scale - 3);
}
