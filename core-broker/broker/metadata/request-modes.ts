// How groups ask for messages of a topic: messageRequestMode.json in Apache's form, topic -> group -> mode.
// Entries of a stock broker that say POP are kept as they are. Durable on return.
// Source: MessageRequestModeManager, behaviour only.
import { asObject, type JsonObject, readJsonFile, writeJsonFile } from './json-file.ts';

export class RequestModes {
  readonly #file: string;
  #modes: JsonObject;

  constructor(file: string) {
    this.#file = file;
    this.#modes = asObject(readJsonFile(file)?.['messageRequestModeMap']);
  }

  put(topic: string, group: string, mode: object): void {
    this.#take({ ...this.#modes, [topic]: { ...asObject(this.#modes[topic]), [group]: mode } });
  }

  /** Takes over what the active side has; a source without modes changes nothing. */
  replaceAll(content: unknown): void {
    if (content === undefined) return;
    const wanted = asObject(asObject(content)['messageRequestModeMap']);
    if (JSON.stringify(wanted) !== JSON.stringify(this.#modes)) this.#take(wanted);
  }

  content(): JsonObject {
    return { messageRequestModeMap: this.#modes };
  }

  /** Order: file before memory. */
  #take(modes: JsonObject): void {
    writeJsonFile(this.#file, { messageRequestModeMap: modes });
    this.#modes = modes;
  }
}
