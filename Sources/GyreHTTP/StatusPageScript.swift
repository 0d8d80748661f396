/// The script of the status page, in two parts: what it asks and says, and what it draws.
enum StatusPageScript {
    static let state = #"""

        "use strict";
        const $ = (id) => document.getElementById(id);
        const palette = ["#2f6fed", "#e8862a", "#1f9d61", "#b0479b", "#d2463f", "#0e9aa7", "#8a6d1d", "#6657d9", "#5b7a2c", "#c25e86"];
        const view = { nodes: [], colours: new Map(), primaries: [], ringHash: null, seconds: [], lastAnswer: 0, repair: null };

        async function ask(path, options) {
          const stop = new AbortController();
          const timer = setTimeout(() => stop.abort(), 4000);
          try {
            const response = await fetch(path, { ...options, signal: stop.signal, cache: "no-store" });
            const document = await response.json();
            return { ok: response.ok, document };
          } finally { clearTimeout(timer); }
        }
        function add(parent, name, text, kind) {
          const element = document.createElement(name);
          if (text !== undefined) element.textContent = text;
          if (kind) element.className = kind;
          parent.appendChild(element);
          return element;
        }
        const count = (n) => n === null || n === undefined ? "–" : n.toLocaleString("en");
        function bytes(n) {
          if (n === null || n === undefined) return "–";
          const units = ["B", "KiB", "MiB", "GiB", "TiB"];
          let unit = 0;
          while (n >= 1024 && unit < units.length - 1) { n /= 1024; unit += 1; }
          return (unit === 0 ? n : n.toFixed(n < 100 ? 1 : 0)) + "\u00a0" + units[unit];
        }
        function time(us) {
          if (!us) return "–";
          if (us < 1000) return us + " µs";
          if (us < 1e6) return (us / 1000).toFixed(us < 10000 ? 1 : 0) + " ms";
          return (us / 1e6).toFixed(1) + " s";
        }
        function colour(name) {
          if (!view.colours.has(name)) view.colours.set(name, palette[view.colours.size % palette.length]);
          return view.colours.get(name);
        }
        function say(kind, text) {
          $("verdict").className = "verdict " + kind;
          $("verdict").textContent = text;
        }

        async function pollStatus() {
          try {
            const { ok, document: status } = await ask("/v1/status");
            if (!ok) {
              say("bad", "this node cannot tell: " + (status.message || "no answer"));
              return;
            }
            view.lastAnswer = Date.now();
            view.nodes = status.nodes.filter((node) => node.state !== "removed");
            for (const node of view.nodes) colour(node.name);
            $("cluster").textContent = "cluster " + status.cluster;
            document.title = (status.healthy ? "● " : "▲ ") + "Gyre · " + status.cluster;
            const wrong = status.problems.length;
            say(status.healthy ? "good" : "bad", status.healthy ? "healthy" : wrong === 1 ? "1 problem" : wrong + " problems");
            const list = $("problems");
            list.replaceChildren();
            for (const problem of status.problems) add(list, "li", problem);
            list.hidden = wrong === 0;
            showNodes();
            showHints();
            const hash = status.ring ? status.ring.hash : null;
            if (hash !== view.ringHash || view.primaries.length === 0) await pollRing(hash, status.ring);
            drawRing(status.ring);
          } catch (error) {
            say("bad", "this node does not answer");
          } finally { setTimeout(pollStatus, 1500); }
        }
        async function pollRing(hash) {
          const { ok, document: ring } = await ask("/v1/ring?primaries=true");
          if (!ok) return;
          view.primaries = ring.primaries;
          view.ringHash = hash;
        }
        async function pollStats() {
          try {
            const { ok, document: stats } = await ask("/stats?seconds=120");
            if (ok) {
              view.seconds = stats.seconds;
              drawCharts();
              showFacts();
            }
          } catch (error) { /* the verdict says that the node does not answer */ }
          setTimeout(pollStats, 1000);
        }
        function showNodes() {
          const list = $("nodes");
          list.replaceChildren();
          const kinds = { normal: "good", down: "bad", joining: "wait", leaving: "wait" };
          for (const node of view.nodes) {
            const silent = node.keys === null && node.state !== "down";
            const row = add(list, "div", undefined, "node " + node.state);
            row.dataset.name = node.name;
            row.dataset.state = silent ? "silent" : node.state;
            row.style.setProperty("--owner", colour(node.name));
            const who = add(row, "div", undefined, "who");
            add(who, "b", node.name);
            add(who, "span", node.address + (node.zone ? " · zone " + node.zone : ""), "address");
            const badge = add(row, "div", undefined, "badge");
            add(badge, "span", silent ? "does not answer" : node.state, "state " + (silent ? "bad" : kinds[node.state] || "wait"));
            figure(row, (node.share * 100).toFixed(1) + " %", "of the ring");
            figure(row, count(node.keys), "keys");
            figure(row, bytes(node.disk_bytes), "disk");
            figure(row, load(node), "requests/s");
          }
        }
        function figure(row, text, label) {
          const cell = add(row, "div", text, "figure");
          add(cell, "small", label);
        }
        const earlier = new Map();
        function load(node) {
          if (!node.counters) return "–";
          const sum = node.counters.reads_answered + node.counters.writes_stored + node.counters.writes_unknown;
          const now = performance.now();
          const before = earlier.get(node.node);
          earlier.set(node.node, { sum, now });
          if (!before || sum < before.sum || now - before.now < 200) return before && before.text || "–";
          const text = count(Math.round((sum - before.sum) * 1000 / (now - before.now)));
          earlier.get(node.node).text = text;
          return text;
        }
        function showHints() {
          const place = $("hints");
          place.replaceChildren();
          const waiting = view.nodes.filter((node) => node.hints_pending > 0);
          if (waiting.length === 0) {
            add(place, "p", "none: every node has what was written", "quiet");
            return;
          }
          const table = add(place, "table");
          const head = add(table, "tr");
          for (const text of ["for", "hints", "bytes", "lag"]) add(head, "th", text);
          for (const node of waiting) {
            const row = add(table, "tr");
            for (const text of [node.name, count(node.hints_pending), bytes(node.hint_bytes), node.lag_s + " s"]) {
              add(row, "td", text);
            }
          }
        }
        function showFacts() {
          const last = view.seconds[view.seconds.length - 1];
          if (!last) return;
          const list = $("facts");
          list.replaceChildren();
          const facts = [
            ["connections", count(last.connections)], ["memory", bytes(last.resident_bytes)],
            ["loop delay", time(last.loop_delay_us)], ["values being put", bytes(last.request_bytes)],
            ["received", bytes(last.received_bytes)], ["sent", bytes(last.sent_bytes)],
          ];
          for (const node of view.nodes) if (node.transfers > 0) facts.push(["transfers of " + node.name, count(node.transfers)]);
          for (const [name, text] of facts) {
            add(list, "dt", name);
            add(list, "dd", text);
          }
        }
        $("repair-start").onclick = async () => {
          $("repair-start").disabled = true;
          try {
            const { ok, document: repair } = await ask("/v1/repair", { method: "POST" });
            view.repair = repair;
            showRepair(ok ? null : repair.message);
            if (ok) return followRepair(repair.id);
          } catch (error) { showRepair("this node does not answer"); }
          $("repair-start").disabled = false;
        };
        async function followRepair(id) {
          try {
            const { ok, document: repair } = await ask("/v1/repair/" + id);
            if (ok) view.repair = repair;
            showRepair(ok ? null : repair.message);
            if (ok && repair.state === "running") return setTimeout(() => followRepair(id), 1000);
          } catch (error) { showRepair("this node does not answer"); }
          $("repair-start").disabled = false;
        }
        function showRepair(problem) {
          const place = $("repair");
          place.replaceChildren();
          if (problem) return void add(place, "p", problem);
          const repair = view.repair;
          if (!repair) return void add(place, "p", "runs by itself; started here, its progress is shown", "quiet");
          const done = repair.partitions_compared + repair.partitions_failed;
          add(place, "p", repair.state + ": " + count(done) + " of " + count(repair.partitions_planned) + " comparisons, "
            + count(repair.keys_differing) + " keys differed, " + count(repair.keys_repaired) + " repaired");
          const bar = add(add(place, "div", undefined, "bar"), "div");
          bar.style.width = (repair.partitions_planned ? 100 * done / repair.partitions_planned : 100) + "%";
          for (const error of repair.errors) add(place, "p", error);
        }

        """#

    static let drawing = #"""

        function drawRing(ring) {
          const svg = $("ring");
          const total = view.primaries.length;
          const key = view.ringHash + view.nodes.map((node) => node.name + node.state).join();
          if (svg.dataset.key === key || total === 0) return;
          svg.dataset.key = key;
          svg.replaceChildren();
          const down = new Set(view.nodes.filter((node) => node.state === "down").map((node) => node.name));
          const shape = (name, attributes, text) => {
            const element = document.createElementNS("http://www.w3.org/2000/svg", name);
            for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
            if (text !== undefined) element.textContent = text;
            svg.appendChild(element);
            return element;
          };
          const point = (radius, turn) => {
            const angle = 2 * Math.PI * turn - Math.PI / 2;
            return (radius * Math.cos(angle)).toFixed(3) + " " + (radius * Math.sin(angle)).toFixed(3);
          };
          let start = 0;
          for (let index = 1; index <= total; index += 1) {
            if (index < total && view.primaries[index] === view.primaries[start]) continue;
            const name = view.primaries[start];
            const from = start / total, to = Math.min(index / total, start / total + 0.99999);
            const wide = to - from > 0.5 ? 1 : 0;
            const path = shape("path", {
              d: "M" + point(100, from) + " A100 100 0 " + wide + " 1 " + point(100, to) + " L" + point(68, to)
                + " A68 68 0 " + wide + " 0 " + point(68, from) + " Z",
              fill: colour(name), "fill-opacity": down.has(name) ? 0.25 : 1,
            });
            const last = index - 1;
            const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
            title.textContent = (last === start ? "partition " + start : "partitions " + start + " to " + last) + ": " + name
              + (down.has(name) ? " (down)" : "");
            path.appendChild(title);
            start = index;
          }
          shape("text", { class: "middle", y: 0 }, total + " partitions");
          if (ring) shape("text", { class: "under", y: 15 }, ring.replicas + " replicas of every key");
          if (ring && !ring.agreed) shape("text", { class: "under", y: 28 }, "nodes disagree");
          const legend = $("legend");
          legend.replaceChildren();
          for (const node of view.nodes) {
            const item = add(legend, "li");
            add(item, "span", undefined, "swatch").style.background = colour(node.name);
            item.append(node.name + (down.has(node.name) ? " (down)" : ""));
          }
        }
        const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
        function prepare(canvas) {
          const scale = window.devicePixelRatio || 1;
          const width = canvas.clientWidth, height = canvas.clientHeight;
          if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
          if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
          const pen = canvas.getContext("2d");
          pen.setTransform(scale, 0, 0, scale, 0, 0);
          pen.clearRect(0, 0, width, height);
          pen.font = "11px system-ui, sans-serif";
          return { pen, width, height };
        }
        const left = 52, shown = 120;
        function chart(id, lines, marks, place, label) {
          const { pen, width, height } = prepare($(id));
          pen.strokeStyle = style("--grid");
          pen.fillStyle = style("--quiet");
          pen.textAlign = "right";
          pen.textBaseline = "middle";
          pen.lineWidth = 1;
          for (const mark of marks) {
            const y = Math.round(place(mark, height)) + 0.5;
            pen.beginPath();
            pen.moveTo(left, y);
            pen.lineTo(width, y);
            pen.stroke();
            pen.fillText(label(mark), left - 6, y);
          }
          const x = (index, length) => left + (width - left - 3) * (shown - length + index) / (shown - 1);
          for (const { values, name } of lines) {
            pen.strokeStyle = style(name);
            pen.fillStyle = style(name);
            pen.lineWidth = 1.7;
            pen.lineJoin = "round";
            pen.beginPath();
            let isDown = false;
            values.forEach((value, index) => {
              if (value === null) { isDown = false; return; }
              const at = [x(index, values.length), place(value, height)];
              if (isDown) pen.lineTo(...at); else pen.moveTo(...at);
              isDown = true;
            });
            pen.stroke();
            const last = values[values.length - 1];
            if (last !== null && last !== undefined) {
              pen.beginPath();
              pen.arc(x(values.length - 1, values.length), place(last, height), 2.5, 0, 7);
              pen.fill();
            }
          }
        }
        function numbers(id, items) {
          const place = $(id);
          place.replaceChildren();
          for (const [name, text, kind] of items) {
            const item = add(place, "span");
            add(item, "span", undefined, "swatch").style.background = "var(" + kind + ")";
            item.append(name + " ");
            add(item, "i", text);
          }
        }
        function drawCharts() {
          const seconds = view.seconds;
          if (seconds.length === 0) return;
          const of = (name) => seconds.map((second) => second.operations[name].count);
          const puts = seconds.map((second) => second.operations.put.count + second.operations.delete.count);
          const gets = of("get");
          const bad = seconds.map((second) => ["put", "get", "delete"].reduce(
            (sum, name) => sum + second.operations[name].count - second.operations[name].good, 0));
          const most = Math.max(10, ...puts, ...gets, ...bad);
          const step = niceStep(most / 3);
          const top = Math.ceil(most / step) * step;
          const marks = [];
          for (let mark = 0; mark <= top; mark += step) marks.push(mark);
          const linear = (value, height) => height - 8 - (height - 18) * value / top;
          const lines = [{ values: puts, name: "--put" }, { values: gets, name: "--get" }];
          if (bad.some((value) => value > 0)) lines.push({ values: bad, name: "--bad" });
          chart("rate", lines, marks, linear, (mark) => count(mark));
          const end = seconds.length - 1;
          numbers("rate-numbers", [
            ["writes", count(puts[end]), "--put"], ["reads", count(gets[end]), "--get"], ["failed", count(bad[end]), "--bad"],
          ]);
          drawLatency(seconds);
        }
        function niceStep(least) {
          const power = Math.pow(10, Math.floor(Math.log10(least)));
          for (const factor of [1, 2, 5, 10]) if (factor * power >= least) return factor * power;
          return 10 * power;
        }
        function drawLatency(seconds) {
          const worst = (name) => seconds.map((second) => {
            const both = ["put", "get", "delete"].map((kind) => second.operations[kind]).filter((one) => one.count > 0);
            return both.length === 0 ? null : Math.max(1, ...both.map((one) => one[name]));
          });
          const lines = ["p50", "p90", "p99"].map((name) => ({ values: worst(name + "_us"), name: "--" + name }));
          const all = lines.flatMap((line) => line.values).filter((value) => value !== null);
          const low = Math.floor(Math.log10(Math.min(1000, ...all)));
          const high = Math.max(low + 2, Math.ceil(Math.log10(Math.max(1000, ...all) + 1)));
          const marks = [];
          for (let power = low; power <= high; power += 1) marks.push(Math.pow(10, power));
          const logarithmic = (value, height) =>
            height - 8 - (height - 18) * (Math.log10(Math.max(value, Math.pow(10, low))) - low) / (high - low);
          chart("latency", lines, marks, logarithmic, (mark) => mark < 1000 ? mark + " µs" : mark < 1e6 ? mark / 1000 + " ms"
            : mark / 1e6 + " s");
          const end = seconds.length - 1;
          numbers("latency-numbers", lines.map((line) => [line.name.slice(2), time(line.values[end]), line.name]));
        }
        setInterval(() => {
          const age = (Date.now() - view.lastAnswer) / 1000;
          $("freshness").textContent = view.lastAnswer === 0 ? "no answer yet"
            : age < 4 ? "live" : "last answer " + Math.round(age) + " s ago";
        }, 1000);
        window.addEventListener("resize", drawCharts);
        showRepair(null);
        pollStatus();
        pollStats();

        """#
}
