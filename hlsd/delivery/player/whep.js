/* Plays one stream by WebRTC: WHEP, an offer by POST, media by UDP. The browser does the rest; what it knows is asked for
 * once a second (`look`). One link is one session: it is opened once, and closed.
 */

const EPOCH = 2_208_988_800_000; // ms from 1900, where the clock of RTP begins, to 1970
const GATHER = 300; // ms at most for candidates: the server needs none, it is we who come to it

/** Whether this browser can. */
export const possible = "RTCPeerConnection" in globalThis;

export class WhepLink {
  /** `url`: the stream's endpoint. `changed(state)`: "connected", "failed" (nothing gets through) or "closed" (it is over). */
  constructor(url, changed) {
    this.url = url;
    this.changed = changed;
    this.session = "";
    this.stream = new MediaStream();
    this.date = null; // when the server received what is shown now, ms of its clock
    this.bitrate = this.buffer = null;
    this.before = null;
    this.peer = new RTCPeerConnection();
    this.peer.addEventListener("track", ({ track, receiver }) => {
      receiver.jitterBufferTarget = 0; // live: no more is held back than the line needs
      this.stream.addTrack(track);
    });
    this.peer.addEventListener("connectionstatechange", () => {
      const state = this.peer.connectionState;
      if (["connected", "failed", "closed"].includes(state)) this.changed(state);
    });
    this.leave = () => this.close();
    addEventListener("pagehide", this.leave);
  }

  /** Opens it; the answer of the server, of which `ok` says whether it did. */
  async open() {
    const { peer } = this;
    for (const kind of ["video", "audio"]) peer.addTransceiver(kind, { direction: "recvonly" });
    await peer.setLocalDescription();
    await new Promise((done) => {
      setTimeout(done, GATHER);
      peer.addEventListener("icegatheringstatechange", () => peer.iceGatheringState === "complete" && done());
    });
    const headers = { "content-type": "application/sdp" };
    const answer = await fetch(this.url, { method: "POST", headers, body: peer.localDescription.sdp });
    if (!answer.ok) return answer;
    this.session = new URL(answer.headers.get("location"), this.url).href;
    if (peer.signalingState === "closed") this.close(); // we have left meanwhile
    else {
      await peer.setRemoteDescription({ type: "answer", sdp: await answer.text() });
      // A server that says goodbye closes the transport, of which the connection's own state tells nothing.
      peer.getReceivers()[0]?.transport?.addEventListener("statechange", ({ target }) => target.state === "closed" && this.changed("closed"));
    }
    return answer;
  }

  /** Asks what the browser knows. */
  async look() {
    const reports = [...(await this.peer.getStats()).values()].filter(({ type }) => type === "inbound-rtp");
    const picture = reports.find(({ kind }) => kind === "video") ?? reports[0];
    if (!picture) return;
    if (picture.estimatedPlayoutTimestamp) this.date = picture.estimatedPlayoutTimestamp - EPOCH;
    const now = { at: picture.timestamp, bytes: 0, delay: picture.jitterBufferDelay, count: picture.jitterBufferEmittedCount };
    for (const { bytesReceived, headerBytesReceived } of reports) now.bytes += bytesReceived + headerBytesReceived;
    const { before } = this;
    if (before && now.at > before.at) this.bitrate = ((now.bytes - before.bytes) * 8000) / (now.at - before.at);
    if (before && now.count > before.count) this.buffer = (now.delay - before.delay) / (now.count - before.count);
    this.before = now;
  }

  /** Ends it, and tells the server. */
  close() {
    removeEventListener("pagehide", this.leave);
    this.changed = () => {};
    this.peer.close();
    if (this.session) fetch(this.session, { method: "DELETE", keepalive: true }).catch(() => {});
    this.session = "";
  }
}
