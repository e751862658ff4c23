// Which bytes may stand in a JSON string as they are.

/** True when the bytes can stand in a JSON string as they are. */
export function isPlainText(bytes: Buffer, start: number, length: number): boolean {
  for (let i = start; i < start + length; i++) {
    const c = bytes[i] as number;
    if (c < 0x20 || c > 0x7e || c === 0x22 || c === 0x5c) return false;
  }
  return true;
}
