/** @internal Pictures and sound of a track as WebCodecs takes them, whatever the browser has for it. */

interface Processor {
  readable: ReadableStream<VideoFrame | AudioData>;
}
type ProcessorMaker = new (init: { track: MediaStreamTrack }) => Processor;

export type Stop = () => void;

const processor = (): ProcessorMaker | undefined =>
  (globalThis as { MediaStreamTrackProcessor?: ProcessorMaker }).MediaStreamTrackProcessor;

/** Hands each picture to `take`, which closes it. */
export function pictures(track: MediaStreamTrack, take: (frame: VideoFrame) => void): Stop {
  return processor() ? processed(track, take as (value: VideoFrame | AudioData) => void) : shown(track, take);
}

/** Hands each piece of sound to `take`, which closes it. */
export function sounds(track: MediaStreamTrack, take: (data: AudioData) => void): Stop {
  return processor() ? processed(track, take as (value: VideoFrame | AudioData) => void) : heard(track, take);
}

function processed(track: MediaStreamTrack, take: (value: VideoFrame | AudioData) => void): Stop {
  // A clone: the processor ends with its track, and the caller's is the caller's.
  const own = track.clone();
  const reader = new (processor() as ProcessorMaker)({ track: own }).readable.getReader();
  let over = false;
  void (async () => {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      if (over) value.close();
      else take(value);
    }
  })().catch(() => undefined);
  return () => {
    over = true;
    own.stop(); // which ends the reading, behind what is still there to be closed
  };
}

/** Firefox, Safari: the pictures of a video element. It needs no timer, but stands still in some hidden tabs. */
function shown(track: MediaStreamTrack, take: (frame: VideoFrame) => void): Stop {
  const video = document.createElement("video");
  video.muted = true;
  video.playsInline = true;
  video.srcObject = new MediaStream([track]);
  let over = false;
  const next = (): void => {
    video.requestVideoFrameCallback((now) => {
      if (over) return;
      next();
      take(new VideoFrame(video, { timestamp: Math.round(now * 1000) }));
    });
  };
  next();
  void video.play().catch(() => undefined);
  return () => {
    over = true;
    video.srcObject = null;
  };
}

/** Firefox, Safari. A worklet would need a file of its own, which a page's policy may not let in. */
function heard(track: MediaStreamTrack, take: (data: AudioData) => void): Stop {
  const context = new AudioContext();
  const source = context.createMediaStreamSource(new MediaStream([track]));
  const node = context.createScriptProcessor(2048, 2, 2);
  let count = 0;
  let began = 0;
  node.onaudioprocess = ({ inputBuffer }) => {
    const { length, sampleRate, numberOfChannels } = inputBuffer;
    const data = new Float32Array(length * numberOfChannels);
    for (let channel = 0; channel < numberOfChannels; channel++) data.set(inputBuffer.getChannelData(channel), channel * length);
    began ||= performance.now() * 1000;
    const timestamp = Math.round(began + (count * 1e6) / sampleRate);
    count += length;
    take(new AudioData({ format: "f32-planar", sampleRate, numberOfFrames: length, numberOfChannels, timestamp, data }));
  };
  source.connect(node);
  node.connect(context.destination); // or it is never called; what it puts out is silence
  void context.resume().catch(() => undefined);
  return () => {
    node.onaudioprocess = null;
    source.disconnect();
    void context.close().catch(() => undefined);
  };
}
