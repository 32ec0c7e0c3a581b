"use strict";
(() => {
  const root = document.getElementById("viewer");
  if (!root) return;
  const cases = JSON.parse(document.getElementById("viewer-cases").textContent);
  const status = root.querySelector("[role=status]");
  const chosen = root.querySelector("#viewer-case");
  const view = root.querySelector("#viewer-view");
  const opacity = root.querySelector("#viewer-opacity");
  const buttons = [...root.querySelectorAll("[data-window]")];
  const PLANES = { axial: 0, coronal: 1, sagittal: 2, three: 3 };
  const DATA_OFFSET = 352;
  const STEPS = {
    ArrowLeft: [1, 0, 0], ArrowRight: [-1, 0, 0], ArrowUp: [0, 1, 0], ArrowDown: [0, -1, 0],
    PageUp: [0, 0, 1], PageDown: [0, 0, -1],
  };
  const panels = [];
  let shown = null;

  async function unpacked(id) {
    const text = document.getElementById(id).textContent;
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).arrayBuffer();
  }

  // Both are int16 in the same steps on the same grid, so the error need not be in the file.
  function difference(result, reference) {
    const error = result.slice(0);
    const voxels = new Int16Array(error, DATA_OFFSET);
    const truth = new Int16Array(reference, DATA_OFFSET);
    for (let i = 0; i < voxels.length; i++) {
      voxels[i] = Math.max(-32767, Math.min(32767, voxels[i] - truth[i]));
    }
    return error;
  }

  function ctWindow() {
    const pressed = buttons.find((button) => button.getAttribute("aria-pressed") === "true");
    return pressed ? pressed.dataset.window.split(" ").map(Number) : null;
  }

  function windowOf(kind) {
    if (kind === "error") return [-shown.error_limit, shown.error_limit];
    const layer = shown.layers[kind];
    return (layer.modality === "CT" && ctWindow()) || layer.window;
  }

  function unitOf(kind) {
    return shown.layers[kind === "error" ? "result" : kind].unit;
  }

  function volumesOf(kind, images) {
    const volume = (name, colormap, [low, high], more) => ({
      url: new Uint8Array(images[name]), name: `${name}.nii`, colormap, cal_min: low, cal_max: high,
      ...more,
    });
    const volumes = [volume(kind, kind === "error" ? "error" : "gray", windowOf(kind))];
    if (kind === "source" && images.attention) {
      volumes.push(volume("attention", "viridis", [0, 1], { opacity: Number(opacity.value) }));
    }
    return volumes;
  }

  function report(panel, location) {
    const value = location.values[0] && location.values[0].value;
    const number = Math.abs(value) < 10 ? value.toPrecision(2) : Math.round(value);
    panel.output.textContent = `${number} ${unitOf(panel.kind)}`;
    const copied = panel.kind === "source" && location.values[1];
    if (copied) panel.output.textContent += `, ${Math.round(100 * copied.value)} % copied`;
    const ends = ["RL", "AP", "SI"];
    const place = Array.from(location.mm).slice(0, 3).map(
      (mm, axis) => `${Math.abs(mm).toFixed(0)} mm ${ends[axis][mm < 0 ? 1 : 0]}`);
    status.textContent = `Crosshair at ${place.join(", ")}`;
  }

  function layOut() {
    const [x, y, z] = shown.extent_mm;
    const shapes = { axial: [x, y], coronal: [x, z], sagittal: [y, z], three: [Math.max(x, y), y + 2 * z] };
    for (const { stage, nv } of panels) {
      stage.style.aspectRatio = shapes[view.value].join(" / ");
      nv.setSliceType(PLANES[view.value]);
    }
  }

  function applyWindow() {
    for (const { kind, nv, stage } of panels) {
      if (stage.parentElement.hidden) continue;
      [nv.volumes[0].cal_min, nv.volumes[0].cal_max] = windowOf(kind);
      nv.updateGLVolume();
    }
  }

  async function show(number) {
    root.dataset.state = "loading";
    chosen.disabled = true;
    status.textContent = "Loading the images";
    shown = cases[number];
    const images = {};
    for (const kind of Object.keys(shown.layers)) {
      images[kind] = await unpacked(`viewer-${number}-${kind}`);
    }
    if (images.reference) images.error = difference(images.result, images.reference);
    layOut();
    for (const panel of panels) {
      panel.stage.parentElement.hidden = !images[panel.kind];
      if (images[panel.kind]) await panel.nv.loadVolumes(volumesOf(panel.kind, images));
    }
    for (const panel of panels) {
      // Onto a voxel's centre, from between the two middle ones of an even number.
      if (images[panel.kind]) panel.nv.moveCrosshairInVox(0, 0, 0);
    }
    chosen.disabled = false;
    root.dataset.state = "ready";
  }

  // The page scrolls under a wheel unless a picture was clicked; and only the keys that the help
  // names reach the pictures, since NiiVue has others that nobody would expect.
  function guard(panel) {
    const { stage, canvas, nv } = panel;
    stage.addEventListener("wheel", (event) => {
      if (document.activeElement !== canvas) event.stopPropagation();
    }, { capture: true });
    stage.addEventListener("keyup", (event) => event.stopPropagation(), { capture: true });
    stage.addEventListener("keydown", (event) => {
      event.stopPropagation();
      const step = STEPS[event.key];
      if (!step || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      nv.moveCrosshairInVox(...step);
    }, { capture: true });
  }

  // Bright letters are lost on bone and dark ones on air.
  function outlineText(nv) {
    const draw = nv.drawText.bind(nv);
    nv.drawText = ([x, y], text, scale, colour) => {
      for (const [dx, dy] of [[-1.5, 0], [1.5, 0], [0, -1.5], [0, 1.5]]) {
        draw([x + dx, y + dy], text, scale, [0, 0, 0, 1]);
      }
      draw([x, y], text, scale, colour);
    };
  }

  async function open() {
    const module = new Blob([await unpacked("niivue")], { type: "text/javascript" });
    const { Niivue } = await import(URL.createObjectURL(module));
    for (const stage of root.querySelectorAll("[data-kind]")) {
      const canvas = stage.querySelector("canvas");
      const nv = new Niivue({
        isRadiologicalConvention: true, sagittalNoseLeft: true, multiplanarLayout: 1,
        multiplanarShowRender: 0, sliceType: PLANES.three, crosshairWidthUnit: "mm",
        crosshairWidth: 1, crosshairGap: 6, crosshairColor: [1, 0.75, 0, 0.9], dragMode: 0,
        dragModePrimary: 8, dragAndDropEnabled: false, loadingText: "", logLevel: "error",
        isCornerOrientationText: true, fontColor: [1, 1, 0.55, 1], fontMinPx: 16,
      });
      nv.addColormap("error", {
        R: [90, 20, 0, 200, 255], G: [200, 90, 0, 60, 190], B: [255, 220, 0, 20, 90],
        A: [255, 255, 255, 255, 255], I: [0, 64, 128, 192, 255],
      });
      outlineText(nv);
      await nv.attachToCanvas(canvas, false);
      const panel = {
        kind: stage.dataset.kind, stage, canvas, nv,
        output: stage.parentElement.querySelector("output"),
      };
      nv.onLocationChange = (location) => report(panel, location);
      guard(panel);
      panels.push(panel);
    }
    for (const { nv } of panels) {
      nv.broadcastTo(panels.map((other) => other.nv).filter((other) => other !== nv), { "2d": true });
    }
    chosen.addEventListener("change", () => show(Number(chosen.value)).catch(fail));
    view.addEventListener("change", layOut);
    for (const button of buttons) {
      button.addEventListener("click", () => {
        for (const other of buttons) other.setAttribute("aria-pressed", other === button);
        applyWindow();
      });
    }
    if (opacity) {
      opacity.addEventListener("input", () => {
        const source = panels.find(({ kind }) => kind === "source");
        if (source.nv.volumes[1]) source.nv.setOpacity(1, Number(opacity.value));
        opacity.nextElementSibling.textContent = `${Math.round(100 * opacity.value)} %`;
      });
    }
    await show(0);
  }

  function fail(error) {
    root.dataset.state = "failed";
    status.textContent =
      `The images cannot be shown here (${error.message}). The pictures below show the same.`;
  }

  open().catch(fail);
})();
