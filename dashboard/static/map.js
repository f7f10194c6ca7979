// Shows structures, and the map of a round's candidates, by chemiscope.
"use strict";

(() => {
  const place = document.body.dataset.root || "";
  const LOOK = { unitCell: true, bonds: true, spaceFilling: false, axes: "abc", keepOrientation: true };

  function loadChemiscope() {
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = `${place}/vendor/chemiscope/chemiscope.min.js`;
      script.onload = () => resolve(window.Chemiscope);
      script.onerror = () => reject(new Error("chemiscope's script did not come"));
      document.head.append(script);
    });
  }

  function canDraw() {
    const canvas = document.createElement("canvas");
    return Boolean(canvas.getContext("webgl2") || canvas.getContext("webgl"));
  }

  async function fetchJson(path) {
    const answer = await fetch(path);
    if (!answer.ok) throw new Error(`${path} answers ${answer.status}`);
    return answer.json();
  }

  function fetchStructure(key) {
    return fetchJson(`${place}/structures/${key}/chemiscope.json`);
  }

  // Straight along c, as chemiscope begins, depth cannot be seen; c upwards, aslant.
  function tilt(visualizer) {
    for (const cell of visualizer.structure._cellsData?.values() ?? []) {
      const drawing = cell.viewer?._viewer;
      drawing?.rotate?.(-78, "x");
      drawing?.rotate?.(-25, "z");
      drawing?.zoom?.(0.75);
    }
  }

  async function showStructure(node) {
    const [Chemiscope, structure] = await Promise.all([loadChemiscope(), fetchStructure(node.dataset.structure)]);
    const hidden = document.createElement("div");
    const dataset = {
      meta: { name: "structure" }, structures: [structure],
      properties: { atoms: { target: "structure", values: [structure.size] } },
      settings: { structure: [LOOK] },
    };
    const config = { structure: node, info: hidden, meta: document.createElement("div") };
    hidden.hidden = true;
    node.after(hidden);
    tilt(await Chemiscope.StructureVisualizer.load(config, dataset));
  }

  function datasetOf(points) {
    const properties = {};
    for (const [name, property] of Object.entries(points.properties)) {
      const values = property.values.map((value) => value ?? NaN);
      properties[name] = { target: "structure", values };
      for (const word of ["units", "description"]) if (property[word]) properties[name][word] = property[word];
    }
    return {
      meta: { name: points.name },
      structures: points.keys.map((key) => ({ size: 1, data: key })),
      properties,
      settings: {
        map: {
          x: { property: points.axes[0] }, y: { property: points.axes[1] }, symbol: "choice",
          color: { property: "temperature", palette: "viridis" },
          size: { factor: 32, property: "picked" },
        },
        structure: [LOOK], pinned: [points.first],
      },
    };
  }

  function tell(points, index) {
    const says = document.getElementById("map-says");
    const of = points.properties;
    const link = document.createElement("a");
    link.href = `${place}/structures/${points.keys[index]}`;
    link.textContent = points.keys[index].slice(0, 12);
    const parts = [`${of.choice.values[index]}, ${of.temperature.values[index]} K`];
    if (of.replica) parts.push(`replica ${of.replica.values[index]}, step ${of.step.values[index]}`);
    says.replaceChildren("Shown: ", link, `, ${parts.join(", ")}`);
  }

  async function showMap(node) {
    const [Chemiscope, points] = await Promise.all([loadChemiscope(), fetchJson(node.dataset.points)]);
    const config = {
      map: "map-map", info: "map-info", meta: "map-meta", structure: "map-structure",
      maxStructureViewers: 4, loadStructure: (_, structure) => fetchStructure(structure.data),
    };
    const warnings = new Chemiscope.Warnings();
    warnings.addHandler((message) => { document.getElementById("map-says").textContent = message; });
    const visualizer = await Chemiscope.DefaultVisualizer.load(config, datasetOf(points), warnings);
    const show = visualizer.info.show.bind(visualizer.info);
    visualizer.info.show = (indexes) => { show(indexes); tell(points, indexes.structure); };
    tilt(visualizer);
    tell(points, points.first);
    document.addEventListener("click", (event) => {
      const button = event.target.closest("button[data-place]");
      if (!button) return;
      visualizer.select(visualizer.indexer.fromEnvironment(Number(button.dataset.place), "structure"));
      node.scrollIntoView({ block: "nearest" });
    });
  }

  async function start(node, show, says) {
    const word = document.getElementById(says);
    if (!canDraw()) {
      node.classList.add("undrawn");
      word.textContent = "This browser has no WebGL, which the picture needs; the numbers and files are here all the same.";
      return;
    }
    try {
      await show(node);
    } catch (error) {
      word.textContent = `The picture could not be drawn: ${error.message}`;
      word.className = "problem";
    }
  }

  const viewer = document.getElementById("viewer");
  const map = document.getElementById("map");
  if (viewer) start(viewer, showStructure, "viewer-says");
  if (map) start(map, showMap, "map-says");
})();
