/** @internal The few lines of SDP that are read and written here. Pure. */

/** The answer with our bit rate for the encoder to begin at, or the server's where that is less. */
export function withStartBitrate(answer: string, bitsPerSecond: number): string {
  const wanted = Math.round(bitsPerSecond / 1000);
  return answer.replace(/x-google-start-bitrate=(\d+)/g, (_, said: string) => `x-google-start-bitrate=${Math.min(Number(said), wanted)}`);
}

export interface Fragment {
  ufrag: string;
  pwd: string;
}

/** The first user name fragment and password. */
export function credentials(sdp: string): Fragment | null {
  const ufrag = /a=ice-ufrag:(\S+)/.exec(sdp)?.[1];
  const pwd = /a=ice-pwd:(\S+)/.exec(sdp)?.[1];
  return ufrag && pwd ? { ufrag, pwd } : null;
}

/** What is sent to begin ICE anew (RFC 9725, RFC 8840). */
export function fragment({ ufrag, pwd }: Fragment): string {
  return `a=ice-ufrag:${ufrag}\r\na=ice-pwd:${pwd}\r\n`;
}

/** The answer as it stands after ICE has begun anew. */
export function renewed(answer: string, { ufrag, pwd }: Fragment): string {
  return answer.replace(/a=ice-ufrag:\S+/g, `a=ice-ufrag:${ufrag}`).replace(/a=ice-pwd:\S+/g, `a=ice-pwd:${pwd}`);
}
