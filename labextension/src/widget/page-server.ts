import type { SendRequest } from '../core/rest-host';

/** The Jupyter server that served a page. */
export interface PageServer {
  /** The server's base URL, with a trailing slash. */
  baseUrl: string;
  /** Jupyter's token, or an empty string if cookies are sufficient. */
  token: string;
}

/** Return the Jupyter server that served a page, or null for other pages, such as VS Code's. */
export function findPageServer(page: Document): PageServer | null {
  const text = page.getElementById('jupyter-config-data')?.textContent;
  if (!text) {
    return null;
  }
  try {
    const { baseUrl, token } = JSON.parse(text) as { baseUrl?: unknown; token?: unknown };
    const base = typeof baseUrl === 'string' && baseUrl !== '' ? baseUrl : '/';
    return {
      baseUrl: new URL(base, page.baseURI).href.replace(/\/*$/, '/'),
      token: typeof token === 'string' ? token : ''
    };
  } catch {
    return null;
  }
}

/** Return a function that sends requests to the page's server, with its token and XSRF cookie. */
export function requestSender({ token }: PageServer, page: Document): SendRequest {
  return (url, init) => {
    const headers = new Headers(init.headers);
    if (token !== '') {
      headers.set('Authorization', `token ${token}`);
    }
    const xsrf = /(?:^|;\s*)_xsrf=([^;]*)/.exec(page.cookie)?.[1];
    if (xsrf !== undefined) {
      headers.set('X-XSRFToken', xsrf);
    }
    return fetch(url, { ...init, headers, credentials: 'same-origin' });
  };
}

/** Return the URL of the server's event stream. */
export function eventsUrl({ baseUrl, token }: PageServer): string {
  const url = new URL('api/events/subscribe', baseUrl);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  if (token !== '') {
    url.searchParams.set('token', token);
  }
  return url.href;
}

/** Return the page's server if it has the runs, see {@link isSameServer}, or null. */
export async function serverOfRuns(probe: string, page: Document): Promise<PageServer | null> {
  const server = findPageServer(page);
  const isSame = server && (await isSameServer(server, requestSender(server, page), probe));
  return isSame ? server : null;
}

/**
 * Return whether the page's server is the server of the kernel's runs.
 *
 * @param probe - a path below `/pdflow/api` that exists only on that server
 */
export async function isSameServer(
  { baseUrl }: PageServer,
  request: SendRequest,
  probe: string
): Promise<boolean> {
  try {
    const response = await request(`${baseUrl}pdflow/api/${probe}`, {
      method: 'GET',
      cache: 'no-store'
    });
    return response.ok;
  } catch {
    return false;
  }
}
