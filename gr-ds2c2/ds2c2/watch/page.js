// SPDX-License-Identifier: GPL-3.0-or-later
// Asks for the numbers twice a second and shows them; the picture comes by itself as one stream.
"use strict";
const EVERY = 500; // milliseconds between two questions
const CURVE_SECONDS = [60, 120, 300]; // the curve's span: the least that holds what there is
const FLOORS = [0.05, 0.1, 0.25, 0.5, 1]; // tops of its scale
const FATES = {
  used: ["used", "ok"], missing: ["never came", "warn"], late: ["late", "warn"], duplicate: ["twice", ""],
  foreign: ["of another stream", "warn"], other_format: ["of another format", "bad"], damaged: ["damaged", "warn"],
  forged: ["forged", "bad"], replayed: ["replayed", "bad"], malformed: ["not packets", "warn"],
  out_of_range: ["out of range", "warn"], failed_crc: ["failed the link's CRC", "warn"], unreadable: ["unreadable", "warn"],
  wrong_size: ["of another size", "warn"], empty: ["empty", ""], dropped: ["dropped by this host", "bad"],
  unread: ["had come when it stopped", ""],
  stamps: ["say when a frame was taken", ""], end: ["say the stream's end", ""],
};
const ALWAYS = ["used", "missing", "foreign", "forged"];
const at = (id) => document.getElementById(id);
const say = (id, text) => { if (at(id).textContent !== text) at(id).textContent = text; };
const known = (value) => value !== null && value !== undefined;
const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
const count = (number) => number.toLocaleString("en").replaceAll(",", "\u2009");

function duration(seconds) {
  if (seconds < 100) return `${Math.round(seconds)} s`;
  if (seconds < 6000) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

function age(seconds) { // half of five minutes is not three
  return seconds < 100 ? `${Math.round(seconds)} s` : `${+(seconds / 60).toFixed(1)} min`;
}

function measure(id, value, unit) {
  const place = at(id);
  place.textContent = known(value) ? value : "–";
  if (known(value) && unit) place.append(Object.assign(document.createElement("small"), { textContent: ` ${unit}` }));
}

function rows(id, entries) {
  at(id).replaceChildren(...entries.map(([name, number, kind]) => {
    const row = document.createElement("div");
    row.className = number ? kind : "zero";
    const term = Object.assign(document.createElement("dt"), { textContent: name });
    row.append(term, Object.assign(document.createElement("dd"), { textContent: count(number) }));
    return row;
  }));
}

function svg(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}

let shownCurve = null; // what the pointer reads from

function drawCurve(stats) {
  const place = at("curve"), width = place.clientWidth, height = place.clientHeight;
  const now = stats.uptime_s, left = 46, right = width - 4, top = 8, bottom = height - 18;
  const span = CURVE_SECONDS.find((seconds) => now <= seconds) ?? CURVE_SECONDS.at(-1);
  const points = stats.history.filter(([when]) => when >= now - span);
  const highest = Math.max(0, ...points.map(([, share]) => share));
  const scale = FLOORS.find((floor) => highest <= floor) ?? 1;
  const x = (when) => right - (right - left) * Math.min(1, Math.max(0, now - when) / span);
  const y = (share) => bottom - (bottom - top) * share / scale;
  const drawn = [];
  for (const share of [0, scale / 2, scale]) {
    drawn.push(svg("line", { class: "grid", x1: left, x2: right, y1: y(share), y2: y(share) }));
    const words = `${+(100 * share).toFixed(1)} %`;
    drawn.push(svg("text", { x: left - 6, y: y(share) + 4, "text-anchor": "end" }, words));
  }
  for (const [part, anchor] of [[1, "start"], [0.5, "middle"], [0, "end"]]) {
    const words = part ? `${age(part * span)} ago` : "now";
    drawn.push(svg("text", { x: x(now - part * span), y: height - 3, "text-anchor": anchor }, words));
  }
  // A pause longer than this sender's usual ones is a gap and not a line.
  const pauses = points.slice(1).map(([when], place) => when - points[place][0]).sort((a, b) => a - b);
  const usual = Math.max(3, 2.5 * (pauses[pauses.length >> 1] ?? 1));
  const runs = [];
  for (const point of points) {
    const run = runs.at(-1);
    if (run && point[0] - run.at(-1)[0] <= usual) run.push(point); else runs.push([point]);
  }
  for (const run of runs) {
    const line = run.map(([when, share]) => `${x(when).toFixed(1)},${y(share).toFixed(1)}`).join("L");
    const ends = [x(run.at(-1)[0]), x(run[0][0])];
    drawn.push(svg("path", { class: "area", d: `M${line}L${ends[0].toFixed(1)},${bottom}L${ends[1].toFixed(1)},${bottom}Z` }));
    drawn.push(svg("path", { class: "trace", d: run.length > 1 ? `M${line}` : `M${line}h.1` }));
  }
  place.replaceChildren(...drawn);
  shownCurve = { points, now, x };
}

function readCurve(event) {
  if (!shownCurve || !shownCurve.points.length) return;
  const place = event.clientX - at("curve").getBoundingClientRect().left;
  const distance = ([when]) => Math.abs(shownCurve.x(when) - place);
  const [when, share] = shownCurve.points.reduce((a, b) => (distance(b) < distance(a) ? b : a));
  say("readout", `${percent(share)}, ${duration(shownCurve.now - when)} ago`);
}

function drawPoints(points) {
  at("points").toggleAttribute("hidden", !points.length);
  if (!points.length) return;
  const size = 1.25 * Math.max(1, ...points.flat().map(Math.abs));
  at("points").setAttribute("viewBox", `${-size} ${-size} ${2 * size} ${2 * size}`);
  const cloud = points.map(([i, q]) => `M${i},${-q}h0`).join("");
  at("points").replaceChildren(
    svg("path", { class: "grid", d: `M${-size},0H${size}M0,${-size}V${size}` }), svg("path", { class: "cloud", d: cloud }),
  );
}

function showSignal(stats) {
  const { present, ever, silent_s: silent } = stats.signal;
  const words = stats.ended ? "ended" : present ? "live" : `no signal for ${duration(silent)}`;
  at("signal").className = `pill ${stats.ended ? "" : present ? "ok" : "bad"}`;
  say("signal", words);
  at("silent").toggleAttribute("hidden", present || !ever || stats.ended || !stats.frame);
  say("silent", words);
}

function showFrame(stats) {
  const frame = stats.frame;
  if (!frame) return;
  say("number", count(frame.number));
  say("fate", frame.nothing ? "nothing came of it" : frame.concealed ? "concealed by the one before" : "received");
  const repaired = frame.base_repaired ? `, ${count(frame.base_repaired)} repaired` : "";
  const lost = frame.base_lost + frame.enhancement_lost;
  say("blocks", `${count(lost)} of ${count(stats.stream.blocks)} blocks lost${repaired}`);
  measure("psnr", known(frame.psnr_db) ? frame.psnr_db.toFixed(2) : null, "dB");
  measure("delay", known(frame.delay_s) ? frame.delay_s.toFixed(2) : null, "s");
}

function show(stats) {
  say("source", stats.station ? `${stats.station} by ${stats.source}` : stats.source);
  say("format", stats.stream.format);
  showSignal(stats);
  showFrame(stats);
  const now = stats.now;
  measure("per", known(now.per) ? (100 * now.per).toFixed(1) : null, "%");
  measure("rate", now.frames_per_s.toFixed(now.frames_per_s < 10 ? 1 : 0));
  say("bits", `${count(Math.round(now.bits_per_s / 1000))} kbit/s`);
  const frames = stats.frames, parts = [...at("bar").children];
  ["received", "concealed", "lost"].forEach((kind, place) => {
    parts[place].style.width = frames.shown ? `${100 * frames[kind] / frames.shown}%` : "0";
  });
  rows("frames", [["received", frames.received, "ok"], ["concealed", frames.concealed, "warn"],
    ["of which nothing came", frames.lost, "bad"]]);
  rows("packets", [
    ...Object.entries(FATES).filter(([fate]) => ALWAYS.includes(fate) || stats.packets[fate])
      .map(([fate, [words, kind]]) => [words, stats.packets[fate], kind]),
    ...Object.entries(stats.host).map(([kind, number]) => [`${kind} of this host`, number, "warn"]),
  ]);
  const { snr_db: snr, cfo } = stats.link;
  at("link").toggleAttribute("hidden", !known(snr) && !stats.constellation.length);
  say("snr", known(snr) ? `${snr.toFixed(1)} dB` : "–");
  say("cfo", known(cfo) ? `${(1e6 * cfo).toFixed(1)} ppm of the rate` : "–");
  drawCurve(stats);
  drawPoints(stats.constellation);
  document.title = `${known(now.per) ? `${percent(now.per)} lost` : at("signal").textContent} · ds2c2`;
  watchPictures(stats);
}

let streaming = false;

function watchPictures(stats) {
  const picture = at("picture");
  if (streaming || !stats.frame) return;
  streaming = true;
  picture.width = stats.stream.width;
  picture.height = stats.stream.height;
  picture.src = `stream.mjpg?early&${Date.now()}`;
  picture.hidden = false;
  at("none").hidden = true;
}

async function ask() {
  try {
    const answer = await fetch("stats.json", { cache: "no-store" });
    if (answer.ok) show(await answer.json());
  } catch {
    at("signal").className = "pill bad";
    say("signal", "the receiver is gone");
    streaming = false; // it is asked for pictures anew once it is back
  }
  setTimeout(ask, EVERY);
}

at("picture").addEventListener("error", () => { streaming = false; });
at("curve").addEventListener("pointermove", readCurve);
at("curve").addEventListener("pointerleave", () => say("readout", ""));
ask();
