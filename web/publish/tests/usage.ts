/* What a program of TypeScript writes: compiled against the declarations, never run. */

import HlsdPublisher, { BrowserToRtmpClient, PublishError, type ErrorName, type PublishOptions, type State, type Stats } from "@hlsd/publish";

export async function publish(stream: MediaStream): Promise<State> {
  const options: PublishOptions = { url: "https://media.example/live/cam", token: async () => "a token", transport: "auto" };
  const publisher: HlsdPublisher = new HlsdPublisher(stream, options);
  publisher
    .on("error", (error) => {
      const name: ErrorName = error.name;
      console.log(name, error.message, error.fatal, error.details.status);
    })
    .on("stats", ({ bitrate, lag }: Stats) => console.log(bitrate, lag))
    .once("live", ({ transport }) => console.log(transport))
    .on("destroyed", ({ reason }) => console.log(reason.length))
    .on("ffmpegOutput", (line) => console.log(line.length))
    .on("state", ({ state, previous }) => console.log(state, previous));
  // @ts-expect-error there is no such event
  publisher.on("nothing", () => undefined);
  try {
    await publisher.start();
  } catch (error) {
    if (error instanceof PublishError && error.name === "NAME_IN_USE") return publisher.state;
    throw error;
  }
  await publisher.pause();
  await publisher.resume();
  await publisher.replace(stream);
  await publisher.stop();
  return publisher.state;
}

export function known(stream: MediaStream): BrowserToRtmpClient {
  // @ts-expect-error a number
  new HlsdPublisher(stream, { framerate: "25" });
  return new BrowserToRtmpClient(stream, { host: "media.example", port: 8000, app: "live", stream: "cam", socketio: { auth: { token: "t" } } });
}
