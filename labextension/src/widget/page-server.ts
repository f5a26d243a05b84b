import type { SendRequest } from '../core/rest-host';

/** The Jupyter server that a page comes from. */
export interface PageServer {
  /** Its base URL, with a slash at the end. */
  baseUrl: string;
  /** Jupyter's token; empty where cookies are enough. */
  token: string;
}

/** Find the Jupyter server that a page comes from; null where it is none, as in VS Code. */
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

/** Send requests to a page's own server, as Jupyter's own pages do. */
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

/** The address of the server's stream of events. */
export function eventsUrl({ baseUrl, token }: PageServer): string {
  const url = new URL('api/events/subscribe', baseUrl);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  if (token !== '') {
    url.searchParams.set('token', token);
  }
  return url.href;
}

/**
 * Whether the page's server is the one that the kernel talks to.
 *
 * @param probe - a path below `/pdflow/api` that only that server answers
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
