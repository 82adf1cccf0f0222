// What WCAG 2.2 AA asks of every text (contrast 4.5) and of every target outside a sentence (24 px), as a list of faults.
() => {
  const faults = [];
  const luminance = (colour) => {
    const [r, g, b] = colour.match(/[0-9.]+/g).slice(0, 3).map(Number).map((v) => {
      const part = v / 255;
      return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (!/, 0\)$|transparent/.test(colour)) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const says = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  for (const element of document.querySelectorAll("main *, header *")) {
    if (!says(element) || element.closest(".hidden, .skip, .steps-picture, option, defs") || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const ink = element instanceof SVGElement ? style.fill : style.color;
    const [light, dark] = [luminance(ink), luminance(ground(element))].sort((a, b) => b - a);
    if ((light + 0.05) / (dark + 0.05) < 4.5) faults.push(`${element.tagName}: ${element.textContent.trim().slice(0, 30)}: ${ink} on ${ground(element)}`);
  }
  for (const element of document.querySelectorAll("main a, main button, main select, main summary, main input, header a, header button")) {
    if (element.closest("p, dd, td, .under, .skip, [hidden]") || !element.checkVisibility()) continue;
    const { width, height } = element.getBoundingClientRect();
    if (width && (height < 23.5 || width < 23.5)) faults.push(`${element.outerHTML.slice(0, 80)}: ${width} x ${height}`);
  }
  return faults;
}
