// A picture that is turned by dragging, or by the arrow keys; Python renders, this shows and says where to look from.

const DEGREES_PER_PIXEL = 0.25;
const KEYS = { ArrowLeft: [5, 0], ArrowRight: [-5, 0], ArrowUp: [0, -5], ArrowDown: [0, 5] };

function clamp(value, limit) {
  return Math.max(-limit, Math.min(limit, value));
}

function render({ model, el }) {
  const image = document.createElement("img");
  image.className = "threedpsp-view";
  image.alt = "The head; drag it, or use the arrow keys, to turn it";
  image.tabIndex = 0;
  image.draggable = false;
  Object.assign(image.style, { cursor: "grab", touchAction: "none", maxWidth: "100%" });
  el.appendChild(image);

  let address = null;
  let start = null; // where the pointer went down: x, y, yaw, pitch
  let wanted = null; // angles that wait until the last ones have been answered
  let waiting = false;

  const show = () => {
    const data = model.get("picture");
    if (!data || !data.byteLength) return;
    const last = address;
    address = URL.createObjectURL(new Blob([data], { type: "image/png" }));
    image.src = address;
    if (last) URL.revokeObjectURL(last);
    waiting = false;
    send();
  };
  const send = () => {
    if (waiting || !wanted) return;
    const [yaw, pitch] = wanted;
    wanted = null;
    if (yaw === model.get("yaw_degrees") && pitch === model.get("pitch_degrees")) return;
    waiting = true;
    model.set({ yaw_degrees: yaw, pitch_degrees: pitch });
    model.save_changes();
  };
  const turn = (yaw, pitch) => {
    wanted = [clamp(yaw, model.get("yaw_limit")), clamp(pitch, model.get("pitch_limit"))];
    send();
  };
  const moving = (value) => {
    model.set("moving", value);
    model.save_changes();
  };

  image.addEventListener("pointerdown", (event) => {
    image.setPointerCapture(event.pointerId);
    start = [event.clientX, event.clientY, model.get("yaw_degrees"), model.get("pitch_degrees")];
    image.style.cursor = "grabbing";
    moving(true);
  });
  image.addEventListener("pointermove", (event) => {
    if (!start) return;
    const [x, y, yaw, pitch] = start;
    turn(yaw - (event.clientX - x) * DEGREES_PER_PIXEL, pitch + (event.clientY - y) * DEGREES_PER_PIXEL);
  });
  const release = () => {
    if (!start) return;
    start = null;
    waiting = false;
    send();
    image.style.cursor = "grab";
    moving(false);
  };
  image.addEventListener("pointerup", release);
  image.addEventListener("pointercancel", release);
  image.addEventListener("keydown", (event) => {
    const step = KEYS[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    turn(model.get("yaw_degrees") + step[0], model.get("pitch_degrees") + step[1]);
  });

  model.on("change:picture", show);
  show();
  return () => {
    model.off("change:picture", show);
    if (address) URL.revokeObjectURL(address);
  };
}

export default { render };
