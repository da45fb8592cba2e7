// Texts of the page in English and German. {name} is filled in.
const TEXTS = {
  en: {
    skip: "To the content", tagline: "Sign-language video to text, on your own machine", interface: "Interface", theme: "Theme",
    theme_auto: "System", theme_light: "Light", theme_dark: "Dark", sign_in: "Sign in", token_label: "Token that slt serve printed",
    new_title: "Translate a video", source: "Where the video comes from", from_file: "Video file", from_camera: "Camera", from_server: "On the server",
    drop: "Drop a video here, or choose one", limits: "Up to {size} and {minutes} minutes", chosen: "{name}, {size}",
    camera_note: "The camera shows you as in a mirror; what is sent is not mirrored. Sound is not recorded.",
    camera_start: "Start the camera", record: "Record", stop: "Stop", again: "Try again", camera_off: "Turn the camera off",
    camera_none: "This browser gives no camera to this page. It does so at http://127.0.0.1 and over https only.",
    camera_refused: "The camera could not be opened: {why}", camera_check: "This is what will be sent. Translate it, or try again.",
    get_ready: "Get ready", recording: "Recording, {s} s", server_video: "Video on the server", no_server_videos: "There is no video in the server's folder.",
    model: "Model", languages: "Languages", lang_search: "Search languages", lang_remove: "Remove {name}", how: "How",
    whole: "The video is one sentence", by_sentence: "Find the sentences in it", nbest: "Texts to choose from",
    rerank: "Read four times and rate the texts (slower)", translate: "Translate", licence: "Licence: {licence}",
    kept: "Videos and texts stay in {data} and are removed {time} after their translation. Corrected sentences are kept, with their video, until you delete them. Nothing is sent elsewhere.",
    this_server: "this server", hours: "{n} hours", minutes: "{n} minutes",
    working: "Translating", uploading: "Uploading {name}: {percent} %", queued: "Waiting. {n} before this one.", queued_next: "Waiting. It is the next one.",
    starting: "Starting", stage_model: "Loading the model", stage_open: "Opening the video", stage_units: "Reading the video: {done} of {total} {unit}",
    stage_units_open: "Reading the video: {done} {unit}", unit_windows: "windows", unit_frames: "frames", unit_seconds: "seconds",
    sentences_so_far: "Sentences so far: {n}.", cancel: "Cancel", cancelled: "Cancelled.", failed: "This video could not be translated.",
    no_signing: "No signing was detected in this video.", captions: "Captions", show_seen: "Show what the model saw", full_screen: "Full screen",
    unplayable: "This browser cannot play the video. The texts are complete all the same.",
    seen_box: "Yellow: the part of the picture that the model read ({how}).", seen_joints: "Yellow: the joints that the model read.",
    sentences: "Sentences", download: "Download", another: "Another video", delete_now: "Delete now", keep: "Keep",
    confirm_delete: "Delete the video “{name}”, its texts and its corrections from the server?", deleted: "Deleted.",
    expires: "Removed on {when}, unless you delete it now.", recent: "Recent videos of this browser", open: "Open {name}", expired: "removed",
    api: "API description", play_from: "Play from {time}", copy: "Copy", copied: "Copied", speak: "Speak", quiet: "Stop speaking", no_voice: "This browser has no voice for {name}.",
    correct: "Correct", save: "Save", undo: "Undo the correction", back: "Cancel", corrected: "corrected", correction_of: "Correct text in {name}",
    others: "Other texts ({n})", score: "score {score}", confidence: "confidence {percent} %", agreement: "agreement {value}",
    warnings: "Please note", lost: "The server does not answer. Trying again…", retry_in: "{message} Trying again in {n} s.",
    no_file: "Choose a video first.", no_recording: "Record something first.", no_lang: "Choose at least one language.", too_large: "The file has {size}; this server takes up to {most}.",
    network: "The connection broke off.", state_queued: "waiting", state_running: "under way", state_done: "done", state_failed: "failed", state_cancelled: "cancelled",
    spell_name: "Spell your name", spell_about: "Fingerspell it into the camera, in the American alphabet, and read it, letter by letter.",
    spell_note: "Hold the hand at the height of the shoulder, its palm to the camera, and every letter for a moment. Then let the hand down.",
    letters: "Letters", letter_sure: "{letter}, {percent} %", nothing_spelled: "No letter was read.",
    use: "Use this one", delete_all: "Delete all", corrections: "Corrected sentences, kept in {where}: {n}.", confirm_corrections: "Delete all corrected sentences ({n}) and their videos?",
  },
  de: {
    skip: "Zum Inhalt", tagline: "Gebärdensprach-Video zu Text, auf dem eigenen Rechner", interface: "Oberfläche", theme: "Farben",
    theme_auto: "System", theme_light: "Hell", theme_dark: "Dunkel", sign_in: "Anmelden", token_label: "Token, das slt serve ausgegeben hat",
    new_title: "Ein Video übersetzen", source: "Woher das Video kommt", from_file: "Videodatei", from_camera: "Kamera", from_server: "Auf dem Server",
    drop: "Ein Video hier ablegen oder auswählen", limits: "Bis zu {size} und {minutes} Minuten", chosen: "{name}, {size}",
    camera_note: "Die Kamera zeigt Sie wie im Spiegel; gesendet wird das Bild ungespiegelt. Ton wird nicht aufgenommen.",
    camera_start: "Kamera einschalten", record: "Aufnehmen", stop: "Stopp", again: "Noch einmal", camera_off: "Kamera ausschalten",
    camera_none: "Dieser Browser gibt der Seite keine Kamera. Das tut er nur unter http://127.0.0.1 und über https.",
    camera_refused: "Die Kamera ließ sich nicht öffnen: {why}", camera_check: "Das wird gesendet. Übersetzen Sie es, oder nehmen Sie noch einmal auf.",
    get_ready: "Gleich geht es los", recording: "Aufnahme, {s} s", server_video: "Video auf dem Server", no_server_videos: "Im Ordner des Servers liegt kein Video.",
    model: "Modell", languages: "Sprachen", lang_search: "Sprachen suchen", lang_remove: "{name} entfernen", how: "Wie",
    whole: "Das Video ist ein Satz", by_sentence: "Die Sätze darin finden", nbest: "Texte zur Auswahl",
    rerank: "Viermal lesen und die Texte bewerten (langsamer)", translate: "Übersetzen", licence: "Lizenz: {licence}",
    kept: "Videos und Texte bleiben in {data} und werden {time} nach der Übersetzung entfernt. Korrigierte Sätze bleiben mit ihrem Video, bis Sie sie löschen. Nichts wird anderswohin gesendet.",
    this_server: "diesem Server", hours: "{n} Stunden", minutes: "{n} Minuten",
    working: "Wird übersetzt", uploading: "{name} wird hochgeladen: {percent} %", queued: "Wartet. {n} davor.", queued_next: "Wartet. Es kommt als Nächstes dran.",
    starting: "Beginnt", stage_model: "Das Modell wird geladen", stage_open: "Das Video wird geöffnet", stage_units: "Das Video wird gelesen: {done} von {total} {unit}",
    stage_units_open: "Das Video wird gelesen: {done} {unit}", unit_windows: "Abschnitten", unit_frames: "Bildern", unit_seconds: "Sekunden",
    sentences_so_far: "Sätze bisher: {n}.", cancel: "Abbrechen", cancelled: "Abgebrochen.", failed: "Dieses Video konnte nicht übersetzt werden.",
    no_signing: "In diesem Video wurden keine Gebärden gefunden.", captions: "Untertitel", show_seen: "Zeigen, was das Modell gesehen hat", full_screen: "Vollbild",
    unplayable: "Dieser Browser kann das Video nicht abspielen. Die Texte sind trotzdem vollständig.",
    seen_box: "Gelb: der Teil des Bildes, den das Modell gelesen hat ({how}).", seen_joints: "Gelb: die Gelenke, die das Modell gelesen hat.",
    sentences: "Sätze", download: "Herunterladen", another: "Noch ein Video", delete_now: "Jetzt löschen", keep: "Behalten",
    confirm_delete: "Das Video „{name}“, seine Texte und Korrekturen vom Server löschen?", deleted: "Gelöscht.",
    expires: "Wird am {when} entfernt, wenn Sie es nicht jetzt löschen.", recent: "Letzte Videos dieses Browsers", open: "{name} öffnen", expired: "entfernt",
    api: "Beschreibung der API", play_from: "Ab {time} abspielen", copy: "Kopieren", copied: "Kopiert", speak: "Vorlesen", quiet: "Nicht mehr vorlesen", no_voice: "Dieser Browser hat keine Stimme für {name}.",
    correct: "Korrigieren", save: "Speichern", undo: "Korrektur zurücknehmen", back: "Abbrechen", corrected: "korrigiert", correction_of: "Richtiger Text ({name})",
    others: "Andere Texte ({n})", score: "Wertung {score}", confidence: "Sicherheit {percent} %", agreement: "Übereinstimmung {value}",
    warnings: "Bitte beachten", lost: "Der Server antwortet nicht. Neuer Versuch läuft …", retry_in: "{message} Neuer Versuch in {n} s.",
    no_file: "Wählen Sie zuerst ein Video.", no_recording: "Nehmen Sie zuerst etwas auf.", no_lang: "Wählen Sie mindestens eine Sprache.", too_large: "Die Datei hat {size}; dieser Server nimmt bis zu {most}.",
    network: "Die Verbindung ist abgebrochen.", state_queued: "wartet", state_running: "läuft", state_done: "fertig", state_failed: "fehlgeschlagen", state_cancelled: "abgebrochen",
    spell_name: "Buchstabieren Sie Ihren Namen", spell_about: "Mit dem amerikanischen Fingeralphabet in die Kamera; gelesen wird Buchstabe für Buchstabe.",
    spell_note: "Halten Sie die Hand auf Schulterhöhe, die Handfläche zur Kamera, und jeden Buchstaben einen Moment. Dann lassen Sie die Hand sinken.",
    letters: "Buchstaben", letter_sure: "{letter}, {percent} %", nothing_spelled: "Es wurde kein Buchstabe gelesen.",
    use: "Diesen nehmen", delete_all: "Alle löschen", corrections: "Korrigierte Sätze, aufgehoben in {where}: {n}.", confirm_corrections: "Alle korrigierten Sätze ({n}) und ihre Videos löschen?",
    code_queue_full: "Die Warteschlange ist voll.", code_too_large: "Das Video ist zu groß.", code_disk_full: "Die Platte des Servers ist voll.", code_too_slow: "Das Hochladen war zu langsam.",
    code_no_pictures: "Die Datei enthält nur Gelenke und keine Bilder. Schicken Sie das Video; oder wählen Sie ein Modell, das Gelenke liest, und „Das Video ist ein Satz“.",
    code_no_video: "Es kam kein Video an.", code_wrong_token: "Das Token ist falsch. Kopieren Sie den ganzen Link, den slt serve ausgegeben hat.", code_no_token: "Dieser Server braucht ein Token.",
    code_not_found: "Das gibt es auf dem Server nicht (mehr).", code_worker_ended: "Der Prozess, der dieses Video übersetzte, ist abgebrochen. Versuchen Sie ein kürzeres oder kleineres Video.",
    code_timeout: "Die Übersetzung dauerte zu lange. Schneiden Sie das Video in Teile.", code_lost: "Die Übersetzung ging verloren. Laden Sie das Video noch einmal hoch.",
  },
};
// Warnings of the models are English; these are known in German.
const WARNINGS_DE = [
  [/^no person detected in any frame/, "In keinem Bild wurde eine Person gefunden; die Übersetzung sagt nichts aus."],
  [/^this video differs from the training data of the model (\S+): (.*)/, "Dieses Video unterscheidet sich von dem, womit das Modell $1 trainiert wurde; verlassen Sie sich nicht auf den Text. ($2)"],
  [/^no hand detected in any frame.*/, "In keinem Bild wurde eine Hand gefunden; zeigen Sie die buchstabierende Hand ganz im Bild."],
  [/^the spelling hand is detected in (\d+)% of the frames only.*/, "Die buchstabierende Hand wurde nur in $1 % der Bilder gefunden; Buchstaben können fehlen."],
  [/^the text in (\w+) reached the length limit.*/, "Der Text in $1 erreichte die Höchstlänge für ein so kurzes Video; er kann Unsinn sein."],
  [/^the text in (\w+) repeated itself.*/, "Der Text in $1 wiederholte sich und wurde noch einmal ohne Wiederholungen gesucht; verlassen Sie sich nicht darauf."],
];

export let lang = "en";
export const setLang = (to) => { lang = TEXTS[to] ? to : "en"; document.documentElement.lang = lang; paint(); };

export function t(key, values = {}) {
  const text = TEXTS[lang][key] ?? TEXTS.en[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
}
export const has = (key) => key in TEXTS[lang];

// An error of the API in words, and the language of those words.
export function problemText(error) {
  const key = `code_${error.code}`;
  if (has(key)) return { text: t(key), lang };
  return { text: [error.message, error.fix].filter(Boolean).map(sentence).join(" "), lang: "en" };
}
export function warningText(warning) {
  if (lang === "de") for (const [pattern, text] of WARNINGS_DE) if (pattern.test(warning)) return { text: warning.replace(pattern, text), lang: "de" };
  return { text: sentence(warning), lang: "en" };
}
const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?…]$/.test(text) ? "" : ".");

export function paint(root = document) {
  for (const one of root.querySelectorAll("[data-t]")) one.textContent = t(one.dataset.t);
  for (const one of root.querySelectorAll("[data-t-placeholder]")) one.placeholder = t(one.dataset.tPlaceholder);
  for (const one of root.querySelectorAll("[data-t-label]")) one.setAttribute("aria-label", t(one.dataset.tLabel));
}

// deu_Latn -> de: for lang attributes, voices and names.
export function tag(code) {
  try { return Intl.getCanonicalLocales(code.split("_")[0])[0]; } catch { return "und"; }
}
export function langName(code, fallback = code) {
  try {
    const [base, script] = code.split("_");
    const names = new Intl.DisplayNames([lang], { type: "language", fallback: "none" });
    const name = names.of(tag(code));
    if (!name) return fallback;
    return /\(/.test(fallback) ? `${name} (${new Intl.DisplayNames([lang], { type: "script" }).of(script)})` : name;
  } catch { return fallback; }
}
export function size(bytes) {
  const [n, unit] = bytes >= 1e9 ? [bytes / 1e9, "GB"] : bytes >= 1e6 ? [bytes / 1e6, "MB"] : [Math.max(bytes / 1e3, 0.1), "kB"];
  return `${new Intl.NumberFormat(lang, { maximumFractionDigits: 1 }).format(n)} ${unit}`;
}
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds)), tenth = Math.floor((seconds - whole) * 10);
  const h = Math.floor(whole / 3600), m = Math.floor(whole / 60) % 60, s = String(whole % 60).padStart(2, "0");
  return `${h ? `${h}:${String(m).padStart(2, "0")}` : m}:${s}.${Math.max(0, tenth)}`;
}
