// Requests to our own server: JSON, a CSRF token that is renewed when it has to be, and errors one can tell apart.

const TIMEOUT_MS = 20000;

// No answer came: the network is away, or the server is.
export class Unreachable extends Error {}

// An answer came, and it is no.
export class Refused extends Error {
  constructor(status, reason) {
    super(reason);
    this.status = status;
  }
}

export class Api {
  // sessionUrl: says who is signed in, and gives a token.
  constructor(sessionUrl) {
    this.sessionUrl = sessionUrl;
    this.token = document.querySelector("meta[name=csrf-token]").content;
  }

  get(url) {
    return this.send(url, { method: "GET" });
  }

  async post(url, body) {
    const options = () => ({
      method: "POST",
      body: JSON.stringify(body),
      headers: { "Content-Type": "application/json", "X-CSRFToken": this.token },
    });
    try {
      return await this.send(url, options());
    } catch (error) {
      if (!(error instanceof Refused) || !error.csrf) throw error;
      this.token = (await this.get(this.sessionUrl)).csrf;
      return this.send(url, options());
    }
  }

  async send(url, options) {
    let answer;
    let content;
    try {
      answer = await fetch(url, {
        ...options,
        headers: { Accept: "application/json", ...options.headers },
        credentials: "same-origin",
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      content = await answer.json();
    } catch (error) {
      // A proxy's own page in place of our answer is as good as no answer.
      throw new Unreachable(String(error));
    }
    if (answer.ok) return content;
    const refused = new Refused(answer.status, content.reason || answer.statusText);
    refused.csrf = content.csrf === true;
    throw refused;
  }
}
