/**
 * As much of a browser's XMLHttpRequest as `@api.video/video-uploader` uses, on top of `fetch`. The uploader always speaks https to
 * a host name; requests to `host` go to `baseUrl` instead, because a stand-in has neither.
 */
export function createXhr(host: string, baseUrl: string): new () => object {
  return class {
    readonly upload = {};
    readyState = 0;
    status = 0;
    response = '';
    onload: ((event: object) => void) | null = null;
    onerror: ((event: object) => void) | null = null;
    onreadystatechange: ((event: object) => void) | null = null;
    readonly #headers = new Headers();
    readonly #abort = new AbortController();
    #method = 'GET';
    #url = '';

    open(method: string, url: string): void {
      this.#method = method;
      this.#url = url.replace(`https://${host}`, baseUrl);
    }
    setRequestHeader(name: string, value: string): void {
      this.#headers.set(name, value);
    }
    abort(): void {
      this.#abort.abort();
    }
    send(body: FormData | string): void {
      const request = { method: this.#method, headers: this.#headers, body, signal: this.#abort.signal };
      const answer = fetch(this.#url, request).then(async (said) => ({ status: said.status, text: await said.text() }));
      answer.then(
        ({ status, text }) => {
          Object.assign(this, { readyState: 4, status, response: text });
          this.onreadystatechange?.({});
          this.onload?.({});
        },
        () => this.onerror?.({}),
      );
    }
  };
}
