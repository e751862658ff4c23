// Which bytes may stand in a JSON string as they are.

const IS_ODD = Uint8Array.from({ length: 256 }, (_, c) =>
  c < 0x20 || c > 0x7e || c === 0x22 || c === 0x5c ? 1 : 0,
);

/** True when the bytes can stand in a JSON string as they are. */
export function isPlainText(bytes: Buffer, start: number, length: number): boolean {
  let odd = 0;
  for (let i = start; i < start + length; i++) odd |= IS_ODD[bytes[i] as number] as number;
  return odd === 0;
}
