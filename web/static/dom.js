// Small helpers over the DOM: make, fill and flash, without ever parsing markup from data.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** An HTML element; children are nodes or texts. */
export function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An SVG element. */
export function draw(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** Sets a text only when it differs; returns whether it did. */
export function setText(node, text) {
  if (node.textContent === text) return false;
  node.textContent = text;
  return true;
}

/** Replaces all children. */
export function setChildren(node, ...children) {
  node.replaceChildren(...children.flat().filter(Boolean));
}

/** Marks a changed value for a moment. */
export function flash(node) {
  node.classList.remove("flash");
  void node.offsetWidth; // lets the animation begin anew
  node.classList.add("flash");
}

/** Shows or hides. */
export function show(node, visible) {
  node.hidden = !visible;
}
