// Requests to the server; addresses are relative, so that it may lie under any prefix.
const BASE = "api/v1/";

export class ApiError extends Error {
  constructor(status, error, retry) { super(error.message); this.status = status; this.error = error; this.retry = retry; }
}
const explained = (body) => body?.error ?? { code: "network", message: "the server gave no answer", fix: "" };

export async function ask(path, { method = "GET", json } = {}) {
  let answer;
  try {
    answer = await fetch(BASE + path, { method, headers: json ? { "Content-Type": "application/json" } : {}, body: json && JSON.stringify(json), credentials: "same-origin", cache: "no-store" });
  } catch { throw new ApiError(0, explained()); }
  if (!answer.ok) throw new ApiError(answer.status, explained(await answer.json().catch(() => null)), Number(answer.headers.get("Retry-After")));
  return answer.status === 204 ? null : answer.json();
}

// fetch tells nothing of how far an upload is.
export function upload(form, { progress, started }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    started(request);
    request.open("POST", BASE + "translations");
    request.responseType = "json";
    request.upload.onprogress = (event) => progress(event.loaded / Math.max(event.total, 1));
    request.onload = () => request.status < 300 ? resolve(request.response) : reject(new ApiError(request.status, explained(request.response), Number(request.getResponseHeader("Retry-After"))));
    request.onerror = () => reject(new ApiError(0, explained()));
    request.onabort = () => reject(new ApiError(-1, explained()));
    request.send(form);
  });
}
export const address = (path) => BASE + path;

// Follow a translation for as long as it takes, also over a restart of the server.
export function follow(id, { job, sentence, end, lost }) {
  let source, timer, closed = false, count = 0;
  const open = () => {
    source = new EventSource(`${BASE}translations/${id}/events`);
    source.addEventListener("job", (event) => { lost(false); job(JSON.parse(event.data)); });
    source.addEventListener("sentence", (event) => { sentence(JSON.parse(event.data)); });
    source.addEventListener("end", () => { close(); end(); });
    source.onerror = () => {
      if (closed) return;
      source.close();
      count += 1;
      timer = setTimeout(check, Math.min(500 * count, 5000));
    };
  };
  // An EventSource does not say why it failed: ask.
  const check = async () => {
    try { await ask(`translations/${id}`); count = 0; open(); } catch (error) {
      if (error.status === 404 || error.status === 401) { close(); end(error); return; }
      lost(true); count += 1; timer = setTimeout(check, Math.min(500 * count, 5000));
    }
  };
  const close = () => { closed = true; clearTimeout(timer); source?.close(); };
  open();
  return close;
}
