/** Fetches the list of the user's rooms and rights again whenever it may have changed. */

// A change may concern all open pages: each waits a random time, to spread the requests.
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
  #spread = 0; // the first request is sent at once

  /**
   * @param {object} options
   * @param {() => Promise<object[]>} options.ask
   * @param {(rooms: object[]) => void} options.onRooms
   * @param {(error: Error) => void} options.onError The request is repeated, until `stop`.
   */
  constructor({ ask, onRooms, onError }) {
    this.#ask = ask;
    this.#onRooms = onRooms;
    this.#onError = onError;
  }

  /** Fetch the list soon. One request at a time; a change during a request causes another one. */
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
