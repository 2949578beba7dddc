/* The library's pure parts, as they were built: node --test. */

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  asPublishError, avcCodec, body, chooseMime, CommonClock, configuration, credentials, delay, Emitter, errorName, errorOfStatus,
  fragment, last, mayComeBack, mayGoElsewhere, PublishError, readOptions, record, renewed, Unacked, withStartBitrate,
} from "../dist/pure.js";

const read = (options, here = "http://localhost:8000/live/me/publish") => readOptions(options, here, () => {});

test("an address names the endpoints of both ways", () => {
  const said = read({ url: "https://media.example/tv/live/cam?sign=1-a", query: { room: "a b" } });
  assert.equal(said.whip, "https://media.example/tv/live/cam/whip");
  assert.equal(said.socket, "wss://media.example/tv/live/cam/publish");
  assert.equal(said.query, "sign=1-a&room=a+b");
  for (const end of ["/publish", "/whip", "/", "/publish/"]) {
    assert.equal(read({ url: `http://h:8000/live/cam${end}` }).whip, "http://h:8000/live/cam/whip", end);
  }
  assert.equal(read({ url: "/live/cam" }).socket, "ws://localhost:8000/live/cam/publish");
  assert.equal(read({ url: "wss://h/live/cam" }).whip, "https://h/live/cam/whip");
});

test("host, port, app and stream stand for an address, as the known client has them", () => {
  const parts = { app: "live", stream: "cam" };
  assert.equal(read({ host: "media.example", ...parts }).whip, "http://media.example:8000/live/cam/whip");
  assert.equal(read({ host: "media.example", ...parts }, "https://page.example/").whip, "https://media.example:8000/live/cam/whip");
  assert.equal(read({ host: "https://media.example", port: 443, ...parts }).socket, "wss://media.example/live/cam/publish");
  assert.equal(read({ host: "http://media.example:8086", ...parts }).whip, "http://media.example:8086/live/cam/whip");
  assert.equal(read({ host: "media.example", app: "live", stream: "a/b?c" }).whip, "http://media.example:8000/live/a%2Fb%3Fc/whip");
});

test("what is not said is as the known client has it", async () => {
  const said = read({ url: "/live/cam" });
  assert.deepEqual([said.framerate, said.video, said.audio, said.transport], [25, 2_500_000, 128_000, "auto"]);
  assert.equal(await said.token(), "");
  assert.equal(await read({ url: "/live/cam", token: async () => "t" }).token(), "t");
});

test("the sample rate is ignored with a warning", () => {
  const warnings = [];
  readOptions({ url: "/live/cam", audioSampleRate: 44100 }, "http://h/", (text) => warnings.push(text));
  assert.match(warnings.join(), /audioSampleRate is ignored/);
});

for (const [what, options] of Object.entries({
  nothing: {},
  "an rtmp address": { url: "/live/cam", rtmp: "rtmp://elsewhere/live/x" },
  "one part": { url: "/cam" },
  "no app": { host: "h", stream: "cam" },
  "no address": { url: "http://" },
  "another scheme": { url: "ftp://h/live/cam" },
  "no number": { url: "/live/cam", framerate: "25" },
  "no bit rate": { url: "/live/cam", videoBitsPerSecond: Number.NaN },
  "an unknown way": { url: "/live/cam", transport: "pigeon" },
})) {
  test(`${what} is refused by its name`, () => {
    assert.throws(() => read(options), { name: "INVALID_PARAMETERS" });
  });
}

test("an answer of HTTP becomes an error with the server's words", () => {
  const problem = JSON.stringify({ title: "nothing that is taken", detail: "VP8" });
  const error = errorOfStatus(422, problem, null);
  assert.deepEqual([error.name, error.message, error.fatal], ["UNSUPPORTED_CODEC", "nothing that is taken: VP8", true]);
  const names = [401, 403, 409, 429, 503, 500, 404].map((status) => errorOfStatus(status, "<html>", null).name);
  assert.deepEqual(names, ["NOT_ALLOWED", "NOT_ALLOWED", "NAME_IN_USE", "LIMIT", "LIMIT", "CONNECTION_FAILED", "CONNECTION_FAILED"]);
  assert.equal(errorOfStatus(503, "", "5").details.retryAfter, 5);
  assert.equal(errorOfStatus(503, "", "Wed, 21 Oct").details.retryAfter, undefined);
  assert.equal(errorName("bad_media"), "BAD_MEDIA");
  assert.equal(errorName("who knows"), "CONNECTION_FAILED");
  assert.equal(asPublishError(Object.assign(new Error("no"), { name: "NotAllowedError" })).name, "NOT_ALLOWED");
});

test("who is not let in is let in by no other way; a way that is not there has others", () => {
  const failed = (name, details = {}) => new PublishError(name, "", true, details);
  assert.deepEqual([401, 403, 409, 429].map((status) => mayGoElsewhere(errorOfStatus(status, "", null))), [false, false, false, false]);
  assert.equal(mayGoElsewhere(failed("CONNECTION_FAILED")), true);
  assert.equal(mayGoElsewhere(errorOfStatus(501, "", null)), true);
  assert.equal(mayGoElsewhere(errorOfStatus(422, "", null)), true);
  assert.equal(mayComeBack(failed("CONNECTION_FAILED"), 1e9), true);
  assert.equal(mayComeBack(failed("NAME_IN_USE"), 5_000), true, "it may be by ourselves, whom the server has not missed yet");
  assert.equal(mayComeBack(failed("NAME_IN_USE"), 60_000), false);
  assert.equal(mayComeBack(failed("NOT_ALLOWED"), 0), false);
});

test("tries come further and further apart, and not before the server wants them", () => {
  assert.deepEqual([0, 1, 2, 9, 99].map((number) => delay(number, 0.5)), [500, 1000, 2000, 10_000, 10_000]);
  assert.ok(delay(3, 0) < delay(3, 1));
  assert.equal(delay(0, 0, 30), 30_000);
});

test("what is not acknowledged is kept, and given again from any byte", () => {
  const kept = new Unacked();
  kept.push(Uint8Array.of(0, 1, 2), 0);
  kept.push(Uint8Array.of(3, 4), 0);
  assert.deepEqual(kept.since(1).flatMap((bytes) => [...bytes]), [1, 2, 3, 4]);
  kept.release(2);
  assert.deepEqual(kept.since(2).flatMap((bytes) => [...bytes]), [2, 3, 4], "a piece goes when all of it is acknowledged");
  kept.release(3);
  assert.equal(kept.since(2), null);
  assert.deepEqual(kept.since(5), []);
  assert.equal(kept.since(6), null);
  assert.equal(kept.held, 2);
  kept.reset();
  assert.deepEqual([kept.total, kept.held], [0, 0]);
});

test("what is kept has a bound in bytes and in seconds", () => {
  const kept = new Unacked();
  for (let i = 0; i < 20; i++) kept.push(new Uint8Array(1 << 20), 0);
  assert.equal(kept.held, 8 << 20);
  assert.equal(kept.since(11 << 20), null);
  assert.equal(kept.since(12 << 20).length, 8);
  kept.push(new Uint8Array(1), 20_000);
  assert.equal(kept.held, 1);
});

test("a record has its head in big endian", () => {
  const bytes = record(1, true, -2, 3);
  body(bytes).set([7, 8, 9]);
  assert.deepEqual([...bytes], [1, 1, 0, 0, 255, 255, 255, 255, 255, 255, 255, 254, 0, 0, 0, 3, 7, 8, 9]);
  const told = configuration(4, { codec: "opus", sampleRate: 48000, numberOfChannels: 2, description: Uint8Array.of(1, 2).buffer });
  assert.equal(told[0], 4);
  assert.deepEqual(JSON.parse(new TextDecoder().decode(body(told))), { codec: "opus", sampleRate: 48000, numberOfChannels: 2, description: "AQI=" });
});

test("the level of H.264 has room for size and rate", () => {
  const levels = [[1280, 720, 30], [1920, 1080, 30], [1920, 1080, 60], [3840, 2160, 30], [640, 360, 25]];
  assert.deepEqual(levels.map((one) => avcCodec(...one)), ["avc1.42e01f", "avc1.42e028", "avc1.42e02a", "avc1.42e033", "avc1.42e01f"]);
});

test("sound and picture of one clock keep their distance; those of two begin together", () => {
  const one = new CommonClock();
  assert.equal(one.time("audio", 1_000_000, 5_000_000), 0);
  assert.equal(one.time("video", 1_080_000, 5_120_000), 80_000);
  const two = new CommonClock();
  assert.equal(two.time("video", 90_000_000, 5_000_000), 0);
  assert.equal(two.time("audio", 3_000, 5_010_000), 10_000);
  assert.equal(two.time("audio", 23_000, 5_090_000), 30_000, "by its own clock, not by when it came");
});

test("a type that comes piece by piece is preferred, and VP8 is never asked for", () => {
  assert.equal(chooseMime(() => true, true, true), "video/x-matroska;codecs=avc1,opus");
  assert.equal(chooseMime((type) => type.startsWith("video/mp4"), true, false), "video/mp4;codecs=avc1.42E01F");
  assert.equal(chooseMime((type) => /vp8/.test(type), true, true), "");
  assert.equal(chooseMime((type) => type.startsWith("audio/webm"), false, true), "audio/webm;codecs=opus");
});

test("the encoder begins at what is wanted, and at no more than the server says", () => {
  const answer = "a=fmtp:102 packetization-mode=1;x-google-start-bitrate=2500\r\n";
  assert.match(withStartBitrate(answer, 1_200_000), /=1200\r/);
  assert.match(withStartBitrate(answer, 9_000_000), /=2500\r/);
});

test("ICE begins anew with the credentials of a fragment", () => {
  const answer = "a=ice-ufrag:old\r\na=ice-pwd:older\r\nm=audio\r\na=ice-ufrag:old\r\na=ice-pwd:older\r\n";
  const said = credentials("a=ice-lite\r\na=ice-ufrag:new\r\na=ice-pwd:newer\r\n");
  assert.equal(fragment(said), "a=ice-ufrag:new\r\na=ice-pwd:newer\r\n");
  assert.equal(renewed(answer, said), answer.replaceAll("older", "newer").replaceAll("old", "new"));
  assert.equal(credentials("v=0"), null);
});

test("a listener that throws harms no other, and `once` is once", (context) => {
  context.mock.method(console, "error", () => {});
  const heard = [];
  class Loud extends Emitter {
    say(value) {
      this.emit("live", value);
    }
  }
  const loud = new Loud();
  const gone = () => heard.push("gone");
  loud.on("live", () => { throw new Error("mine"); }).once("live", (value) => heard.push(value)).on("live", gone).off("live", gone);
  loud.say(1);
  loud.say(2);
  assert.deepEqual(heard, [1]);
});

test("what ends a broadcast is fatal, whatever the transport thought of another try", () => {
  const error = last(new PublishError("CONNECTION_FAILED", "away", false, { transport: "whip" }));
  assert.deepEqual([error.name, error.message, error.fatal, error.details.transport], ["CONNECTION_FAILED", "away", true, "whip"]);
  assert.equal(last(error), error);
});
