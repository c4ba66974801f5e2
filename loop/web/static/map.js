// The map of the embedding space: points by WebGL2, a lasso, a picture under the pointer.
// Without WebGL2 the drawing of the server stays.
"use strict";
(() => {
  const NAMES = ["production", "training", "judging", "queued", "errors"]; // in the order of their bits
  const NEAR = 14; // px within which a point is under the pointer
  const CELLS = 256; // of the index, a side
  const STEPS = 65535;
  const SIDE = 1000; // of an area in an address
  const MOST_CORNERS = 40;
  const LABELS = 14;

  const VERTEX = `#version 300 es
    in vec2 place; in uint layer; in uint kind;
    uniform vec3 view; uniform vec2 fit; uniform float size; uniform int shown; uniform int only; uniform vec3 colors[5];
    out vec3 color; out vec3 rim; out float solid; out float ring;
    void main() {
      int seenIn = int(layer) & shown, top = -1;
      for (int i = 0; i < 4; i++) if ((seenIn & (1 << i)) != 0) top = i;
      bool wrong = (seenIn & 16) != 0;
      ring = wrong ? 1.0 : 0.0; rim = colors[4];
      bool alone = wrong && top < 0;
      if (alone) top = 4;
      bool seen = top >= 0 && (only < 0 || only == int(kind));
      vec2 at = (place - view.xy) * view.z * 2.0 * fit;
      gl_Position = seen ? vec4(at.x, -at.y, 0.0, 1.0) : vec4(2.0, 2.0, 2.0, 1.0);
      gl_PointSize = top == 3 ? size * 1.5 : wrong ? size * 1.25 : size;
      color = colors[max(top, 0)]; solid = alone ? 0.0 : top == 3 ? 0.95 : 0.7;
    }`;
  const FRAGMENT = `#version 300 es
    precision mediump float;
    in vec3 color; in vec3 rim; in float solid; in float ring; out vec4 drawn;
    void main() {
      float far = length(gl_PointCoord - 0.5);
      if (far > 0.5) discard;
      bool edge = ring > 0.5 && far > 0.32;
      float strength = edge ? 0.95 : solid;
      drawn = vec4((edge ? rim : color) * strength, strength);
    }`;

  const root = document.getElementById("map");
  if (!root) return;
  const field = root.querySelector(".map-field");
  const drawing = root.querySelector(".map-drawn");
  const found = root.querySelector(".map-found");
  const boxes = [...document.querySelectorAll("[data-layer]")];
  const classes = document.querySelector("[data-classes-shown]");
  const view = { x: 0.5, y: 0.5, zoom: 0.95 };
  let mode = "move", lasso = null, kept = null, points = null, waiting = false;

  const canvas = document.createElement("canvas");
  const gl = canvas.getContext("webgl2", { antialias: false, premultipliedAlpha: true });
  if (!gl) {
    root.querySelector(".map-note").append(" This browser has no WebGL2, so the drawing stays as the server made it.");
    return;
  }
  const paper = document.createElement("canvas");
  const pen = paper.getContext("2d");
  const labels = document.createElement("div");
  labels.className = "map-labels";
  const tip = document.createElement("div");
  tip.className = "map-tip";
  tip.hidden = true;
  const picture = document.createElement("img");
  picture.alt = "";
  const caption = tip.appendChild(document.createElement("span"));

  function parsed(buffer) {
    const n = buffer.byteLength / 10;
    return {
      n,
      seq: new Uint32Array(buffer, 0, n),
      x: new Uint16Array(buffer, 4 * n, n),
      y: new Uint16Array(buffer, 6 * n, n),
      layer: new Uint8Array(buffer, 8 * n, n),
      kind: new Uint8Array(buffer, 9 * n, n),
    };
  }

  // Points in the order of their topmost layer, so that what matters lies on top.
  function ordered(found) {
    const top = found.layer.map((bits) => 32 - Math.clz32(bits));
    const start = new Uint32Array(NAMES.length + 2);
    for (const each of top) start[each + 1]++;
    for (let i = 1; i < start.length; i++) start[i] += start[i - 1];
    const rows = new Uint32Array(found.n);
    for (let i = 0; i < found.n; i++) rows[start[top[i]]++] = i;
    const take = (column) => column.map((_, place) => column[rows[place]]);
    return {
      n: found.n, seq: take(found.seq), x: take(found.x), y: take(found.y), layer: take(found.layer), kind: take(found.kind),
    };
  }

  // Rows of each cell one after another, by counting.
  function indexed(found) {
    const start = new Uint32Array(CELLS * CELLS + 1);
    const cell = (i) => ((found.y[i] * CELLS) >> 16) * CELLS + ((found.x[i] * CELLS) >> 16);
    for (let i = 0; i < found.n; i++) start[cell(i) + 1]++;
    for (let i = 1; i < start.length; i++) start[i] += start[i - 1];
    const next = start.slice(), rows = new Uint32Array(found.n);
    for (let i = 0; i < found.n; i++) rows[next[cell(i)]++] = i;
    return { start, rows };
  }

  function shownBits() {
    return boxes.reduce((bits, box) => bits | (box.checked ? Number(box.dataset.bit) : 0), 0);
  }

  function isShown(i, bits, only) {
    return (points.layer[i] & bits) !== 0 && (only < 0 || points.kind[i] === only);
  }

  function onlyClass() {
    const value = classes.querySelector("select").value;
    return value === "" ? -1 : Number(value);
  }

  function colors() {
    return NAMES.flatMap((name) => {
      const dot = document.querySelector(`.dot .${name}`);
      const said = getComputedStyle(dot).color.match(/[\d.]+/g).slice(0, 3);
      return said.map((value) => Number(value) / 255);
    });
  }

  function compiled(kind, text) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    return shader;
  }

  const program = gl.createProgram();
  gl.attachShader(program, compiled(gl.VERTEX_SHADER, VERTEX));
  gl.attachShader(program, compiled(gl.FRAGMENT_SHADER, FRAGMENT));
  gl.linkProgram(program);
  const uniform = Object.fromEntries(
    ["view", "fit", "size", "shown", "only", "colors"].map((name) => [name, gl.getUniformLocation(program, name)]),
  );

  function attribute(name, data, size, kind, whole) {
    const place = gl.getAttribLocation(program, name);
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
    gl.enableVertexAttribArray(place);
    if (whole) gl.vertexAttribIPointer(place, size, kind, 0, 0);
    else gl.vertexAttribPointer(place, size, kind, true, 0, 0);
  }

  function uploaded() {
    const place = new Uint16Array(2 * points.n);
    for (let i = 0; i < points.n; i++) { place[2 * i] = points.x[i]; place[2 * i + 1] = points.y[i]; }
    gl.useProgram(program);
    attribute("place", place, 2, gl.UNSIGNED_SHORT, false);
    attribute("layer", points.layer, 1, gl.UNSIGNED_BYTE, true);
    attribute("kind", points.kind, 1, gl.UNSIGNED_BYTE, true);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }

  // px of the field <-> 0..1 of the map; the shorter side of the field shows it whole.
  const side = () => Math.min(field.clientWidth, field.clientHeight);
  const toScreen = (x, y) => [
    (x - view.x) * view.zoom * side() + field.clientWidth / 2, (y - view.y) * view.zoom * side() + field.clientHeight / 2,
  ];
  const toMap = (px, py) => [
    (px - field.clientWidth / 2) / (view.zoom * side()) + view.x, (py - field.clientHeight / 2) / (view.zoom * side()) + view.y,
  ];

  function draw() {
    waiting = false;
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const width = Math.round(field.clientWidth * ratio), height = Math.round(field.clientHeight * ratio);
    for (const each of [canvas, paper]) if (each.width !== width || each.height !== height) { each.width = width; each.height = height; }
    const smaller = Math.min(width, height);
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    const size = Math.min(9, Math.max(2, 900 / Math.sqrt(points.n + 1)) * Math.sqrt(view.zoom)) * ratio;
    gl.uniform3f(uniform.view, view.x, view.y, view.zoom);
    gl.uniform2f(uniform.fit, smaller / width, smaller / height);
    gl.uniform1f(uniform.size, size);
    gl.uniform1i(uniform.shown, shownBits());
    gl.uniform1i(uniform.only, onlyClass());
    gl.uniform3fv(uniform.colors, colors());
    gl.drawArrays(gl.POINTS, 0, points.n);
    drawLasso(ratio);
    placeLabels();
  }

  function ask() {
    if (points && !waiting) { waiting = true; requestAnimationFrame(draw); }
  }

  function drawLasso(ratio) {
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, field.clientWidth, field.clientHeight);
    const corners = lasso || kept;
    if (!corners || corners.length < 2) return;
    pen.beginPath();
    corners.forEach(([x, y]) => pen.lineTo(...toScreen(x, y)));
    pen.closePath();
    const style = getComputedStyle(root);
    pen.strokeStyle = style.getPropertyValue("--focus");
    pen.fillStyle = style.getPropertyValue("--range");
    pen.globalAlpha = 0.2;
    pen.fill();
    pen.globalAlpha = 1;
    pen.lineWidth = 2;
    pen.stroke();
  }

  const named = [...document.querySelectorAll("[data-x]")].slice(0, LABELS).map((item) => {
    const link = labels.appendChild(document.createElement("a"));
    link.href = `#${item.id}`;
    link.textContent = item.dataset.name;
    link.addEventListener("click", () => {
      const form = item.querySelector("details");
      form.open = true;
      form.querySelector("input[name=name]").focus();
    });
    for (const [event, raised] of [["pointerenter", true], ["pointerleave", false]]) {
      item.addEventListener(event, () => link.classList.toggle("raised", raised));
    }
    return { link, x: Number(item.dataset.x), y: Number(item.dataset.y) };
  });

  const apart = (a, b) => a.left >= b.right || b.left >= a.right || a.top >= b.bottom || b.top >= a.bottom;

  // The largest region first, at its middle or beside it; where no place is free a dot is left, with its name on hover.
  function placeLabels() {
    const taken = [];
    for (const label of named) {
      label.link.classList.remove("dropped");
      label.wide ||= label.link.offsetWidth + 6;
      label.high ||= label.link.offsetHeight + 4;
      const { link, wide, high } = label, [x, y] = toScreen(label.x, label.y);
      const beside = [[0, 0], [0, -high], [0, high], [-wide / 2, 0], [wide / 2, 0], [-wide / 2, -high], [wide / 2, high]];
      const places = beside.map(([dx, dy]) => ({
        left: x + dx - wide / 2, right: x + dx + wide / 2, top: y + dy - high / 2, bottom: y + dy + high / 2,
      }));
      const free = places.find((place) => place.left >= 0 && place.top >= 0 && place.right <= field.clientWidth
        && place.bottom <= field.clientHeight && taken.every((other) => apart(place, other)));
      if (free) taken.push(free);
      link.classList.toggle("dropped", !free);
      link.style.left = `${free ? (free.left + free.right) / 2 : x}px`;
      link.style.top = `${free ? (free.top + free.bottom) / 2 : y}px`;
    }
  }

  function nearest(px, py) {
    const [x, y] = toMap(px, py), reach = NEAR / (view.zoom * side());
    const bits = shownBits(), only = onlyClass();
    const low = (value) => Math.max(0, Math.floor((value - reach) * CELLS));
    const high = (value) => Math.min(CELLS - 1, Math.floor((value + reach) * CELLS));
    let best = -1, least = reach * reach;
    for (let row = low(y); row <= high(y); row++) {
      for (let column = low(x); column <= high(x); column++) {
        const cell = row * CELLS + column;
        for (let place = index.start[cell]; place < index.start[cell + 1]; place++) {
          const i = index.rows[place];
          const dx = points.x[i] / STEPS - x, dy = points.y[i] / STEPS - y, far = dx * dx + dy * dy;
          if (far <= least && isShown(i, bits, only)) { least = far; best = i; }
        }
      }
    }
    return best;
  }

  let index = null, under = -1;

  // Asked for once the picture is there, which comes first.
  function describe(seq, address) {
    fetch(address).then((answer) => (answer.ok ? answer.json() : null)).then((frame) => {
      if (frame && tip.dataset.seq === String(seq)) caption.textContent = `${frame.camera} · ${frame.when} · ${frame.file}`;
    }).catch(() => {});
  }

  function hover(px, py) {
    const i = nearest(px, py);
    if (i !== under) {
      under = i;
      if (i < 0) { tip.hidden = true; delete tip.dataset.seq; return; }
      const seq = points.seq[i], address = root.dataset.frames + seq;
      tip.hidden = false;
      tip.dataset.seq = seq;
      picture.src = `${address}.webp`;
      if (!picture.isConnected) tip.prepend(picture);
      caption.textContent = `frame ${seq}`;
      picture.onload = picture.onerror = () => { if (tip.dataset.seq === String(seq)) describe(seq, address); };
    }
    if (under >= 0) {
      const right = px > field.clientWidth - 280, below = py > field.clientHeight - 230;
      tip.style.left = `${right ? Math.max(0, px - 272) : px + 14}px`;
      tip.style.top = `${below ? Math.max(0, py - 220) : py + 14}px`;
    }
  }

  // Even-odd rule; the corners of the lasso are few.
  function insideOf(corners, x, y) {
    let odd = false;
    for (let i = 0, j = corners.length - 1; i < corners.length; j = i++) {
      const [ax, ay] = corners[i], [bx, by] = corners[j];
      if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) odd = !odd;
    }
    return odd;
  }

  // Ramer (1972), Douglas and Peucker (1973), with a tolerance that grows until few corners are left.
  function simplified(path) {
    const thin = (from, to, tolerance) => {
      let worst = 0, place = 0;
      const [ax, ay] = path[from], [bx, by] = path[to], long = Math.hypot(bx - ax, by - ay) || 1e-9;
      for (let i = from + 1; i < to; i++) {
        const off = Math.abs((bx - ax) * (ay - path[i][1]) - (ax - path[i][0]) * (by - ay)) / long;
        if (off > worst) { worst = off; place = i; }
      }
      return worst <= tolerance ? [path[from]] : [...thin(from, place, tolerance), ...thin(place, to, tolerance)];
    };
    const off = path.map(([x, y]) => Math.hypot(x - path[0][0], y - path[0][1]));
    const farthest = off.indexOf(Math.max(...off)), last = path.length - 1;
    for (let tolerance = 0.002; ; tolerance *= 1.6) {
      const corners = [...thin(0, farthest, tolerance), ...thin(farthest, last, tolerance), path[last]];
      if (corners.length <= MOST_CORNERS) return corners;
    }
  }

  function rounded(corners) {
    const step = (value) => Math.min(SIDE, Math.max(0, Math.round(value * SIDE)));
    return corners.map(([x, y]) => [step(x) / SIDE, step(y) / SIDE]);
  }

  // As the server counts: a corner on the far edge stands behind what lies on it.
  const behindEdge = (value) => (value >= 1 ? 1 + 1 / SIDE : value);

  function keep(corners) {
    kept = rounded(corners);
    const drawn = kept.map((corner) => corner.map(behindEdge));
    let count = 0;
    for (let i = 0; i < points.n; i++) if (insideOf(drawn, points.x[i] / STEPS, points.y[i] / STEPS)) count++;
    const area = kept.map(([x, y]) => `${Math.round(x * SIDE)}-${Math.round(y * SIDE)}`).join("_");
    found.replaceChildren();
    const link = document.createElement("a");
    link.className = "button";
    link.href = `/frames?in=${area}.${root.dataset.stamp}`;
    link.textContent = count === 1 ? "Look at 1 frame" : `Look at ${count} frames`;
    if (count) found.append(link, " in this part of the map as it is now. A collection of them keeps them when the map is made anew.");
    else found.append("No frame lies in the lasso.");
    ask();
  }

  function setMode(name) {
    mode = name;
    field.classList.toggle("lasso", mode === "lasso");
    for (const each of root.querySelectorAll("[data-mode]")) each.setAttribute("aria-pressed", String(each.dataset.mode === mode));
  }

  function zoom(factor, px = field.clientWidth / 2, py = field.clientHeight / 2) {
    if (!factor) Object.assign(view, { x: 0.5, y: 0.5, zoom: 0.95 });
    else {
      const [x, y] = toMap(px, py);
      view.zoom = Math.min(200, Math.max(0.5, view.zoom * factor));
      const [nx, ny] = toMap(px, py);
      view.x += x - nx;
      view.y += y - ny;
    }
    ask();
  }

  function listen() {
    const at = (event) => { const box = field.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
    let from = null, moved = 0;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      from = at(event);
      moved = 0;
      if (mode === "lasso" || event.shiftKey) lasso = [toMap(...from)];
    });
    canvas.addEventListener("pointermove", (event) => {
      const [px, py] = at(event);
      if (!from) return hover(px, py);
      moved += Math.abs(event.movementX) + Math.abs(event.movementY);
      if (lasso) lasso.push(toMap(px, py));
      else {
        view.x -= (px - from[0]) / (view.zoom * side());
        view.y -= (py - from[1]) / (view.zoom * side());
        from = [px, py];
      }
      tip.hidden = true;
      ask();
    });
    canvas.addEventListener("pointerup", (event) => {
      const path = lasso, [px, py] = at(event);
      from = lasso = null;
      if (path && path.length > 2) keep(simplified(path));
      else if (moved < 5) {
        const i = nearest(px, py);
        if (i >= 0) location.href = `/frames/${points.seq[i]}`;
      }
      ask();
    });
    canvas.addEventListener("pointercancel", () => { from = lasso = null; ask(); });
    canvas.addEventListener("pointerleave", () => { tip.hidden = true; under = -1; });
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      zoom(Math.exp(-event.deltaY * 0.0015), ...at(event));
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (steps) { view.x += (0.1 * steps[0]) / view.zoom; view.y += (0.1 * steps[1]) / view.zoom; ask(); }
      else if (event.key === "+") zoom(1.5);
      else if (event.key === "-") zoom(0.667);
      else if (event.key === "0") zoom(0);
      else if (event.key === "Escape") { lasso = kept = null; found.replaceChildren(); ask(); }
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    for (const box of boxes) { box.hidden = false; box.addEventListener("change", ask); }
    classes.hidden = false;
    classes.querySelector("select").addEventListener("change", ask);
    for (const button of root.querySelectorAll("[data-mode]")) button.addEventListener("click", () => setMode(button.dataset.mode));
    for (const button of root.querySelectorAll("[data-zoom]")) button.addEventListener("click", () => zoom(Number(button.dataset.zoom)));
    new ResizeObserver(ask).observe(field);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", ask);
  }

  fetch(root.dataset.points, { cache: "no-cache" }).then((answer) => {
    if (!answer.ok) throw new Error(answer.statusText);
    return answer.arrayBuffer();
  }).then((buffer) => {
    points = ordered(parsed(buffer));
    index = indexed(points);
    uploaded();
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-label", `Map of ${points.n} frames. Arrows move it, plus and minus zoom. The regions are listed beside it.`);
    drawing.remove();
    field.append(canvas, paper, labels, tip);
    paper.className = "map-paper";
    root.querySelector(".map-tools").hidden = false;
    root.querySelector(".map-note").textContent = "Drag to move, wheel to zoom, shift and drag for a lasso. A point leads to its frame.";
    listen();
    const corners = root.dataset.area.split(".")[0].split("_").map((corner) => corner.split("-").map((value) => Number(value) / SIDE));
    if (corners.length > 2 && corners.every((corner) => corner.length === 2 && corner.every(Number.isFinite))) keep(corners);
    root.dataset.ready = String(points.n);
    ask();
  }).catch((error) => root.querySelector(".map-note").append(` The points could not be loaded: ${error.message}.`));
})();
