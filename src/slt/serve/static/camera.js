// Record a clip: countdown, mirror, stop, look at it, try again.
import { t } from "./i18n.js";

const $ = (id) => document.getElementById(id);
const KINDS = ["video/mp4;codecs=avc1", "video/webm;codecs=vp9", "video/webm;codecs=vp8", "video/webm"];
const COUNT_S = 3;

let hint = "camera_note"; // what is said beside the picture
let stream, recorder, url, timers = [], most_s = 3600, recorded = null, changed = () => {};
let asked = 0; // how often the camera was asked for or turned off: an answer to an older request is not taken

export const recording = () => recorded;
export function setUp(limit_s, onChange) {
  most_s = limit_s; changed = onChange;
  $("camera-start").onclick = () => start();
  $("camera-off").onclick = turnOff;
  $("record").onclick = countDown;
  $("stop").onclick = stop;
  $("again").onclick = again;
}
function show(...ids) {
  for (const id of ["camera-start", "record", "stop", "again", "camera-off"]) $(id).hidden = !ids.includes(id);
}
function note(key, values) { const one = $("camera-note"); one.textContent = t(key, values); one.dataset.t = key; }

export async function isThere() {
  const devices = await navigator.mediaDevices?.enumerateDevices?.().catch(() => []) ?? [];
  return devices.some((one) => one.kind === "videoinput");
}
export async function start(key = "camera_note") {
  hint = key;
  if (recorded || timers.length) return; // a recording, or one under way, stays; "try again" shows the hint
  if (stream?.active) { live(); return; }
  if (!navigator.mediaDevices?.getUserMedia || !window.MediaRecorder) { note("camera_none"); return; }
  const mine = ++asked;
  try {
    const given = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user", width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } }, audio: false });
    if (mine !== asked) { end(given); return; }
    stream = given; $("camera").srcObject = stream;
    await $("camera").play();
  } catch (error) { if (mine === asked) { turnOff(); note("camera_refused", { why: error.message || error.name }); } return; }
  if (mine !== asked) return;
  $("camera-frame").hidden = false;
  live();
}
function end(given) { for (const track of given?.getTracks() ?? []) track.stop(); }
function live() {
  $("recorded").hidden = true; $("camera").hidden = false; recorded = null; changed();
  note(hint); show("record", "camera-off"); $("record").focus();
}
function countDown() {
  clear(); show("stop", "camera-off"); $("stop").focus(); // a count-down can be stopped, too
  const place = $("countdown");
  place.className = "countdown"; note("get_ready");
  for (let left = COUNT_S; left >= 0; left--)
    timers.push(setTimeout(() => { if (left) place.textContent = left; else begin(); }, (COUNT_S - left) * 1000));
}
function begin() {
  const kind = KINDS.find((one) => MediaRecorder.isTypeSupported(one));
  const chunks = [];
  recorder = new MediaRecorder(stream, kind ? { mimeType: kind } : {});
  recorder.ondataavailable = (event) => chunks.push(event.data);
  recorder.onstop = () => check(new Blob(chunks, { type: recorder.mimeType.split(";")[0] }));
  recorder.start(1000);
  const began = Date.now(), place = $("countdown");
  place.className = "countdown recording"; place.setAttribute("aria-live", "off");
  const tick = () => { const s = Math.floor((Date.now() - began) / 1000); place.textContent = t("recording", { s }); if (s >= most_s) stop(); };
  tick(); timers.push(setInterval(tick, 500));
}
function stop() {
  clear();
  if (recorder?.state === "recording") recorder.stop(); else live();
}
function check(blob) {
  clear(); // a camera that was unplugged ends a recording, too
  if (!blob.size) { live(); return; }
  URL.revokeObjectURL(url); url = URL.createObjectURL(blob);
  const ending = blob.type === "video/mp4" ? "mp4" : "webm";
  const when = new Date().toISOString().slice(0, 19).replace("T", " ").replaceAll(":", ".");
  recorded = new File([blob], `camera ${when}.${ending}`, { type: blob.type });
  $("recorded").src = url; $("recorded").hidden = false; $("camera").hidden = true;
  note("camera_check"); show("again", "camera-off"); $("again").focus(); changed();
}
function again() { live(); }
export function turnOff() {
  clear();
  if (recorder?.state === "recording") { recorder.onstop = null; recorder.stop(); }
  asked += 1; end(stream);
  stream = undefined; recorded = null; $("camera").srcObject = null; $("camera-frame").hidden = true;
  note("camera_note"); show("camera-start"); changed();
}
// The clip was sent: the camera goes off, its light with it.
export function sent() { const file = recorded; turnOff(); return file; }
function clear() { for (const timer of timers) { clearTimeout(timer); clearInterval(timer); } timers = []; $("countdown").textContent = ""; }
