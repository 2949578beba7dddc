/** @internal Which type a MediaRecorder is asked for. Pure. */

const WITH_PICTURE = [
  // Matroska comes piece by piece; Chromium's MP4 only at its key pictures.
  "video/x-matroska;codecs=avc1,opus",
  "video/mp4;codecs=avc1.42E01F,mp4a.40.2",
  "video/mp4;codecs=avc1,opus",
  "video/webm;codecs=h264,opus",
  "video/webm;codecs=av1,opus",
];
const SOUND_ONLY = ["audio/webm;codecs=opus", "audio/mp4;codecs=mp4a.40.2", "audio/mp4;codecs=opus"];

/** The first that is supported of those that the server takes; "" if there is none. */
export function chooseMime(supported: (type: string) => boolean, picture: boolean, sound: boolean): string {
  const types = picture ? WITH_PICTURE.map((type) => (sound ? type : type.replace(/,\s*[^,]+$/, ""))) : SOUND_ONLY;
  return types.find(supported) ?? "";
}
