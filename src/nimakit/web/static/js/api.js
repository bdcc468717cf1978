// JSON requests to the server, with a CSRF token that is renewed when needed, and two kinds of errors.

const TIMEOUT_MS = 20000;

// No answer: the network or the server is down.
export class Unreachable extends Error {}

// The server refused the request.
export class Refused extends Error {
  constructor(status, reason) {
    super(reason);
    this.status = status;
  }
}

export class Api {
  // sessionUrl: returns the signed-in rater and a CSRF token.
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
      // Treat an error page of a proxy like no answer.
      throw new Unreachable(String(error));
    }
    if (answer.ok) return content;
    const refused = new Refused(answer.status, content.reason || answer.statusText);
    refused.csrf = content.csrf === true;
    throw refused;
  }
}
