// The live preview is one request, whose answer lasts as long as the preview is on. It ends with
// the request, when the page is hidden, after five minutes, when the camera is closed, and when the
// box falls silent.

const MOST = 1 << 20; // bytes of one picture and its head; the box sends no larger ones
const SILENT = 15000; // milliseconds; even the slowest camera gives a picture every ten seconds

/** Return what the box sends; throw if nothing comes. */
function soon(coming) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("the box sends no more pictures")), SILENT);
  });
  return Promise.race([coming, late]).finally(() => clearTimeout(timer));
}

/** Yield the content of each part of a multipart answer, as bytes, once it is complete. */
async function* parts(body) {
  const reader = body.getReader();
  let rest = new Uint8Array();
  for (;;) {
    const { done, value } = await soon(reader.read());
    if (done) return;
    const joined = new Uint8Array(rest.length + value.length);
    joined.set(rest);
    joined.set(value, rest.length);
    rest = joined;
    for (;;) {
      const head = /^[^]*?\r\n\r\n/.exec(String.fromCharCode(...rest.subarray(0, 200)))?.[0];
      const size = head && Number(/Content-Length: (\d+)/.exec(head)?.[1]);
      if (!head || rest.length < head.length + size + 2) break;
      yield rest.subarray(head.length, head.length + size);
      rest = rest.slice(head.length + size + 2);
    }
    if (rest.length > MOST) throw new Error("no picture");
  }
}

async function draw(canvas, jpeg) {
  const picture = await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" }));
  if (canvas.width !== picture.width) canvas.width = picture.width;
  if (canvas.height !== picture.height) canvas.height = picture.height;
  canvas.getContext("2d").drawImage(picture, 0, 0);
  picture.close();
  canvas.hidden = false;
}

/** Show what the camera sees until the signal aborts or the box ends it; throw if it fails. */
export async function watchCamera(canvas, signal) {
  try {
    const headers = { "X-SerenBox-Preview": "on", Accept: "application/json" };
    const answer = await soon(fetch("/api/preview", { method: "POST", headers, signal, cache: "no-store" }));
    if (!answer.ok) throw new Error((await answer.json()).error);
    for await (const jpeg of parts(answer.body)) {
      if (signal.aborted) break;
      await draw(canvas, jpeg);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    canvas.hidden = true;
    canvas.width = canvas.height = 0; // leaves no picture behind
  }
}
