// The page: songs are sent one after the other, drawn while they are answered, and looked into.

import { colour, draw, letters, span } from "./drawing.js";

const AT_ONCE = 2;
const element = (id) => document.getElementById(id);
const state = { model: null, songs: [], waiting: [], busy: 0, shown: null, chosen: null, key: null, up: true };

function made(tag, text, attributes = {}) {
  const found = document.createElement(tag);
  if (text !== undefined) found.textContent = text;
  for (const [name, value] of Object.entries(attributes)) found.setAttribute(name, value);
  return found;
}

const percent = (p) => `${(100 * p).toFixed(1)} %`;
const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
const ranked = (top) => top.map(([name, p]) => `${name} ${percent(p)}`).join(", ");
const likeness = (song) => (song.like?.length ? ` It sounds like ${song.like.map((near) => `${near.name} (${near.label})`).join(", ")}.` : "");
const say = (text) => { element("status").textContent = text; };

async function start() {
  try {
    const answer = await fetch("api/model");
    if (!answer.ok) throw new Error();
    state.model = await answer.json();
  } catch {
    element("heard-by").textContent = "The page's server does not answer; is genrestack web still running? Load the page again once it is.";
    return;
  }
  const { name, version, classes } = state.model;
  element("heard-by").textContent = `${name}/${version} tells ${classes.length} genres apart: ${classes.join(", ")}.`;
  showCard();
}

function showCard() {
  const { model } = state;
  const facts = [
    ["Name", `${model.name}, version ${model.version}`],
    ["Genres", model.classes.join(", ")],
    ["Features", String(model.features)],
    ["Base estimators", model.parts.filter((part) => part.kind === "base").map((part) => `${part.name} (${part.estimator})`).join(", ")],
    ...model.figures,
    ["Held out by", model.provenance.split || "not said"],
    ["Trained on", model.provenance.rows ? `${model.provenance.rows.toLocaleString("en")} rows, sha256 ${model.provenance.data_sha256.slice(0, 12)}…` : "not said"],
    ["Created", model.provenance.created || "not said"],
    ["Parity", `${model.parity.labels_agreed} of ${model.parity.rows} golden rows answered as the trained model does, largest difference ${model.parity.max_abs_difference.toExponential(1)}`],
    ["Runs on", model.provider],
  ];
  element("card").replaceChildren(...facts.flatMap(([name, value]) => [made("dt", name), made("dd", value)]));
}

function add(files) {
  for (const file of files) {
    const song = {
      name: file.name, file, windows: [], peaks: [], peaksPerSecond: 10, window: 3, seconds: null, duration: null,
      label: null, top: [], base: {}, warnings: [], error: null, note: "waits",
    };
    state.songs.push(song);
    state.waiting.push(song);
  }
  if (!files.length) return;
  element("songs").hidden = false;
  if (state.shown === null) show(state.songs[0]);
  showRows();
  next();
}

function next() {
  while (state.busy < AT_ONCE && state.waiting.length) {
    state.busy += 1;
    ask(state.waiting.shift()).finally(() => { state.busy -= 1; next(); });
  }
}

async function ask(song) {
  song.note = "is read";
  showRows();
  try {
    const name = encodeURIComponent(song.name).slice(-400);
    const answer = await fetch("api/songs", { method: "POST", body: song.file, headers: { "X-GenreStack-Page": "1", "X-File-Name": name } });
    let rest = "";
    for await (const text of decoded(answer.body)) {
      const lines = (rest + text).split("\n");
      rest = lines.pop();
      for (const line of lines) take(song, JSON.parse(line));
    }
    if (rest) take(song, JSON.parse(rest));
    if (!song.label && !song.error) throw new Error();
  } catch {
    song.error ??= "the page's server stopped answering; see whether genrestack web still runs, and drop the song again";
  }
  if (song.error) song.note = song.error;
  say(song.error ? `${song.name}: ${song.error}` : `${song.name}: ${song.label}, ${percent(song.top[0][1])}`);
  showRows();
  if (state.shown === song) showSong();
}

async function* decoded(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}

function take(song, event) {
  if (event.event === "error") song.error = event.message;
  if (event.event === "song") Object.assign(song, { seconds: event.seconds, peaksPerSecond: event.peaks_per_second });
  if (event.peaks) song.peaks.push(...event.peaks);
  if (event.event === "windows") {
    song.windows.push(...event.windows);
    const reached = song.windows.at(-1).start + song.window;
    song.note = song.seconds ? `read ${clock(reached)} of ${clock(song.seconds)}` : `read ${clock(reached)}`;
  }
  if (event.event === "answer") {
    const { label, top, probabilities, base, duration, window, hop, model, warnings, novelty, like } = event;
    Object.assign(song, { label, top, probabilities, base, duration, window, hop, model, warnings, novelty, like, note: warnings.length ? "see its warning" : "" });
  }
  showRows();
  if (state.shown === song) showSong();
}

const KEYS = {
  name: (song) => song.name.toLocaleLowerCase(),
  label: (song) => song.label ?? "",
  confidence: (song) => song.top[0]?.[1] ?? -1,
  duration: (song) => song.duration ?? song.seconds ?? -1,
};

function sorted() {
  if (!state.key) return state.songs;
  const key = KEYS[state.key];
  const order = (a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0);
  return [...state.songs].sort(state.up ? order : (a, b) => order(b, a));
}

function showRows() {
  const focused = document.activeElement?.dataset?.song;
  element("rows").replaceChildren(...sorted().map((song) => {
    const number = state.songs.indexOf(song);
    const row = made("tr", undefined, song === state.shown ? { "aria-current": "true" } : {});
    const name = made("th", undefined, { scope: "row", class: "word" });
    const open = made("button", song.name, { type: "button", "data-song": number });
    open.addEventListener("click", () => { show(song); element("song-title").focus(); });
    name.append(open);
    if (song.note) name.append(made("small", song.note, song.error ? { class: "bad" } : {}));
    const length = song.duration ?? song.seconds;
    row.append(name, made("td", song.label ?? "…", { class: "word" }), made("td", song.top.length ? percent(song.top[0][1]) : "…"), made("td", length ? clock(length) : "…"));
    return row;
  }));
  if (focused !== undefined) document.querySelector(`[data-song="${focused}"]`)?.focus();
}

function show(song) {
  state.shown = song;
  state.chosen = null;
  const player = element("player");
  if (player.src) URL.revokeObjectURL(player.src);
  player.src = URL.createObjectURL(song.file);
  element("song").hidden = false;
  showRows();
  showSong();
}

function showSong() {
  const song = state.shown;
  element("song-title").textContent = song.name;
  const verdict = element("verdict");
  verdict.classList.toggle("bad", Boolean(song.error));
  verdict.textContent = song.error ?? (song.label ? `${song.label} ${percent(song.top[0][1])}; then ${ranked(song.top.slice(1))}. ${Object.entries(song.base).map(([name, [label, p]]) => `${name}: ${label} ${percent(p)}`).join(", ")}.${likeness(song)}` : "It is being read …");
  element("warnings").hidden = !song.warnings.length;
  element("warnings").replaceChildren(...song.warnings.map((text) => made("li", text)));
  const timeline = element("timeline");
  timeline.setAttribute("aria-valuemax", Math.max(song.windows.length - 1, 0));
  const style = getComputedStyle(document.documentElement);
  const short = letters(state.model.classes);
  const counts = Map.groupBy ? Map.groupBy(song.windows, (each) => each.label) : grouped(song.windows);
  element("legend").replaceChildren(...[...counts].sort((a, b) => b[1].length - a[1].length).map(([label, windows]) => {
    const item = made("li");
    const letter = made("b", short.get(label) ?? label);
    letter.style.background = colour(style, state.model.classes.indexOf(label));
    item.append(letter, `${label}, ${windows.length} ${windows.length === 1 ? "window" : "windows"}`);
    return item;
  }));
  choose(state.chosen ?? (song.windows.length ? 0 : null));
}

function grouped(windows) {
  const found = new Map();
  for (const each of windows) found.set(each.label, [...(found.get(each.label) ?? []), each]);
  return found;
}

function choose(index) {
  const song = state.shown;
  const each = song.windows[index];
  state.chosen = each ? index : null;
  const timeline = element("timeline");
  const box = element("window");
  if (each) {
    const text = `${clock(each.start)} to ${clock(each.start + song.window)}: ${ranked(each.top)}`;
    timeline.setAttribute("aria-valuenow", index);
    timeline.setAttribute("aria-valuetext", text);
    const facts = [["Window", `${clock(each.start)} to ${clock(each.start + song.window)}`], ["Stack", ranked(each.top)], ...Object.entries(each.base).map(([name, [label, p]]) => [name, `${label} ${percent(p)}`])];
    if (each.novel) facts.push(["Note", "unlike anything the model was trained on: a guess"]);
    if (each.outside) facts.push(["Note", "a feature lies outside the ranges the model was trained on: a guess"]);
    const list = made("dl");
    list.append(...facts.flatMap(([name, value]) => [made("dt", name), made("dd", value)]));
    box.replaceChildren(list);
  } else {
    box.replaceChildren();
  }
  redraw();
}

function redraw() {
  if (state.shown === null) return;
  const player = element("player");
  draw(element("canvas"), state.shown, state.model.classes, { chosen: state.chosen, played: player.currentTime || !player.paused ? player.currentTime : null });
}

function at(seconds) {
  const { windows, window } = state.shown;
  const found = windows.findIndex((each) => seconds >= each.start && seconds < each.start + window);
  return found < 0 ? null : found;
}

function seek(event) {
  const box = element("canvas").getBoundingClientRect();
  const seconds = ((event.clientX - box.left) / box.width) * span(state.shown);
  const index = at(seconds);
  if (index !== null) choose(index);
  return seconds;
}

function move(event) {
  const song = state.shown;
  const last = song.windows.length - 1;
  const now = state.chosen ?? 0;
  const to = { ArrowRight: now + 1, ArrowUp: now + 1, ArrowLeft: now - 1, ArrowDown: now - 1, Home: 0, End: last, PageDown: now + 10, PageUp: now - 10 }[event.key];
  if (to !== undefined && last >= 0) {
    event.preventDefault();
    choose(Math.min(Math.max(to, 0), last));
  }
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    const player = element("player");
    if (player.paused) {
      if (song.windows[state.chosen]) player.currentTime = song.windows[state.chosen].start;
      player.play().catch(() => say("This browser cannot play this kind of file; its answer is not touched by that."));
    } else player.pause();
  }
}

function follow() {
  const player = element("player");
  const index = at(player.currentTime);
  if (index !== null && index !== state.chosen && !player.paused) choose(index);
  else redraw();
  if (!player.paused) requestAnimationFrame(follow);
}

function download(name, type, text) {
  const link = made("a", undefined, { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  URL.revokeObjectURL(link.href);
}

// A spreadsheet takes a cell that begins so for a formula.
const cell = (value) => {
  const text = String(value ?? "");
  const safe = /^[=+\-@\t\r]/.test(text) && typeof value !== "number" ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
};

function csv() {
  const { classes } = state.model;
  const head = ["song", "label", "probability", "seconds", "warnings", "error", ...classes];
  const rows = state.songs.map((song) => [song.name, song.label, song.top[0]?.[1], song.duration, song.warnings.join(" "), song.error, ...classes.map((name) => song.probabilities?.[name])]);
  download("songs.csv", "text/csv", [head, ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n");
}

function json() {
  const songs = state.songs.map(({ name, duration, label, probabilities, base, window, hop, model, warnings, novelty, like, error, windows }) => ({ song: name, label, probabilities, base, seconds: duration, window, hop, model, warnings, novelty, like, error, windows }));
  download("songs.json", "application/json", JSON.stringify(songs, null, 1));
}

function listen() {
  const drop = element("drop");
  const files = element("files");
  files.addEventListener("change", () => { add([...files.files]); files.value = ""; });
  files.addEventListener("focus", () => document.querySelector("label[for=files]").classList.add("focused"));
  files.addEventListener("blur", () => document.querySelector("label[for=files]").classList.remove("focused"));
  for (const kind of ["dragover", "drop"]) addEventListener(kind, (event) => event.preventDefault());
  addEventListener("dragover", () => drop.classList.add("over"));
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.classList.remove("over"); });
  addEventListener("drop", (event) => { drop.classList.remove("over"); add([...event.dataTransfer.files]); });
  for (const button of document.querySelectorAll("thead button")) {
    button.addEventListener("click", () => {
      state.up = state.key === button.dataset.key ? !state.up : true;
      state.key = button.dataset.key;
      for (const other of document.querySelectorAll("thead th[aria-sort]")) other.setAttribute("aria-sort", "none");
      button.parentElement.setAttribute("aria-sort", state.up ? "ascending" : "descending");
      showRows();
    });
  }
  element("csv").addEventListener("click", csv);
  element("json").addEventListener("click", json);
  const timeline = element("timeline");
  timeline.addEventListener("pointermove", seek);
  timeline.addEventListener("click", (event) => { element("player").currentTime = seek(event); redraw(); });
  timeline.addEventListener("keydown", move);
  const player = element("player");
  player.addEventListener("play", follow);
  for (const kind of ["seeked", "pause", "timeupdate"]) player.addEventListener(kind, redraw);
  addEventListener("resize", redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (state.shown) showSong(); });
}

listen();
start();
