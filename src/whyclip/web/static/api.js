// Requests to the server: answers are JSON, errors are one sentence.

const OWN = { "X-Whyclip": "1" };

export class Refused extends Error {
  constructor(sentence, status) {
    super(sentence);
    this.status = status;
  }
}

async function answered(request) {
  let response;
  try {
    response = await request;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("whyclip does not answer; is it still running in the terminal?", 0);
  }
  if (response.ok) return response;
  const { error } = await response.json().catch(() => ({}));
  throw new Refused(error || `the server answered ${response.status}`, response.status);
}

export const about = async () => (await answered(fetch("/api/about"))).json();

export async function sendImage(file) {
  return (await answered(fetch("/api/images", { method: "POST", headers: OWN, body: file }))).json();
}

const post = (path, question, signal) =>
  answered(
    fetch(path, {
      method: "POST",
      headers: { ...OWN, "Content-Type": "application/json" },
      body: JSON.stringify(question),
      signal,
    }),
  );

// Reads one JSON object per line; `tell` gets the objects before the result.
export async function ask(path, question, signal, tell = () => {}) {
  const { body } = await post(path, question, signal);
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) throw new Refused("whyclip stopped before the answer was complete", 0);
    const lines = (waiting + value).split("\n");
    waiting = lines.pop();
    for (const line of lines) {
      const news = JSON.parse(line);
      if ("result" in news) return news.result;
      if ("error" in news) throw new Refused(news.error, 400);
      tell(news);
    }
  }
}

export const download = async (kind, question) =>
  (await post(`/api/download/${kind}`, question)).blob();
