/* The camera, screen and microphone of the page that publishes, and how loud it is.
 *
 * `Devices` has one MediaStream at a time. Of what it replaces the tracks are stopped, so that no camera's light stays on.
 */

export class Devices extends EventTarget {
  stream = null;
  shared = false; // whether the picture is a screen
  #meter = null;

  /* Takes what is chosen: ids of devices, "" for none, undefined for whichever the browser likes. Throws a DOMException. */
  async open({ camera, microphone, width, height, framerate }) {
    const pick = (id, more) => (id === "" ? false : { ...more, ...(id ? { deviceId: { exact: id } } : {}) });
    const video = this.shared ? false : pick(camera, { width: { ideal: width }, height: { ideal: height }, frameRate: { ideal: framerate } });
    const audio = pick(microphone, {});
    const screen = this.shared ? this.stream.getVideoTracks() : [];
    const fresh = video || audio ? await this.#ask(video, audio) : new MediaStream();
    this.#take([...screen, ...fresh.getTracks()]);
  }

  /* One that lacks a camera may still have a microphone. */
  async #ask(video, audio) {
    try {
      return await navigator.mediaDevices.getUserMedia({ video, audio });
    } catch (error) {
      if (error.name !== "NotFoundError" || !video || !audio) throw error;
      return navigator.mediaDevices.getUserMedia({ audio }).catch(() => navigator.mediaDevices.getUserMedia({ video }));
    }
  }

  /* The screen instead of the camera; its sound where there is no microphone. Throws a DOMException. */
  async share(framerate) {
    const screen = await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { ideal: framerate } }, audio: true });
    const sound = this.stream?.getAudioTracks() ?? [];
    for (const track of screen.getAudioTracks()) if (sound.length) track.stop();
    const [picture] = screen.getVideoTracks();
    picture.contentHint = "detail";
    // The browser has a button of its own that ends it.
    picture.addEventListener("ended", () => this.dispatchEvent(new Event("unshared")));
    this.shared = true;
    this.#take([picture, ...(sound.length ? sound : screen.getAudioTracks())]);
  }

  #take(tracks) {
    for (const old of this.stream?.getTracks() ?? []) if (!tracks.includes(old)) old.stop();
    this.stream = new MediaStream(tracks);
    this.#listen();
  }

  /* What there is to choose from, of "videoinput" or "audioinput", and what is taken of it. */
  async choices(kind) {
    const devices = (await navigator.mediaDevices.enumerateDevices()).filter((one) => one.kind === kind);
    const track = this.stream?.getTracks().find((one) => one.kind === kind.slice(0, 5));
    return { devices, current: track?.getSettings().deviceId ?? "" };
  }

  #listen() {
    this.#meter?.source.disconnect();
    const [sound] = this.stream.getAudioTracks();
    if (!sound) {
      void this.#meter?.context.close();
      this.#meter = null;
      return;
    }
    const context = this.#meter?.context ?? new AudioContext();
    const analyser = this.#meter?.analyser ?? context.createAnalyser();
    analyser.fftSize = 1024;
    const source = context.createMediaStreamSource(new MediaStream([sound]));
    source.connect(analyser);
    this.#meter = { context, analyser, source, samples: new Float32Array(analyser.fftSize) };
  }

  /* How loud it is now: 0 to 1, by decibels from -60 to 0. */
  level() {
    if (!this.#meter) return 0;
    const { context, analyser, samples } = this.#meter;
    if (context.state === "suspended") void context.resume();
    analyser.getFloatTimeDomainData(samples);
    let most = 0;
    for (const sample of samples) most = Math.max(most, Math.abs(sample));
    return Math.min(1, Math.max(0, 1 + (20 * Math.log10(most || 1e-6)) / 60));
  }
}
