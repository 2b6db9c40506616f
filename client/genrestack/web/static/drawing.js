// Draws a song: how loud it is above, the genre of each window below.

const RIBBON = 56;
const GAP = 10;
const GOLDEN_ANGLE = 137.508;

/** The colour of a genre: hues that lie far apart for neighbours in the model's list. */
export function colour(style, index) {
  const hue = (255 + index * GOLDEN_ANGLE) % 360;
  // Equal lightness as people see it, so that letters can be read on every one.
  return `oklch(${style.getPropertyValue("--lightness")} ${style.getPropertyValue("--chroma")} ${hue.toFixed(0)})`;
}

/** As few letters as tell each genre from all others, from the beginning of its own name, after what all names share. */
export function letters(classes) {
  const shared = prefix(classes);
  const own = classes.map((name) => name.slice(shared));
  return new Map(classes.map((name, index) => {
    for (let length = 1; length < own[index].length; length += 1) {
      const head = own[index].slice(0, length);
      if (own.every((other, place) => place === index || !other.startsWith(head))) return [name, head];
    }
    return [name, own[index]];
  }));
}

/** Length of the words that all names begin with, e.g. of "synth-". */
function prefix(classes) {
  let length = 0;
  while (classes.length > 1 && classes.every((name) => name.length > length + 1 && name[length] === classes[0][length])) length += 1;
  while (length > 0 && /[\p{L}\p{N}]/u.test(classes[0][length - 1])) length -= 1;
  return length;
}

/** Seconds that the drawing spans. */
export function span(song) {
  const last = song.windows.at(-1);
  const read = last ? last.start + song.window : 0;
  return Math.max(song.duration ?? song.seconds ?? 0, read, song.peaks.length / song.peaksPerSecond, 1);
}

export function draw(canvas, song, classes, { chosen, played }) {
  const ratio = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  if (!width) return;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const pen = canvas.getContext("2d");
  const style = getComputedStyle(document.documentElement);
  pen.scale(ratio, ratio);
  const scale = width / span(song);
  wave(pen, song, scale, width, height - RIBBON - GAP, style);
  ribbon(pen, song, classes, scale, height - RIBBON, style);
  if (chosen !== null && song.windows[chosen]) {
    pen.strokeStyle = style.getPropertyValue("--ink");
    pen.lineWidth = 3;
    pen.strokeRect(song.windows[chosen].start * scale + 1.5, height - RIBBON + 1.5, Math.max(song.window * scale - 3, 2), RIBBON - 3);
  }
  if (played !== null) {
    pen.fillStyle = style.getPropertyValue("--focus");
    pen.fillRect(played * scale - 1, 0, 2, height);
  }
}

function wave(pen, song, scale, width, height, style) {
  pen.fillStyle = style.getPropertyValue("--wave");
  const perPixel = song.peaksPerSecond / scale;
  for (let x = 0; x < width; x += 1) {
    const from = Math.floor(x * perPixel);
    if (from >= song.peaks.length) break;
    let top = 0;
    for (let i = from; i < Math.min(Math.max(from + 1, Math.floor((x + 1) * perPixel)), song.peaks.length); i += 1) top = Math.max(top, song.peaks[i]);
    const tall = Math.max(1, (top / 255) * height);
    pen.fillRect(x, (height - tall) / 2, 1, tall);
  }
}

function ribbon(pen, song, classes, scale, top, style) {
  const short = letters(classes);
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.font = `600 13px ${style.getPropertyValue("--font")}`;
  for (const each of song.windows) {
    const left = each.start * scale;
    const wide = Math.max(song.window * scale, 1);
    pen.fillStyle = colour(style, classes.indexOf(each.label));
    pen.fillRect(left, top, Math.max(wide - (wide > 4 ? 1 : 0), 1), RIBBON);
    if (each.outside || each.novel) hatch(pen, left, top, wide, style);
    const text = short.get(each.label);
    if (text && pen.measureText(text).width + 4 < wide) {
      pen.fillStyle = style.getPropertyValue("--letter");
      pen.fillText(text, left + wide / 2, top + RIBBON / 2);
    }
  }
}

function hatch(pen, left, top, wide, style) {
  pen.save();
  pen.beginPath();
  pen.rect(left, top, wide, RIBBON);
  pen.clip();
  pen.strokeStyle = style.getPropertyValue("--card");
  pen.lineWidth = 1.5;
  for (let x = left - RIBBON; x < left + wide; x += 7) {
    pen.beginPath();
    pen.moveTo(x, top + RIBBON);
    pen.lineTo(x + RIBBON, top);
    pen.stroke();
  }
  pen.restore();
}
