/** Which rooms there are for the user, and what may be done there: asked for whenever it may differ. */

// A change may concern every open page at once: they ask one after the other.
const SPREAD_MS = 800;
const RETRY_MS = 5000;

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

export class Listing {
  #ask;
  #onRooms;
  #onError;
  #isDue = false;
  #isBusy = false;
  #isStopped = false;
  #spread = 0; // nobody waits for the first answer longer than needed

  /**
   * @param {object} options
   * @param {() => Promise<object[]>} options.ask
   * @param {(rooms: object[]) => void} options.onRooms
   * @param {(error: Error) => void} options.onError It is asked again, until `stop`.
   */
  constructor({ ask, onRooms, onError }) {
    this.#ask = ask;
    this.#onRooms = onRooms;
    this.#onError = onError;
  }

  /** Ask soon. One request at a time; what changes while it is under way is asked for after it. */
  async refresh() {
    this.#isDue = true;
    if (this.#isBusy) return;
    this.#isBusy = true;
    while (this.#isDue && !this.#isStopped) await this.#refreshOnce();
    this.#isBusy = false;
  }

  stop() {
    this.#isStopped = true;
  }

  async #refreshOnce() {
    await pause(Math.random() * this.#spread);
    this.#isDue = false;
    const [rooms, error] = await this.#ask().then((rooms) => [rooms], (error) => [null, error]);
    if (this.#isStopped) return;
    this.#spread = SPREAD_MS;
    if (error) {
      this.#isDue = true;
      this.#onError(error);
      await pause(RETRY_MS * (0.5 + Math.random()));
    } else if (!this.#isDue) {
      this.#onRooms(rooms);
    }
  }
}
