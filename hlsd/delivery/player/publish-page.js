/* Publishes this browser's camera or screen, and microphone, by WHIP (RFC 9725), to the stream that the address names.
 *
 * What the address names may be the stream's key: nothing is shown of it but what the server says the stream is called.
 * The camera's track goes to the encoder as it is: no canvas and no timer of the page's is in the way, so a tab in the
 * background goes on. What the query of the page holds (sign, jwt, token) goes with the POST; the session's own address
 * needs none. While the person wants to be live a lost connection is begun anew.
 */

const say = (id) => document.getElementById(id);
const about = document.querySelector("meta[name=hlsd]").dataset;
const parts = location.pathname.split("/").filter(Boolean);
const [app, stream] = parts.slice(-3, -1);
const endpoint = `${about.prefix}/${app}/${stream}/whip`;
const AGAIN = 2000; // ms between two tries
const PATIENCE = 6000; // ms that a connection may be interrupted
const VIDEO = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } };
const SCREEN = "screen"; // what stands for it among the cameras

let media = null;
let peer = null;
let session = "";
let wanted = false;
let retry = 0;
let before = { bytes: 0, at: 0 };

say("name").textContent = app;

/* The session's address has the stream's own name. */
function named(address) {
  const [, name] = address.slice(about.prefix.length).split("/").filter(Boolean);
  const watch = new URL(`${about.prefix}/${app}/${name}`, location.href).href;
  say("name").textContent = `${app}/${decodeURIComponent(name)}`;
  say("watch").textContent = watch;
  say("watch").href = watch;
  say("watch-line").hidden = false;
}

/* What stands over the preview; nothing where both are empty. */
function veil(text, hint = "") {
  say("veil").classList.toggle("on", Boolean(text));
  say("veil-text").textContent = text;
  say("veil-hint").textContent = hint;
}

function note(text) {
  say("note").textContent = text;
  say("note").hidden = !text;
}

function state(name) {
  const live = name === "live";
  say("badge").textContent = name;
  say("badge").classList.toggle("live", live);
  say("go").textContent = wanted ? "Stop" : "Go live";
  say("go").classList.toggle("on", wanted);
  if (!live) say("facts").textContent = "";
}

/* Browsers give a camera to pages of https and of this machine only; and a server may take nothing by WebRTC. */
function useless() {
  if (about.closed) {
    veil("This server takes nothing from a browser", about.closed);
    return true;
  }
  if (window.isSecureContext && navigator.mediaDevices) return false;
  veil("The camera needs https", "Browsers give camera and microphone only to pages that come by https.");
  if (about.httpsPort && about.httpsPort !== "0") {
    const address = `https://${location.hostname}:${about.httpsPort}${location.pathname}${location.search}`;
    const link = document.createElement("a");
    link.href = address;
    link.textContent = "Open this page by https";
    link.className = "chip";
    say("veil").append(link);
  } else {
    say("veil-hint").textContent += " This server has none yet: `hlsd cert` makes a certificate, https.cert and https.key name it.";
  }
  return true;
}

async function list() {
  const devices = await navigator.mediaDevices.enumerateDevices();
  for (const [id, kind, word] of [["camera", "videoinput", "Camera"], ["microphone", "audioinput", "Microphone"]]) {
    const track = media?.getTracks().find((one) => one.kind === kind.slice(0, 5));
    const settings = track?.getSettings() ?? {};
    const shares = id === "camera" && navigator.mediaDevices.getDisplayMedia ? [new Option("Screen or window", SCREEN)] : [];
    say(id).replaceChildren(
      ...devices.filter((one) => one.kind === kind).map((one, number) => new Option(one.label || `${word} ${number + 1}`, one.deviceId)),
      ...shares,
      new Option(`No ${word.toLowerCase()}`, ""),
    );
    say(id).value = settings.displaySurface ? SCREEN : settings.deviceId ?? "";
  }
}

/* Takes the devices that are chosen; the first time, whichever the browser likes. */
async function open(first = false) {
  const pick = (id, more) => (first ? more : say(id).value ? { ...more, deviceId: { exact: say(id).value } } : false);
  const screen = !first && say("camera").value === SCREEN;
  const asked = { video: !screen && pick("camera", VIDEO), audio: pick("microphone", {}) };
  try {
    const shown = screen ? await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { ideal: 30 } } }) : null;
    const fresh = asked.video || asked.audio ? await navigator.mediaDevices.getUserMedia(asked) : new MediaStream();
    shown?.getVideoTracks().forEach((track) => fresh.addTrack(track));
    media?.getTracks().forEach((track) => track.stop());
    media = fresh;
  } catch (error) {
    if (media) await list(); // what there was goes on, and is what the lists say again
    else veil(error.name === "NotAllowedError" ? "Camera and microphone are not allowed" : "No camera or microphone", error.message);
    return;
  }
  say("preview").srcObject = media;
  say("preview").classList.toggle("plain", screen);
  say("go").disabled = media.getTracks().length === 0;
  const pictures = media.getVideoTracks().length > 0;
  say("preview").parentElement.classList.toggle("audio", !pictures);
  veil(pictures ? "" : "Sound only");
  await list();
  for (const sender of peer?.getSenders() ?? []) {
    const kind = sender.kind ?? sender.track?.kind;
    await sender.replaceTrack(media.getTracks().find((track) => track.kind === kind) ?? null);
  }
  const sent = (peer?.getSenders() ?? []).map((sender) => sender.kind);
  if (peer && media.getTracks().some((track) => !sent.includes(track.kind))) note("What was not sent from the start is sent after Stop and Go live.");
}

function prefer(transceiver) {
  const codecs = RTCRtpSender.getCapabilities("video")?.codecs ?? [];
  const taken = codecs.filter((codec) => /H264|H265/i.test(codec.mimeType));
  if (taken.length === 0) throw new Error("This browser sends no H.264 by WebRTC.");
  const h264 = taken.filter((codec) => /H264/i.test(codec.mimeType));
  const helpers = codecs.filter((codec) => /rtx/i.test(codec.mimeType));
  transceiver.setCodecPreferences?.([...(h264.length ? h264 : taken), ...helpers]);
}

async function begin() {
  clearTimeout(retry);
  if (!wanted) return;
  state("connecting");
  const mine = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
  peer = mine;
  mine.addEventListener("connectionstatechange", () => changed(mine));
  try {
    for (const track of media.getTracks()) {
      const transceiver = mine.addTransceiver(track, { direction: "sendonly", streams: [media] });
      transceiver.sender.kind = track.kind;
      if (track.kind === "video") {
        prefer(transceiver);
        track.contentHint = "motion";
      }
    }
    await mine.setLocalDescription(await mine.createOffer());
    const reply = await fetch(endpoint + location.search, {
      method: "POST",
      headers: { "content-type": "application/sdp" },
      body: mine.localDescription.sdp,
    });
    if (mine !== peer) {
      // Stopped meanwhile: the session that has come of it is nobody's.
      if (reply.status === 201) await fetch(reply.headers.get("location"), { method: "DELETE", keepalive: true });
      return;
    }
    if (reply.status !== 201) {
      const problem = await reply.json().catch(() => ({}));
      const again = [409, 429, 503].includes(reply.status);
      note(`${problem.title ?? reply.status}: ${problem.detail ?? ""}`);
      await end(again);
      return;
    }
    session = reply.headers.get("location");
    named(session);
    await mine.setRemoteDescription({ type: "answer", sdp: await reply.text() });
    // A picture that changes its size is a new beginning for every player.
    for (const sender of mine.getSenders().filter((one) => one.track?.kind === "video")) {
      const parameters = sender.getParameters();
      parameters.degradationPreference = "maintain-resolution";
      await sender.setParameters(parameters).catch(() => {});
    }
  } catch (error) {
    if (mine === peer) {
      note(error.message);
      await end(error instanceof TypeError);
    }
  }
}

function changed(mine) {
  if (mine !== peer) return;
  if (mine.connectionState === "connected") {
    note("");
    state("live");
  } else if (mine.connectionState === "disconnected") {
    state("interrupted");
    setTimeout(() => mine === peer && mine.connectionState !== "connected" && end(true), PATIENCE);
  } else if (mine.connectionState === "failed" || mine.connectionState === "closed") {
    end(true);
  }
}

/* Ends the session; `again`: a new one is begun while one is wanted. */
async function end(again) {
  const [gone, address] = [peer, session];
  peer = null;
  session = "";
  before = { bytes: 0, at: 0 };
  clearTimeout(retry);
  gone?.close();
  if (address) await fetch(address, { method: "DELETE", keepalive: true }).catch(() => {});
  if (again && wanted) {
    state("reconnecting");
    retry = setTimeout(begin, AGAIN);
  } else {
    wanted = false;
    state("off air");
  }
}

async function measure() {
  if (peer?.connectionState !== "connected") return;
  const stats = [...(await peer.getStats()).values()];
  const pair = stats.find((one) => one.type === "candidate-pair" && one.nominated && one.currentRoundTripTime !== undefined);
  const trip = pair ? ` · ${Math.round(pair.currentRoundTripTime * 1000)} ms away` : "";
  const pictures = stats.some((one) => one.type === "outbound-rtp" && one.kind === "video");
  for (const one of stats) {
    if (one.type !== "outbound-rtp" || (pictures && one.kind !== "video")) continue;
    const seconds = (one.timestamp - before.at) / 1000;
    const rate = ((one.bytesSent - before.bytes) * 8) / seconds / 1e6;
    const size = one.frameWidth ? `${one.frameWidth}×${one.frameHeight} · ${Math.round(one.framesPerSecond ?? 0)} fps · ` : "";
    if (before.at && rate >= 0) say("facts").textContent = `${size}${rate.toFixed(rate < 1 ? 2 : 1)} Mbit/s${trip}`;
    before = { bytes: one.bytesSent, at: one.timestamp };
  }
}

say("go").addEventListener("click", () => {
  wanted = !wanted;
  note("");
  if (wanted) begin();
  else end(false);
});
for (const id of ["camera", "microphone"]) say(id).addEventListener("change", () => open());
addEventListener("pagehide", () => session && fetch(session, { method: "DELETE", keepalive: true }));
state("off air");
if (!useless()) {
  navigator.mediaDevices.addEventListener?.("devicechange", list);
  setInterval(measure, 1000);
  open(true);
}
