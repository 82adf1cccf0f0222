// The SharedWorker: holds the one stream, and tells every tab that something moved.
const ports = new Set();
let source = null;
let state = "lost";

function tell(word) {
  for (const port of ports) port.postMessage(word);
}

function begin() {
  source = new EventSource("/live");
  source.onopen = () => { state = "open"; tell("open"); };
  source.addEventListener("moved", () => tell("moved"));
  source.onerror = () => {
    state = "lost";
    tell("lost");
    if (source.readyState === EventSource.CLOSED) {
      source = null;
      setTimeout(() => { if (ports.size && !source) begin(); }, 5000);
    }
  };
}

self.onconnect = (event) => {
  const [port] = event.ports;
  ports.add(port);
  port.onmessage = ({ data }) => {
    if (data !== "bye") return;
    ports.delete(port);
    if (ports.size === 0 && source) { source.close(); source = null; }
  };
  if (!source) begin();
  port.postMessage(state);
};
