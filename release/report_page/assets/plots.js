"use strict";
// The map of layers and architectures, and explained variance against L0, drawn by Observable Plot.
// Names come from strangers' files: they reach Plot as data, and Plot makes text nodes of them.
(() => {
  const { quantities, saes } = JSON.parse(document.getElementById("plot-data").textContent);
  const section = document.getElementById("plots");
  const choice = document.getElementById("quantity");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const MARGIN = { left: 116, top: 6, bottom: 34, right: 4 };
  const ROW = 34;
  // Okabe & Ito 2008, as in the card's figures, the light ones darkened for a white ground; the
  // shape says the same as the colour.
  const SHAPES = ["circle", "square", "triangle", "diamond", "star", "cross"];
  const D3_SHAPES = [d3.symbolCircle, d3.symbolSquare, d3.symbolTriangle, d3.symbolDiamond, d3.symbolStar, d3.symbolCross];
  const COLOURS = {
    light: ["#0072b2", "#c45500", "#00805d", "#b0568a", "#8f6300", "#2b7fb8"],
    dark: ["#4fa8e0", "#ef7f33", "#27b88c", "#dd94bd", "#e69f00", "#7cc8f2"],
  };
  const architectures = [...new Set(saes.map((sae) => sae.architecture))];
  const layers = [...new Set(saes.map((sae) => sae.layer))].sort((a, b) => a - b);
  const groups = d3.group(saes, (sae) => sae.group);

  // One picture with one name: its parts have no role that a name could belong to.
  function unname(plot) {
    for (const part of plot.querySelectorAll("[aria-label], [aria-hidden], [aria-description]")) {
      if (part.hasAttribute("aria-label")) part.dataset.mark = part.getAttribute("aria-label");
      for (const name of ["aria-label", "aria-hidden", "aria-description"]) part.removeAttribute(name);
    }
  }

  function finish(plot) {
    plot.setAttribute("role", "img");
    plot.style.cursor = "pointer";
    unname(plot);
    // What follows the pointer is drawn anew.
    plot.addEventListener("input", () => unname(plot));
    plot.addEventListener("click", () => {
      if (plot.value) location.hash = encodeURIComponent(plot.value.anchor);
    });
    return plot;
  }

  function colours() {
    return dark.matches
      ? { range: ["#16324f", "#9ccbff"], empty: "#2b3440", inks: ["#0b1016", "#f2f6fa"] }
      : { range: ["#e3eefa", "#0b3f7c"], empty: "#e9edf1", inks: ["#14181d", "#ffffff"] };
  }

  function luminance(colour) {
    const { r, g, b } = d3.rgb(colour);
    const [x, y, z] = [r, g, b].map((v) => {
      const c = v / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  }

  function inkOn(colour, inks) {
    const own = luminance(colour);
    const contrast = (ink) => {
      const other = luminance(ink);
      return (Math.max(own, other) + 0.05) / (Math.min(own, other) + 0.05);
    };
    return contrast(inks[0]) >= contrast(inks[1]) ? inks[0] : inks[1];
  }

  function shortText(sae, name) {
    const value = sae[name];
    if (value === null || value === undefined) return "–";
    if (name === "path_difference") return d3.format(".0e")(value);
    if (name === "l0") return d3.format(value < 100 ? ".1f" : ".0f")(value);
    return d3.format(".2f")(value);
  }

  function drawMaps() {
    const name = choice?.value;
    const { range, empty, inks } = colours();
    const values = name ? saes.map((sae) => sae[name]).filter((v) => v !== null) : [];
    const [low, high] = values.length ? d3.extent(values) : [0, 1];
    const isLog = name === "path_difference" && low > 0;
    const domain = low === high ? [low - 1e-9, high + 1e-9] : [low, high];
    const scale = (isLog ? d3.scaleLog : d3.scaleLinear)(domain, [0, 1]);
    const ramp = d3.interpolateLab(...range);
    const fill = (sae) =>
      name && sae[name] !== null ? d3.color(ramp(scale(sae[name]))).formatHex() : empty;
    const container = document.getElementById("maps");
    container.replaceChildren();
    container.classList.toggle("several", groups.size > 1);
    // All places first: how wide one is depends on how many there are.
    const places = [...groups].map(([group, members]) => {
      const figure = document.createElement("figure");
      const caption = document.createElement("figcaption");
      const heading = document.createElement("h3");
      const isolated = document.createElement("bdi");
      isolated.textContent = group;
      heading.append(isolated);
      caption.append(heading);
      figure.append(caption);
      container.append(figure);
      return { group, members, figure };
    });
    for (const { group, members, figure } of places) {
      const width = Math.min(figure.clientWidth, MARGIN.left + MARGIN.right + layers.length * 92);
      const cell = (width - MARGIN.left - MARGIN.right) / layers.length;
      const fits = (sae) => shortText(sae, name).length * 6.6 < cell - 4;
      const text = members.filter((sae) => name && fits(sae));
      const label = quantities.find((each) => each.name === name)?.label ?? "SAEs";
      const plot = Plot.plot({
        width,
        height: MARGIN.top + MARGIN.bottom + ROW * architectures.length,
        marginLeft: MARGIN.left,
        marginRight: MARGIN.right,
        marginTop: MARGIN.top,
        marginBottom: MARGIN.bottom,
        style: { background: "transparent", fontSize: "12px", overflow: "visible" },
        ariaLabel: `${label} by layer and architecture, ${group}: the table has the numbers`,
        x: { domain: layers, label: "layer", tickSize: 0, padding: 0.06 },
        y: { domain: architectures, label: null, tickSize: 0, padding: 0.08 },
        marks: [
          Plot.cell(members, {
            x: "layer",
            y: "architecture",
            fill,
            stroke: (sae) => (name && sae[name] === null ? "currentColor" : "none"),
            strokeDasharray: "2 3",
            strokeOpacity: 0.5,
            rx: 3,
          }),
          Plot.text(text, {
            x: "layer",
            y: "architecture",
            text: (sae) => shortText(sae, name),
            fill: (sae) => inkOn(fill(sae), inks),
          }),
          Plot.tip(
            members,
            Plot.pointer({
              x: "layer",
              y: "architecture",
              title: (sae) =>
                `${sae.id}\n${name ? `${label}: ${sae[`${name}_text`]}` : "not measured"}`,
              fill: "var(--surface)",
              stroke: "var(--line-strong)",
              lineWidth: 40,
            }),
          ),
        ],
      });
      figure.append(finish(plot));
    }
    drawRamp(values.length ? { low, high, ramp, name } : null);
  }

  function drawRamp(found) {
    const place = document.getElementById("ramp");
    if (!place) return;
    place.replaceChildren();
    if (!found || found.low === found.high) return;
    const write = (value) => shortText({ [found.name]: value }, found.name);
    const svg = d3.create("svg").attr("width", 120).attr("height", 10).attr("aria-hidden", "true");
    svg
      .selectAll("rect")
      .data(d3.range(24))
      .join("rect")
      .attr("x", (i) => i * 5)
      .attr("width", 5.5)
      .attr("height", 10)
      .attr("fill", (i) => found.ramp(i / 23));
    place.append(write(found.low), svg.node(), write(found.high));
  }

  function drawScatter() {
    const figure = document.getElementById("scatter");
    const points = saes.filter((sae) => sae.explained_variance !== null && sae.l0 !== null);
    for (const former of figure.querySelectorAll("figure, svg, .legend")) former.remove();
    figure.hidden = points.length === 0;
    if (!points.length) return;
    const shown = architectures.filter((name) => points.some((p) => p.architecture === name));
    const [low, high] = d3.extent(points, (sae) => sae.l0);
    const range = dark.matches ? COLOURS.dark : COLOURS.light;
    const plot = Plot.plot({
      width: Math.min(figure.clientWidth, 760),
      height: 340,
      marginLeft: 48,
      marginTop: 30,
      marginBottom: 40,
      inset: 8,
      marginRight: 16,
      style: { background: "transparent", fontSize: "12px", overflow: "visible" },
      ariaLabel: "Explained variance against L0: the table has the numbers",
      x: { label: "L0, latents per vector", type: low > 0 && high > 8 * low ? "log" : "linear", nice: true, grid: true, ticks: 6, tickFormat: "~f" },
      y: { label: "explained variance", nice: true, grid: true },
      color: { domain: shown, range },
      symbol: { domain: shown, range: SHAPES },
      marks: [
        Plot.dot(points, {
          x: "l0",
          y: "explained_variance",
          stroke: "architecture",
          fill: "architecture",
          fillOpacity: 0.35,
          symbol: "architecture",
          r: 5,
          strokeWidth: 1.5,
        }),
        Plot.tip(
          points,
          Plot.pointer({
            x: "l0",
            y: "explained_variance",
            title: (sae) =>
              `${sae.id}\nexplained variance ${sae.explained_variance_text}, L0 ${sae.l0_text}`,
            fill: "var(--surface)",
            stroke: "var(--line-strong)",
            lineWidth: 40,
          }),
        ),
      ],
    });
    figure.append(legendOf(shown, range), finish(plot));
  }

  function legendOf(names, range) {
    const list = document.createElement("ul");
    list.className = "legend";
    names.forEach((name, index) => {
      const item = document.createElement("li");
      const svg = d3
        .create("svg")
        .attr("width", 14)
        .attr("height", 14)
        .attr("viewBox", "-7 -7 14 14")
        .attr("aria-hidden", "true");
      svg
        .append("path")
        .attr("d", d3.symbol(D3_SHAPES[index % D3_SHAPES.length], 40)())
        .attr("fill", range[index % range.length])
        .attr("fill-opacity", 0.35)
        .attr("stroke", range[index % range.length])
        .attr("stroke-width", 1.5);
      item.append(svg.node(), name);
      list.append(item);
    });
    return list;
  }

  function draw() {
    drawMaps();
    drawScatter();
  }

  section.hidden = false;
  document.getElementById("without-plots").hidden = true;
  draw();
  choice?.addEventListener("change", drawMaps);
  dark.addEventListener("change", draw);
  let width = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth !== width) {
      width = window.innerWidth;
      draw();
    }
  });
})();
